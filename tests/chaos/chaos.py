#!/usr/bin/env python3
"""Machines are killed, stopped and cut off under streams of requests; every stream must reach its client whole.

    FLOTILLA_BINARY=build/flotilla tests/chaos/chaos.py [--kills N] [--stops N] [--cuts N] [--nodes N] [--streams N] [--seed N]
                                                      [--mode tensor]

One node takes the requests and holds no layers. The others hold the model, each too small for all of it, so that each
placement is a ring, or with --mode tensor a group that computes every layer together. A blow falls on what holds layers
of a stream with at least 8 tokens told and 32 to go. What each stream gave is compared with what the same question gave
before the first blow. A stop is a SIGSTOP to a node and its runners; a cut parts the network (with --cuts each node has
a network namespace, which needs root): both ways, one way, or on and off. After a stop or a cut the fleet must be whole
again in 10 s, and no two nodes may ever tell of two placements with one epoch. The seed fixes the questions and the choice of blows, not the moment at which they fall.

Exit code 0: nothing lost, missing, doubled or wrong.
"""

import argparse
import contextlib
import http.client
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from blows import CUTS, Cut, NodeKilled, NodeStopped, RunnerKilled  # noqa: E402
from flotilla import MODELS_FOLDER, SMOLLM2, Fleet, wait_until  # noqa: E402
from memory import memory_for, memory_for_group  # noqa: E402
from network import Switch, namespaces_missing  # noqa: E402

TOLD_MIN, LEFT_MIN = 8, 32  # tokens of a stream that a blow hits
TOKENS = 96
CONTEXT, SEQUENCES = 512, 4
RECOVERY_SECONDS_MAX = 90  # then the stream counts as lost; longer than any stop
WHOLE_SECONDS_MAX = 10  # after a machine that stood still goes on, or a network is whole
PASSING_SECONDS_MIN = 1  # of stops and cuts
SKIPPED = 77
ON_THEIR_WAY_SECONDS = 0.05  # tokens that come so soon after a blow were made before it
# Half of them begin alike, long enough that what is known of one is used for the next.
STORY = "It was a quiet evening in the harbour, and the old woman who kept the books told the children of the island this: "
PROMPTS = [
    "The lighthouse keeper opened the door and saw",
    "A recipe for bread: first,",
    STORY + "the three longest rivers of the world are",
    STORY + "when I was a girl, I wrote to the king because",
    "The theorem is proved as follows:",
    STORY + "once upon a time there was a fox who",
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
            except (AssertionError, OSError, http.client.HTTPException, ValueError) as error:
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


class Witness:
    """Asks every node all the time which placements it knows: an epoch belongs to one placement only."""

    def __init__(self, fleet):
        self.fleet, self.known, self.faults = fleet, {}, set()
        members = next(iter(fleet)).members()
        self.names = {member["id"][:8]: name for name, member in members.items()}  # as nodes call those that are away
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=(node,), daemon=True) for node in fleet]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def watch(self, node):
        while not self.ended.wait(0.2):
            with contextlib.suppress(OSError, ValueError, KeyError):  # it may be dead, or stand still
                for placement in node.get("/placements", timeout=2).json()["placements"]:
                    self.compare(node.name, placement)

    def compare(self, name, placement):
        stages = [
            ([self.names.get(node, node) for node in stage["nodes"]], stage["layers"]) for stage in placement["stages"]
        ]
        epoch = (placement["incarnation"], placement["epoch"])  # of its head, so that no two nodes count alike
        before = self.known.setdefault(epoch, stages)
        if before != stages:
            self.faults.add("%s tells of %s in epoch %d, which was %s" % (name, stages, epoch[1], before))


