#!/usr/bin/env python3
"""Runners and machines are killed or stopped under streams of requests; every stream must reach its client whole.

    FLOTILLA_BINARY=build/flotilla tests/chaos/chaos.py [--kills N] [--stops N] [--nodes N] [--streams N] [--seed N]

One node takes the requests and holds no layers. The others hold the model, each too small for all of it, so that each
placement is a ring. A blow falls on a runner or a whole node that holds layers of a stream with at least 8 tokens told
and 32 to go. What each stream gave is compared with what the same question gave before the first blow. A stop is a
SIGSTOP to a node and its runners for 1 to --stop-seconds seconds; after it the fleet must be whole again in 10 s. The
seed fixes the questions and the choice of blows, not the moment at which they fall.

Exit code 0: nothing lost, missing, doubled or wrong.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet, wait_until  # noqa: E402

MIB = 1 << 20
RESERVE_BYTES = 60 * MIB
CONTEXT = 512
TOLD_MIN, LEFT_MIN = 8, 32  # tokens of a stream that a blow hits
TOKENS = 96
RECOVERY_SECONDS_MAX = 60  # then the stream counts as lost
WHOLE_SECONDS_MAX = 10  # after a machine that stood still goes on
STOP_SECONDS_MIN = 1
ON_THEIR_WAY_SECONDS = 0.05  # tokens that come so soon after a blow were made before it
PROMPTS = [
    "The lighthouse keeper opened the door and saw",
    "A recipe for bread: first,",
    "The three longest rivers of the world are",
    "Dear Sir, I write to you because",
    "The theorem is proved as follows:",
    "Once upon a time there was a fox who",
]


def make_questions(dice):
    """Greedy ones and sampled ones, half and half."""
    questions = []
    for index, prompt in enumerate(PROMPTS):
        question = {"model": SMOLLM2, "prompt": prompt, "max_tokens": TOKENS, "ignore_eos": True, "temperature": 0}
        if index % 2:
            question.update(temperature=0.8, top_p=0.95, seed=dice.randrange(1 << 31), presence_penalty=0.3)
        questions.append(dict(question, return_token_ids=True))
    return questions


class Client:
    """Asks one question after the other. What it knows of the stream under way is read by the one who strikes."""

    def __init__(self, node, questions, expected, dice):
        self.node, self.questions, self.expected, self.dice = node, questions, expected, dice
        self.told, self.number = 0, 0
        self.awaited_from = self.recovered_at = None  # the first token after a blow: from when it counts, when it came
        self.answers, self.faults = 0, []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ended.is_set():
            index = self.dice.randrange(len(self.questions))
            self.told, self.number = 0, self.number + 1
            try:
                self.compare(index, self.read(index))
            except (AssertionError, OSError, ValueError) as error:
                self.faults.append(("lost", str(error)[:300]))
            self.answers += 1

    def read(self, index):
        ids = []
        stream = self.node.stream("/v1/completions", self.questions[index], timeout=RECOVERY_SECONDS_MAX)
        try:
            for event in stream:
                if "error" in event:
                    raise ValueError("the stream ended with: " + event["error"]["message"])
                for choice in event["choices"]:
                    ids += choice.get("token_ids") or []
                self.told = len(ids)
                self.note_recovery()
        finally:
            stream.close()
        if not stream.done:
            raise ValueError("the stream ended without [DONE] after %d tokens" % len(ids))
        return ids

    def note_recovery(self):
        now = time.monotonic()
        if self.recovered_at is None and self.awaited_from is not None and now >= self.awaited_from:
            self.recovered_at = now

    def await_recovery(self, since):
        self.recovered_at, self.awaited_from = None, since

    def compare(self, index, ids):
        expected = self.expected[index]
        if ids == expected:
            return
        kind = "missing" if len(ids) < len(expected) else "duplicate" if len(ids) > len(expected) else "wrong"
        place = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
        self.faults.append((kind, "question %d: %d tokens, not as expected from token %d" % (index, len(ids), place)))

    def is_in_midst(self):
        return TOLD_MIN <= self.told <= TOKENS - LEFT_MIN


class Chaos:
    def __init__(self, options):
        self.options, self.dice = options, random.Random(options.seed)
        self.questions = make_questions(self.dice)
        self.recoveries, self.blows = [], {"runner": 0, "node": 0, "stop": 0}
        self.whole_again, self.never_whole = [], []

    def run(self):
        names = ["n%d" % index for index in range(1, self.options.nodes)]
        offered = self.memory_for_half()
        flags = {name: ["--memory", str(offered)] for name in names}
        flags["door"] = ["--memory", "0"]
        models = {name: [MODELS_FOLDER] for name in [*names, "door"]}
        with Fleet([*names, "door"], models, ["--threads", "1", "--no-replan"], node_flags=flags) as fleet:
            fleet.wait_joined()
            self.fleet, self.door = fleet, fleet["door"]
            self.door.load(SMOLLM2, context=CONTEXT, sequences=4)
            expected = [self.unbroken(question) for question in self.questions]
            seeds = [self.dice.randrange(1 << 31) for _ in range(self.options.streams)]
            clients = [Client(self.door, self.questions, expected, random.Random(seed)) for seed in seeds]
            self.strike_all(clients)
            return clients

    def memory_for_half(self):
        """So much that two machines hold the model between them, and one does not."""
        with Fleet(["a", "b"], {"a": [MODELS_FOLDER]}, ["--threads", "1"]) as fleet:
            fleet.wait_joined()
            query = "/plan?model=%s&nodes=a,b&context=%d&sequences=4&layers=16,14" % (SMOLLM2, CONTEXT)
            stages = fleet["a"].get(query).json()["stages"]
        parts = ("weight_bytes", "kv_bytes", "compute_bytes")
        return max(sum(stage[part] for part in parts) for stage in stages) + RESERVE_BYTES + MIB

    def unbroken(self, question):
        answer = self.door.post("/v1/completions", question)
        return answer.json()["choices"][0]["token_ids"]

    def strike_all(self, clients):
        for client in clients:
            client.thread.start()
        try:
            kinds = ["kill"] * self.options.kills + ["stop"] * self.options.stops
            self.dice.shuffle(kinds)
            for number, kind in enumerate(kinds, 1):
                self.strike(number, kind, clients)
        except KeyboardInterrupt:
            print("stopped after %d blows" % sum(self.blows.values()))
        finally:
            for client in clients:
                client.ended.set()
            for client in clients:
                client.thread.join(RECOVERY_SECONDS_MAX + 10)

    def holders(self):
        ready = [p for p in self.door.placements() if p["state"] == "ready"]
        return sorted({name for p in ready for stage in p["stages"] for name in stage["nodes"]})

    def strike(self, number, kind, clients):
        wait_until(lambda: self.holders() and any(map(Client.is_in_midst, clients)), 120, "a stream in its midst")
        holders = self.holders()
        # The answer under way of each client, and whether the blow falls into its midst.
        hit = [(client, client.number) for client in clients if client.is_in_midst()]
        if not holders or not hit:
            return self.strike(number, kind, clients)
        victim = self.fleet[self.dice.choice(holders)]
        if kind == "kill":
            kind = "node" if self.dice.random() < 0.5 else "runner"
        struck_at = time.monotonic()
        for client, _ in hit:
            client.await_recovery(struck_at + ON_THEIR_WAY_SECONDS)
        waker = None
        if kind == "node":
            victim.kill()
        elif kind == "stop":
            seconds = self.dice.uniform(STOP_SECONDS_MIN, self.options.stop_seconds)
            victim.stand_still()
            waker = threading.Timer(seconds, victim.go_on)
            waker.start()
        else:
            for pid in victim.runner_pids():
                os.kill(pid, signal.SIGKILL)
        self.blows[kind] += 1
        for client, answer in hit:
            self.wait_recovered(client, answer, struck_at)
        for client, answer in hit:
            self.wait_told(client, answer, client.told + self.dice.randrange(TOKENS))
        if kind == "node":
            victim.start()
            self.fleet.wait_joined(60)
        if waker:
            waker.join()
            self.wait_whole(victim)
        if self.options.verbose:
            print("%3d %-6s of %s: %.2f s" % (number, kind, victim.name, (self.recoveries or [0])[-1]), flush=True)

    def wait_whole(self, victim):
        woken = time.monotonic()
        try:
            self.fleet.wait_joined(WHOLE_SECONDS_MAX)
            self.whole_again.append(time.monotonic() - woken)
        except AssertionError as error:
            self.never_whole.append("after %s stood still: %s" % (victim.name, error))
            self.fleet.wait_joined(60)

    def wait_recovered(self, client, answer, struck_at):
        """Until the stream has a new token or has ended: with a fault, or whole where all of it was on its way."""
        wait_until(
            lambda: client.number != answer or client.recovered_at is not None, RECOVERY_SECONDS_MAX + 10, "recovery"
        )
        if client.recovered_at is not None and client.number == answer:
            self.recoveries.append(client.recovered_at - struck_at)

    def wait_told(self, client, answer, tokens):
        """So that blows fall on all parts of streams, and streams come to their end between them."""
        wait_until(
            lambda: client.number != answer or client.told >= min(tokens, TOKENS), RECOVERY_SECONDS_MAX + 10, "progress"
        )

    def report(self, clients):
        faults = [fault for client in clients for fault in client.faults]
        counts = {kind: 0 for kind in ("lost", "missing", "duplicate", "wrong")}
        for kind, sentence in faults:
            counts[kind] += 1
            print("%s: %s" % (kind, sentence))
        times = sorted(self.recoveries) or [0]
        print(
            "seed %d: %d blows (%d runners, %d nodes killed, %d nodes stopped) on %d nodes, %d answers" % (
                self.options.seed,
                sum(self.blows.values()),
                self.blows["runner"],
                self.blows["node"],
                self.blows["stop"],
                self.options.nodes,
                sum(client.answers for client in clients),
            )
        )
        print(", ".join("%d %s" % (count, kind) for kind, count in counts.items()))
        p50, p99 = (times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.99))
        print("recovery of %d streams: p50 %.2f s, p99 %.2f s, longest %.2f s" % (len(times), p50, p99, times[-1]))
        for sentence in self.never_whole:
            print(sentence)
        if self.whole_again:
            print("whole again after %d stops: longest %.2f s" % (len(self.whole_again), max(self.whole_again)))
        too_few = sum(self.blows.values()) < self.options.kills + self.options.stops
        return 1 if faults or self.never_whole or too_few else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--stop-seconds", type=float, default=60, help="how long a machine stands still at most")
    parser.add_argument("--nodes", type=int, default=4, help="the one that takes the requests included; at least 3")
    parser.add_argument("--streams", type=int, default=2, help="requests under way at a time")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    chaos = Chaos(options)
    return chaos.report(chaos.run())


if __name__ == "__main__":
    sys.exit(main())
