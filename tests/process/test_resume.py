#!/usr/bin/env python3
"""A stream outlives the runner, the machine or the head that computes it: the client reads the same tokens, and notices
a pause. The pauses are printed.

    FLOTILLA_BINARY=build/flotilla tests/process/test_resume.py [TEST...]
"""

import os
import signal
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from cpu_quota import CpuQuota  # noqa: E402
from flotilla import BINARY, MODELS_FOLDER, SANITIZED, SMOLLM2, Fleet, wait_until  # noqa: E402
from memory import memory_for  # noqa: E402

TOKENS, STRUCK_AT = 80, 10
WHOLE_SECONDS_MAX = 10  # from when a machine that stood still goes on
STARVED_CORES = 0.05
STALLED_SECONDS_MAX = 8 if SANITIZED else 5  # a runner that stands still is noticed after two, and loaded again
RING = {"nodes": ["a", "b"], "context": 512, "sequences": 4}
QUESTION = {
    "model": SMOLLM2,
    "prompt": "The lighthouse keeper opened the door and saw",
    "max_tokens": TOKENS,
    "temperature": 0,
    "ignore_eos": True,
    "return_token_ids": True,
}
SAMPLED = {"temperature": 0.9, "top_p": 0.95, "seed": 11, "presence_penalty": 0.4, "repetition_penalty": 1.1}


class Streamed:
    """A streamed answer, read to its end. `strike` is called once, when every choice has STRUCK_AT tokens."""

    def __init__(self, node, strike=None, **fields):
        body = dict(QUESTION, **fields)
        self.ids = [[] for _ in range(body.get("n", 1))]
        self.texts = [""] * len(self.ids)
        self.finishes = [None] * len(self.ids)
        self.logprobs = []
        self.usage = self.error = self.struck_at = self.pause = None
        stream = node.stream("/v1/completions", body)
        for event in stream:
            self.take(event)
            if strike and self.struck_at is None and min(map(len, self.ids)) >= STRUCK_AT:
                self.told = sum(map(len, self.ids))
                strike()
                self.struck_at = time.monotonic()
        self.done = stream.done
        stream.close()

    def take(self, event):
        self.error = event.get("error", self.error)
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices", []):
            index = choice["index"]
            self.ids[index] += choice.get("token_ids") or []
            self.texts[index] += choice["text"]
            self.finishes[index] = choice["finish_reason"] or self.finishes[index]
            self.logprobs += (choice.get("logprobs") or {}).get("token_logprobs", [])
        self.measure_pause()

    def measure_pause(self):
        """The longest time without a token after the blow: what was under way yet may come first."""
        now = time.monotonic()
        if self.struck_at:
            gap = now - max(self.last, self.struck_at)
            self.pause = max(self.pause or 0, gap)
        self.last = now


def kill_runner(node):
    [pid] = node.runner_pids()
    os.kill(pid, signal.SIGKILL)


def stop_runner(node):
    """It lives, holds its memory and its connections, and does nothing."""
    [pid] = node.runner_pids()
    os.kill(pid, signal.SIGSTOP)


def both_have_the_file(**options):
    return Fleet(["a", "b"], {"a": [MODELS_FOLDER], "b": [MODELS_FOLDER]}, ["--threads", "1"], **options)