class Chaos:
    def __init__(self, options):
        self.options, self.dice = options, random.Random(options.seed)
        self.is_ring = options.mode != "tensor"
        self.questions = make_questions(self.dice)
        self.recoveries, self.blows = {}, {}  # by kind of blow
        self.whole_again, self.never_whole, self.two_writers = [], [], []

    def run(self):
        names = ["n%d" % index for index in range(1, self.options.nodes)] + ["door"]
        offered = self.memory(len(names) - 1)
        flags = {name: ["--memory", str(offered if name != "door" else 0)] for name in names}
        models = {name: [MODELS_FOLDER] for name in names}
        with contextlib.ExitStack() as stack:
            self.switch = stack.enter_context(Switch(names)) if self.options.cuts else None
            self.fleet = stack.enter_context(
                Fleet(names, models, ["--threads", "1", "--no-replan"], node_flags=flags, switch=self.switch)
            )
            self.fleet.wait_joined()
            self.door = self.fleet["door"]
            self.door.load(SMOLLM2, context=CONTEXT, sequences=SEQUENCES, **self.mode())
            expected = [self.unbroken(question) for question in self.questions]
            seeds = [self.dice.randrange(1 << 31) for _ in range(self.options.streams)]
            clients = [Client(self.door, self.questions, expected, random.Random(seed)) for seed in seeds]
            with Witness(self.fleet) as witness:
                self.strike_all(clients)
            self.two_writers = sorted(witness.faults)
            return clients

    def memory(self, machines):
        """In a ring two hold the model between them. A group needs all: fewer would sum up otherwise, and where two tokens
        are nearly as likely that decides. So no machine of a group dies, only its runners."""
        if self.is_ring:
            return memory_for("16,14", CONTEXT, SEQUENCES)
        return memory_for_group(machines, CONTEXT, SEQUENCES)

    def mode(self):
        return {"mode": self.options.mode} if self.options.mode else {}

    def unbroken(self, question):
        answer = self.door.post("/v1/completions", question)
        return answer.json()["choices"][0]["token_ids"]

    def strike_all(self, clients):
        for client in clients:
            client.thread.start()
        try:
            kinds = ["kill"] * self.options.kills + ["stop"] * self.options.stops + ["cut"] * self.options.cuts
            self.dice.shuffle(kinds)
            for number, kind in enumerate(kinds, 1):
                self.strike(number, kind, clients)
        except KeyboardInterrupt:
            print("interrupted after %d blows" % sum(self.blows.values()))
        finally:
            for client in clients:
                client.ended.set()
            for client in clients:
                client.thread.join(RECOVERY_SECONDS_MAX + 10)

    def holders(self):
        ready = [p for p in self.door.placements() if p["state"] == "ready"]
        return sorted({name for p in ready for stage in p["stages"] for name in stage["nodes"]})

    def make_blow(self, kind, holders):
        victim = self.fleet[self.dice.choice(holders)]
        if kind == "kill":
            return (NodeKilled if self.is_ring and self.dice.random() < 0.5 else RunnerKilled)(victim)
        if kind == "stop":
            return NodeStopped(victim, self.dice.uniform(PASSING_SECONDS_MIN, self.options.stop_seconds))
        seconds = self.dice.uniform(PASSING_SECONDS_MIN, self.options.cut_seconds)
        return Cut(self.switch, self.divide(holders), self.dice.choice(CUTS), random.Random(self.dice.random()), seconds)

    def divide(self, holders):
        """Two parts of the fleet, such that what works for a stream lies in both."""
        working = {*holders, "door"}
        while True:
            part = {node.name for node in self.fleet if self.dice.random() < 0.5}
            if working & part and working - part:
                return sorted(part), sorted(set(self.fleet.nodes) - part)

    def strike(self, number, kind, clients):
        wait_until(lambda: self.holders() and any(map(Client.is_in_midst, clients)), 120, "a stream in its midst")
        holders = self.holders()
        # The answer under way of each client, and whether the blow falls into its midst.
        hit = [(client, client.number) for client in clients if client.is_in_midst()]
        if not holders or not hit:
            return self.strike(number, kind, clients)
        blow = self.make_blow(kind, holders)
        struck_at = time.monotonic()
        for client, _ in hit:
            client.await_recovery(struck_at + ON_THEIR_WAY_SECONDS)
        blow.fall()
        self.blows[blow.kind] = self.blows.get(blow.kind, 0) + 1
        for client, answer in hit:
            self.wait_recovered(client, answer, struck_at, blow.kind)
        for client, answer in hit:
            self.wait_told(client, answer, client.told + self.dice.randrange(TOKENS))
        blow.pass_by()
        if blow.heals:
            self.wait_whole(blow)
        elif blow.kind == NodeKilled.kind:
            self.fleet.wait_joined(60)
        if self.options.verbose:
            last = self.recoveries.get(blow.kind, [0])[-1]
            print("%3d %s: %s: %.2f s" % (number, blow.kind, blow.where, last), flush=True)

    def wait_whole(self, blow):
        healed = time.monotonic()
        try:
            self.fleet.wait_joined(WHOLE_SECONDS_MAX)
            self.whole_again.append(time.monotonic() - healed)
        except AssertionError as error:
            self.never_whole.append("after %s, %s: %s" % (blow.kind, blow.where, error))
            self.fleet.wait_joined(60)

    def wait_recovered(self, client, answer, struck_at, kind):
        """Until the stream has a new token or has ended: with a fault, or whole where all of it was on its way."""
        wait_until(
            lambda: client.number != answer or client.recovered_at is not None, RECOVERY_SECONDS_MAX + 10, "recovery"
        )
        if client.recovered_at is not None and client.number == answer:
            self.recoveries.setdefault(kind, []).append(client.recovered_at - struck_at)

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
        told = ", ".join("%d %s" % (count, kind) for kind, count in sorted(self.blows.items()))
        answers = sum(client.answers for client in clients)
        print("seed %d: %s on %d nodes, %d answers" % (self.options.seed, told, self.options.nodes, answers))
        print(", ".join("%d %s" % (count, kind) for kind, count in counts.items()))
        for kind, seconds in sorted(self.recoveries.items()):
            seconds.sort()
            p50, p99 = (seconds[min(len(seconds) - 1, int(share * len(seconds)))] for share in (0.5, 0.99))
            print("%s, pause of %d streams: p50 %.2f s, p99 %.2f s, longest %.2f s" % (
                kind, len(seconds), p50, p99, seconds[-1]))
        if self.whole_again:
            print("whole again after %d stops and cuts: longest %.2f s" % (len(self.whole_again), max(self.whole_again)))
        for sentence in self.never_whole + self.two_writers:
            print(sentence)
        wanted = self.options.kills + self.options.stops + self.options.cuts
        too_few = sum(self.blows.values()) < wanted
        return 1 if faults or self.never_whole or self.two_writers or too_few else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--stop-seconds", type=float, default=60, help="how long a machine stands still at most")
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--cut-seconds", type=float, default=20, help="how long a network is cut at most")
    parser.add_argument("--nodes", type=int, default=4, help="the one that takes the requests included; at least 3")
    parser.add_argument("--streams", type=int, default=2, help="requests under way at a time")
    parser.add_argument("--mode", choices=["pipeline", "tensor"], help="how machines share the model; default: as the planner finds")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    missing = options.cuts and namespaces_missing()
    if missing:
        print("SKIPPED: " + missing)
        return SKIPPED
    print("seed %d" % options.seed, flush=True)
    chaos = Chaos(options)
    return chaos.report(chaos.run())


if __name__ == "__main__":
    sys.exit(main())
