#!/usr/bin/env python3
"""A machine that becomes slow in mid-service is planned round: its layers go elsewhere, and no request is lost.

    FLOTILLA_BINARY=build/flotilla tests/process/test_replan.py [TEST...]
"""

import contextlib
import os
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from cpu_quota import CpuQuota  # noqa: E402
from flotilla import MODELS_FOLDER, SANITIZED, SMOLLM2, THOROUGH, Fleet, wait_until  # noqa: E402
from memory import memory_for  # noqa: E402

MEASURED_SECONDS = 180  # two nodes take turns, one of them with half a core
# From the throttle to the new placement: what is promised. With sanitizers a tenth of a core hardly drives the node itself.
MOVED_SECONDS = 120 if SANITIZED else 30
RETURNED_SECONDS = 150  # a moved placement stays for a minute before it moves again
# Cores: so far apart that whatever else this machine does while they are measured leaves them in this order.
ENOUGH_CORES, SLOWER, SLOWEST = 4, 0.3, 0.1
WISHES = {"mode": "pipeline", "context": 2048, "sequences": 4}


class Requests:
    """Short requests, one after another, until the block ends; what was answered, and what was not."""

    def __init__(self, node):
        self.node, self.texts, self.failures, self.longest_seconds = node, [], [], 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.ask)

    def ask(self):
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                self.texts.append(self.node.complete(SMOLLM2, "The capital of France is", 8)["text"])
            except (AssertionError, OSError) as error:
                self.failures.append(error)
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