class GoesOn(unittest.TestCase):
    def assert_same(self, unbroken, broken):
        self.assertIsNone(broken.error)
        self.assertTrue(broken.done)
        self.assertIsNotNone(broken.struck_at, "the blow fell before the end")
        self.assertEqual(unbroken.ids, broken.ids)
        self.assertEqual(unbroken.texts, broken.texts)
        self.assertEqual(unbroken.finishes, broken.finishes)
        print("\n%s: a pause of %.2f s" % (self.id().split(".")[-1], broken.pause), file=sys.stderr)

    def detail(self, node):
        return [p.get("detail", "") for p in node.placements() if p["state"] == "ready"][0]

    def strike(self, blow, entry="a", ring=RING, afterwards=lambda fleet: None, **fields):
        """The same question without and with a blow; gives the fleet's last words of the placement."""
        with both_have_the_file() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **ring)
            unbroken = Streamed(fleet[entry], **fields)
            broken = Streamed(fleet[entry], lambda: blow(fleet), **fields)
            self.assert_same(unbroken, broken)
            [placement] = [p for p in fleet[entry].placements() if p["state"] == "ready"]
            afterwards(fleet)
            return unbroken, broken, placement

    def test_where_a_workers_runner_is_killed(self):
        _, _, placement = self.strike(lambda fleet: kill_runner(fleet["b"]))
        self.assertEqual([["a"], ["b"]], [stage["nodes"] for stage in placement["stages"]], "as it was loaded before")
        self.assertEqual(2, placement["epoch"])
        self.assertIn("loaded again: ", placement["detail"])
        self.assertIn("on b was ended by signal 9", placement["detail"])

    def test_where_the_heads_runner_is_killed(self):
        self.strike(lambda fleet: kill_runner(fleet["a"]))

    def stand_still(self, victim):
        """A runner stops; gives the placement that went on."""
        stopped = []

        def blow(fleet):
            stopped.extend(fleet[victim].runner_pids())
            stop_runner(fleet[victim])

        _, broken, placement = self.strike(blow)
        self.assertLess(broken.pause, STALLED_SECONDS_MAX)
        self.assertIn("on %s gave no sign of life for 2." % victim, placement["detail"])
        self.assertFalse(os.path.exists("/proc/%d" % stopped[0]), "it was ended and reaped")

    def test_where_a_workers_runner_stands_still(self):
        self.stand_still("b")

    def test_where_the_heads_runner_stands_still(self):
        self.stand_still("a")

    def test_not_where_a_runner_is_merely_starved(self):
        quota = CpuQuota("starved")
        self.addCleanup(quota.remove)

        def blow(fleet):
            [pid] = fleet["b"].runner_pids()
            quota.set_cores(STARVED_CORES)
            quota.take(pid)

        _, _, placement = self.strike(blow)
        self.assertEqual(1, placement["epoch"], "it answered to the end")

    def stop_until(self, fleet, victim, is_time):
        """The whole machine stands still until the other one sees it so."""
        other = fleet["ab".replace(victim, "")]
        fleet[victim].stand_still()

        def wake():
            wait_until(lambda: is_time(other.members().get(victim, {}).get("state")), 30, victim + " noticed")
            fleet[victim].go_on()

        self.waker = threading.Thread(target=wake)
        self.waker.start()

    def whole_again(self, fleet, victim):
        """It finds back by itself, and has given up what went on without it."""
        fleet[victim].go_on()
        woken = time.monotonic()
        fleet.wait_joined(WHOLE_SECONDS_MAX)
        print("\nwhole again after %.2f s" % (time.monotonic() - woken), file=sys.stderr)
        seen = lambda node: [(p["state"], [stage["nodes"] for stage in p["stages"]]) for p in node.placements()]
        other = "ab".replace(victim, "")
        for node in fleet:
            wait_until(lambda: seen(node) == [("ready", [[other]])], 10, lambda: "one placement, not " + str(seen(node)))
        wait_until(lambda: not fleet[victim].runner_pids(), 10, "its old runner to end")

    def test_where_a_machine_stands_still_for_a_moment_nothing_is_lost(self):
        for entry in "ab":
            blow = lambda fleet: self.stop_until(fleet, "b", lambda state: state == "suspect")
            _, broken, placement = self.strike(blow, entry=entry)
            self.waker.join()
            self.assertEqual(1, placement["epoch"], "the placement that was there")
            self.assertEqual("", placement.get("detail", ""))

    def test_where_a_workers_machine_stands_still_for_long(self):
        _, _, placement = self.strike(
            lambda fleet: fleet["b"].stand_still(), afterwards=lambda fleet: self.whole_again(fleet, "b")
        )
        self.assertEqual([["a"]], [stage["nodes"] for stage in placement["stages"]])

    def test_where_the_heads_machine_stands_still_for_long(self):
        self.strike(
            lambda fleet: fleet["b"].stand_still(),
            ring=dict(RING, nodes=["b", "a"]),
            afterwards=lambda fleet: self.whole_again(fleet, "b"),
        )

    def test_where_the_machine_by_which_the_client_came_in_stands_still_for_long(self):
        blow = lambda fleet: self.stop_until(fleet, "b", lambda state: state not in ("joined", "suspect"))
        self.strike(blow, entry="b")
        self.waker.join()

    def test_where_a_workers_machine_is_killed(self):
        _, _, placement = self.strike(lambda fleet: fleet["b"].kill())
        self.assertEqual([["a"]], [stage["nodes"] for stage in placement["stages"]])
        # Whose report is first: the head's node names the machine, its runner saw a link close.
        self.assertRegex(placement["detail"], "b, which held layers of|a machine that holds layers of this model is gone")

    def test_where_the_heads_machine_is_killed_and_the_client_came_in_elsewhere(self):
        ring = dict(RING, nodes=["b", "a"])
        _, _, placement = self.strike(lambda fleet: fleet["b"].kill(), entry="a", ring=ring)
        self.assertEqual([["a"]], [stage["nodes"] for stage in placement["stages"]])

    def test_where_a_machine_says_goodbye(self):
        self.strike(lambda fleet: fleet["b"].process.terminate())

    def test_where_it_is_loaded_by_hand_under_another_head(self):
        one = {"context": 512, "sequences": 4}
        _, _, placement = self.strike(
            lambda fleet: fleet["a"].load(SMOLLM2, nodes=["b"], **one), ring=dict(one, nodes=["a"])
        )
        self.assertEqual([["b"]], [stage["nodes"] for stage in placement["stages"]])

    def test_with_seeded_sampling_and_penalties(self):
        self.strike(lambda fleet: kill_runner(fleet["b"]), **SAMPLED)

    def test_with_two_choices(self):
        unbroken, _, _ = self.strike(lambda fleet: kill_runner(fleet["b"]), n=2, **SAMPLED)
        self.assertNotEqual(unbroken.ids[0], unbroken.ids[1])

    def test_with_log_probabilities_and_the_usage_of_one_answer(self):
        fields = {"logprobs": 2, "stream_options": {"include_usage": True}, "cache_prompt": False}
        unbroken, broken, _ = self.strike(lambda fleet: kill_runner(fleet["b"]), **fields)
        self.assertEqual(TOKENS, len(broken.logprobs))
        for mine, other in zip(unbroken.logprobs, broken.logprobs):
            self.assertAlmostEqual(mine, other, delta=0.02)
        self.assertEqual(unbroken.usage, broken.usage)

    def test_to_a_stop_string(self):
        with both_have_the_file() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **RING)
            text = Streamed(fleet["a"]).texts[0]
            stop = text[len(text) // 2 :][:12]
            unbroken = Streamed(fleet["a"], stop=stop)
            broken = Streamed(fleet["a"], lambda: kill_runner(fleet["b"]), stop=stop)
            self.assert_same(unbroken, broken)
            self.assertEqual(["stop"], broken.finishes)

    def test_twice_in_one_answer_and_for_all_clients_at_once(self):
        with both_have_the_file() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **RING)
            questions = [{}, dict(SAMPLED), {"prompt": "Once upon a time", "max_tokens": 300}]
            unbroken = [Streamed(fleet["a"], **fields) for fields in questions]
            answers = [None] * len(questions)

            def ask(index):
                answers[index] = Streamed(fleet["ab"[index % 2]], **questions[index])

            threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(questions))]
            for thread in threads:
                thread.start()
            for _ in range(2):
                wait_until(lambda: self.answering(fleet["a"], fleet["b"]) > 0, 60, "answers under way")
                kill_runner(next(fleet[name] for name in "ba" if fleet[name].runner_pids()))
                wait_until(lambda: self.answering(fleet["a"], fleet["b"]) == 0, 60, "the loss noticed")
            for thread in threads:
                thread.join(120)
            for mine, other in zip(unbroken, answers):
                self.assertIsNone(other.error)
                self.assertEqual(mine.ids, other.ids)

    def answering(self, *nodes):
        """Tokens of placements that are ready: their heads count them."""
        ready = [p for node in nodes for p in node.placements() if p["state"] == "ready"]
        return sum(p.get("stats", {}).get("tokens", 0) for p in ready)

    def test_of_an_answer_that_is_not_streamed(self):
        with both_have_the_file() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **RING)
            ask = dict(QUESTION, max_tokens=200)
            unbroken = fleet["a"].post("/v1/completions", ask).json()["choices"][0]
            answers = []
            thread = threading.Thread(target=lambda: answers.append(fleet["a"].post("/v1/completions", ask)))
            before = self.answering(fleet["a"])
            thread.start()
            wait_until(lambda: self.answering(fleet["a"]) > before, 60, "an answer under way")
            kill_runner(fleet["b"])
            thread.join(120)
            self.assertEqual(200, answers[0].status, answers[0])
            self.assertEqual(unbroken, answers[0].json()["choices"][0])


