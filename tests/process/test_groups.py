#!/usr/bin/env python3
"""Tensor groups of real nodes: each computes a slice of every layer, holds only that, and the answers are right.

    FLOTILLA_BINARY=build/flotilla tests/process/test_groups.py [TEST...]
"""

import json
import os
import signal
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from flotilla import GEMMA3, MODELS_FOLDER, SANITIZED, SMOLLM2, Fleet, resident_bytes, wait_until  # noqa: E402

MIB = 1 << 20
NAMES = ["a", "b", "c"]
ANSWER_TOKENS = 24
RESERVE_BYTES = 60 * MIB  # what a runner may need beside its slice


def recorded_prompts(model):
    with open(os.path.join(HERE, "..", "data", "oracle", model + ".json"), encoding="utf-8") as file:
        return [prompt["prompt_tokens"] for prompt in json.load(file)["prompts"] if len(prompt["prompt_tokens"]) < 100]


def holder_of_the_file_is_a(**options):
    return Fleet(NAMES, models={"a": [MODELS_FOLDER]}, flags=["--threads", "1"], **options)


class SameAnswers(unittest.TestCase):
    """Every greedy token of a group is, scored teacher-forced on one node, within a bound of that node's best.

    Kernels round each activation to eight bits, so another order of sums moves these small models' logits by tenths of
    a nat (docs/performance.md has the figures); a wrong slice moves them by many nats.
    """

    def test_smollm2_on_two_and_three(self):
        self.compare(SMOLLM2, (2, 3), nats=0.5)

    def test_gemma3_with_its_one_kv_head_on_two_and_three(self):
        self.compare(GEMMA3, (2, 3), nats=0.8)

    def compare(self, model, sizes, nats):
        prompts = recorded_prompts(model)[:6]
        with holder_of_the_file_is_a() as fleet:
            fleet.wait_joined()
            for size in sizes:
                placement = fleet["a"].load(model, nodes=NAMES[:size], mode="tensor", context=512, sequences=2)
                [stage] = placement["stages"]
                self.assertEqual((NAMES[:size], "tensor"), (stage["nodes"], stage["mode"]))
                answers = [self.ids(fleet[NAMES[-1]], model, prompt) for prompt in prompts]
                self.check_memory(fleet, stage, size)
                fleet["a"].load(model, nodes=["a"], mode="pipeline", context=512, sequences=2)
                for prompt, ids in zip(prompts, answers):
                    with self.subTest(model=model, size=size, prompt=prompt[:4]):
                        self.assertEqual(ANSWER_TOKENS, len(ids))
                        self.assertLessEqual(self.worst_gap(fleet["a"], model, prompt, ids), nats)

    def ids(self, node, model, prompt):
        return node.complete(model, prompt, ANSWER_TOKENS, ignore_eos=True, cache_prompt=False)["token_ids"]

    def worst_gap(self, node, model, prompt, ids):
        """How much likelier than the answer's token one node finds its own best, at worst."""
        scored = node.post(
            "/v1/completions",
            {"model": model, "prompt": prompt + ids, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0,
             "cache_prompt": False, "speculate": False},
        ).json()["choices"][0]["logprobs"]
        gaps = []
        for place in range(len(prompt), len(prompt) + len(ids)):
            [best] = sorted(scored["top_logprobs"][place].values(), reverse=True)[:1]
            gaps.append(best - scored["token_logprobs"][place])
        return max(gaps)

    def check_memory(self, fleet, stage, size):
        if SANITIZED:
            return
        for name in stage["nodes"]:
            [pid] = fleet[name].runner_pids()
            whole = stage["weight_bytes"] + stage["kv_bytes"]
            with self.subTest(node=name, size=size):
                # Heads are not divisible at will, so a slice may be some larger than its share.
                self.assertLessEqual(resident_bytes(pid), 1.15 * whole * 1.4 / size + RESERVE_BYTES)


class Departures(unittest.TestCase):
    def test_a_killed_member_ends_its_placement_and_its_answers_go_on_elsewhere(self):
        self.strike(lambda fleet: fleet["b"].kill())

    def test_a_killed_runner_of_a_member_does_too(self):
        self.strike(lambda fleet: os.kill(fleet["b"].runner_pids()[0], signal.SIGKILL))

    def strike(self, blow):
        with holder_of_the_file_is_a() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, nodes=["a", "b"], mode="tensor", context=512, sequences=1)
            body = {"model": SMOLLM2, "prompt": "Once", "max_tokens": 200, "ignore_eos": True, "temperature": 0}
            stream = fleet["a"].stream("/v1/completions", dict(body, return_token_ids=True))
            events = iter(stream)
            told = [next(events) for _ in range(8)]
            blow(fleet)
            told += list(events)
            stream.close()
            self.assertEqual(200, sum(len(c.get("token_ids") or []) for e in told for c in e.get("choices", [])), told[-1])
            text = wait_until(lambda: self.try_complete(fleet["c"]), 60, "an answer from the machines left")
            self.assertTrue(text)

    def try_complete(self, node):
        answer = node.post("/v1/completions", {"model": SMOLLM2, "prompt": "Once", "max_tokens": 4, "temperature": 0})
        self.assertIn(answer.status, (200, 503), answer)
        return answer.json()["choices"][0]["text"] if answer.status == 200 else None


class Wishes(unittest.TestCase):
    def test_what_cannot_be_cut_is_refused_with_the_reason(self):
        names = ["a", "b", "c", "d", "e"]
        with Fleet(names, models={"a": [MODELS_FOLDER]}, flags=["--threads", "1"]) as fleet:
            fleet.wait_joined()
            wish = {"model": GEMMA3, "nodes": names, "mode": "tensor", "context": 512, "sequences": 1}
            error = fleet["a"].post("/load", wish).lines()[-1]["error"]
            self.assertEqual("unsupported", error["code"])
            self.assertIn("at most 4", error["message"])  # Gemma has four query heads on one KV head


if __name__ == "__main__":
    unittest.main(verbosity=2)