class Slowed(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.quotas = {}
        for name in ("a", "b"):
            self.quotas[name] = CpuQuota(name)
            self.stack.callback(self.quotas[name].remove)

    def start(self, node_flags=None, flags=()):
        """Two nodes that compute and measure themselves, each with a quota; `door` only takes requests."""
        options = {name: list(own) for name, own in (node_flags or {}).items()}
        options["door"] = ["--memory", "0"]
        models = {name: [MODELS_FOLDER] for name in ("a", "door")}
        fleet = Fleet(["a", "b", "door"], models, ["--threads", "1", *flags], node_flags=options, start=False)
        self.stack.enter_context(fleet)
        for node in fleet:
            node.measures = node.name != "door"
            node.launch()
            if node.name in self.quotas:
                self.quotas[node.name].take(node.process.pid)
        for node in fleet:
            node.wait_healthy()
        fleet.wait_joined()
        for name in self.quotas:
            wait_until(lambda: fleet[name].members()[name].get("rates"), MEASURED_SECONDS, "rates of " + name)
        wait_until(lambda: all(self.rates(fleet["door"]).values()), 10, "both rates where the requests come in")
        return fleet

    def rates(self, node):
        members = node.members()
        return {name: members[name].get("rates") for name in self.quotas}

    def layers(self, node):
        """Layers of each machine in the placement that answers now; none while there is no such."""
        ready = [placement for placement in node.placements() if placement["state"] == "ready"]
        return {
            stage["nodes"][0]: stage["layers"][1] - stage["layers"][0]
            for placement in ready[:1]
            for stage in placement["stages"]
        }

    def wait_layers(self, node, seconds, what, is_so):
        """Gives what placements said of themselves meanwhile, as (state, detail)."""
        began, said = time.monotonic(), set()

        def looked():
            said.update((p["state"], p.get("detail", "").split(":")[0]) for p in node.placements())
            return is_so(self.layers(node))

        wait_until(looked, seconds, lambda: "%s, but %s" % (what, node.placements()))
        print("%s after %.1f s" % (what, time.monotonic() - began), file=sys.stderr)
        return said

    def is_left_to_b(self, layers):
        """All of it; where a sanitizer makes b's half a core still less, so that a tenth of a core helps, most of it."""
        return list(layers) == ["b"] or SANITIZED and layers.get("a", 0) < layers.get("b", 0)

    def planned(self, node):
        """Layers of each machine on which the model would be loaded now."""
        query = "/plan?model=%s&context=%d&sequences=%d&mode=%s" % (
            SMOLLM2, WISHES["context"], WISHES["sequences"], WISHES["mode"]
        )
        stages = node.get(query).json()["stages"]
        return {stage["node"]: stage["layers"][1] - stage["layers"][0] for stage in stages}

    def answer(self, node):
        shapes = {"cache_prompt": False, "speculate": False, "ignore_eos": True}
        return node.complete(SMOLLM2, "The capital of France is", 24, **shapes)["token_ids"]

    def detail(self, node):
        return [p.get("detail", "") for p in node.placements() if p["state"] == "ready"][0]

    def moved_beside_its_answers(self):
        """A fleet whose model moved from a to b while it answered, and the right answer."""
        self.quotas["b"].set_cores(SLOWER)
        fleet = self.start()
        door = fleet["door"]
        door.load(SMOLLM2, **WISHES)
        self.assertEqual(["a"], list(self.layers(door)), "the quicker machine")
        right = self.answer(door)
        body = {"model": SMOLLM2, "prompt": "Once", "max_tokens": 400, "ignore_eos": True, "return_token_ids": True}
        with Requests(door) as requests:
            stream = door.stream("/v1/completions", body)
            self.stack.callback(stream.close)
            events = iter(stream)
            streamed = [next(events)]
            self.quotas["a"].set_cores(SLOWEST)
            said = self.wait_layers(door, MOVED_SECONDS, "the model on b", self.is_left_to_b)
            self.assertIn(("ready", "moving"), said, "the old placement answers while the new one is loaded")
            self.assertIn("a computes at", self.detail(door))
            answered = len(requests.texts)
            streamed += list(events)
            wait_until(lambda: len(requests.texts) > answered + 2, 60, "answers from b")
        self.assertEqual([], requests.failures)
        self.assertEqual(1, len(set(requests.texts)), requests.texts)
        self.assertEqual(400, sum(len(c.get("token_ids") or []) for e in streamed for c in e.get("choices", [])))
        self.assertEqual(right, self.answer(door))
        wait_until(lambda: len(door.placements()) == 1, 30, "the old placement to end")
        if "a" not in self.layers(door):
            wait_until(lambda: not any(map(self.is_runner, fleet["a"].runner_pids())), 10, "the old runner to end")
        return fleet, right

    def test_its_model_moves_beside_its_answers(self):
        self.moved_beside_its_answers()

    @unittest.skipUnless(THOROUGH, "takes minutes: scripts/test --full")
    def test_it_moves_back_once_the_machine_has_recovered(self):
        fleet, right = self.moved_beside_its_answers()
        door = fleet["door"]
        self.quotas["a"].set_cores(ENOUGH_CORES)
        with Requests(door) as requests:
            self.wait_layers(door, RETURNED_SECONDS, "the model on a again", lambda layers: list(layers) == ["a"])
        self.assertEqual([], requests.failures)
        self.assertEqual(right, self.answer(door))

    def is_runner(self, pid):
        with contextlib.suppress(OSError), open("/proc/%d/cmdline" % pid, encoding="utf-8") as file:
            return "runner" in file.read().split("\0")
        return False

    def test_where_memory_holds_one_placement_only_requests_wait_for_the_move(self):
        offered = memory_for("24,6", 2048, 4)  # either can be head, and never holds two placements
        fleet = self.start({name: ["--memory", str(offered)] for name in self.quotas})
        door = fleet["door"]
        door.load(SMOLLM2, **WISHES)
        before = self.layers(door)
        self.assertEqual({"a", "b"}, set(before), "a ring")
        slow = max(before, key=before.get)
        right = self.answer(door)
        with Requests(door) as requests:
            self.quotas[slow].set_cores(SLOWEST)
            said = self.wait_layers(
                door, MOVED_SECONDS, "most layers off " + slow, lambda layers: 0 < layers.get(slow, 0) < before[slow] / 2
            )
        self.assertIn(("loading", "moving"), said, "both do not fit, so the old placement ended first")
        self.assertEqual([], requests.failures)
        self.assertEqual(right, self.answer(door))

    @unittest.skipUnless(THOROUGH, "takes minutes: scripts/test --full")
    def test_switched_off_everything_stays_where_it_is(self):
        self.quotas["b"].set_cores(SLOWER)
        fleet = self.start(flags=["--no-replan"])
        door = fleet["door"]
        door.load(SMOLLM2, **WISHES)
        usual = self.rates(door)["a"]["memory_bytes_per_second"]
        self.quotas["a"].set_cores(SLOWEST)
        wait_until(
            lambda: self.rates(door)["a"]["memory_bytes_per_second"] < usual / 2, MOVED_SECONDS, "the slowdown noticed"
        )
        wait_until(lambda: self.is_left_to_b(self.planned(door)), MOVED_SECONDS, "a plan for b")
        # So many that each takes part of a second on the slowed machine: a move would have come long before.
        with Requests(door) as requests:
            wait_until(lambda: len(requests.texts) >= 20, 120, "answers from a")
        self.assertEqual([], requests.failures)
        self.assertEqual(["a"], list(self.layers(door)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