class Stopped(unittest.TestCase):
    """A node that its owner stops says goodbye, and others' answers go on without it."""

    QUESTIONS = [{}, dict(SAMPLED), {"prompt": "Once upon a time"}]

    def stopped_in_mid_answer(self, ring):
        """Streams of clients at a, of which b computes a part or all; b is stopped in the midst of them."""
        with both_have_the_file() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **dict(RING, nodes=ring))
            unbroken = [Streamed(fleet["a"], **fields) for fields in self.QUESTIONS]
            answers, struck = [None] * len(self.QUESTIONS), threading.Barrier(len(self.QUESTIONS))
            ended = []

            def stop():
                if struck.wait(60) == 0:  # each is in the midst of its answer
                    began = time.monotonic()
                    fleet["b"].process.send_signal(signal.SIGTERM)
                    ended.append((fleet["b"].process.wait(15), time.monotonic() - began))

            def ask(index):
                answers[index] = Streamed(fleet["a"], stop, **self.QUESTIONS[index])

            threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(answers))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(180)
            for mine, other in zip(unbroken, answers):
                self.assertIsNone(other.error)
                self.assertIsNotNone(other.struck_at)
                self.assertEqual(mine.ids, other.ids)
                self.assertEqual(mine.texts, other.texts)
                self.assertEqual(mine.finishes, other.finishes)
            self.assertEqual(["a"], fleet["a"].joined())
            [(code, seconds)] = ended
            self.assertEqual(0, code)
            print("\nstopped in %.2f s; pauses of %s s" % (seconds, ["%.2f" % a.pause for a in answers]), file=sys.stderr)
            [placement] = [p for p in fleet["a"].placements() if p["state"] == "ready"]
            self.assertIn("stopped by its owner", placement["detail"])

    def test_the_head_of_others_streams(self):
        self.stopped_in_mid_answer(["b"])

    def test_a_worker_in_others_streams(self):
        self.stopped_in_mid_answer(["a", "b"])

    def test_asked_twice_it_ends_at_once(self):
        with Fleet(["a"]) as fleet:
            process = fleet["a"].process
            process.send_signal(signal.SIGSTOP)  # so that it finds both at the same time
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGCONT)
            # Or 0, where it had left before it looked at the second: nobody was there to say goodbye to.
            self.assertIn(process.wait(5), (128 + signal.SIGTERM, 128 + signal.SIGINT, 0))


class Waits(unittest.TestCase):
    def test_for_the_machine_without_which_the_model_does_not_fit_and_everyone_sees_it(self):
        offered = memory_for("20,10", 512, 2)  # either can be head
        with both_have_the_file(node_flags={name: ["--memory", str(offered)] for name in "ab"}) as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, context=512, sequences=2)
            unbroken = Streamed(fleet["a"])
            seen, said = [], []

            def strike():
                fleet["b"].kill()
                thread.start()

            def return_later():
                wait_until(lambda: self.waiting(fleet["a"]), 30, "a request seen waiting")
                seen.extend(self.waiting(fleet["a"]))
                said.append(self.ps(fleet["a"]))
                fleet["b"].start()

            thread = threading.Thread(target=return_later)
            broken = Streamed(fleet["a"], strike)
            thread.join()
            self.assertIsNone(broken.error)
            self.assertEqual(unbroken.ids, broken.ids)
            self.assertEqual((SMOLLM2, "a", 1), (seen[0]["model"], seen[0]["node"], seen[0]["requests"]))
            self.assertIn("are missing", seen[0]["detail"])
            self.assertIn("answers at a that wait for it: 1; [planner]", said[0])
            self.assertEqual([], self.waiting(fleet["a"]))
            self.assertIn("loaded again: ", self.ps(fleet["a"]))
            print("\na machine was away: a pause of %.2f s" % broken.pause, file=sys.stderr)

    def ps(self, node):
        words = [BINARY, "ps", "--api", "http://127.0.0.1:%d" % node.api_port]
        return subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=30).stdout.decode()

    def waiting(self, node):
        return [w for w in node.get("/cluster").json()["waiting"] if "are missing" in w["detail"]]


class SecondDisk(unittest.TestCase):
    def test_an_answer_outlives_the_only_machine_that_had_the_file(self):
        with Fleet(["a", "b", "c"], {"a": [MODELS_FOLDER]}, ["--threads", "1"], copies=True) as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **RING)
            unbroken = Streamed(fleet["b"])
            wait_until(
                lambda: fleet["c"].get("/cluster").json()["placements"][0]["on_disk_of"] == ["a", "b"],
                60,
                lambda: "a second copy but /cluster says %s" % fleet["c"].get("/cluster").json(),
            )
            broken = Streamed(fleet["b"], fleet["a"].kill)
            self.assertIsNone(broken.error)
            self.assertEqual(unbroken.ids, broken.ids)
            self.assertIn("b", fleet["c"].placements()[0]["on_disk_of"])
            print("\nthe machine with the file died: a pause of %.2f s" % broken.pause, file=sys.stderr)


class Unloaded(unittest.TestCase):
    def test_a_model_that_is_unloaded_ends_its_answers_and_stays_away(self):
        with both_have_the_file() as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, **RING)
            broken = Streamed(fleet["b"], lambda: fleet["a"].unload(SMOLLM2), max_tokens=400)
            self.assertIn("unloaded", broken.error["message"])
            self.assertEqual([], fleet["a"].placements())


if __name__ == "__main__":
    unittest.main(verbosity=2)
