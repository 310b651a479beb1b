#!/usr/bin/env python3
"""A fleet at work for long, of which a machine leaves or comes back each minute: what stays must not grow.

    FLOTILLA_BINARY=build/flotilla tests/chaos/soak.py [--minutes 30] [--between 60] [--seed N]

One node takes the requests and holds no layers; of three others two hold the model between them. One of these never
leaves; of the other two one goes (told to end, or killed) and comes back by turns. Meanwhile six clients ask whatever
comes: short answers and long, streams and those whose reader hangs up, long prompts, requests that are wrong. Of the two
nodes that stay, memory of their own (RssAnon), descriptors and threads are read every 5 seconds; their medians in the
last quarter of the time must not be above those in the second quarter.

Exit code 0: nothing grew and every answer was as it should be.
"""

import argparse
import http.client
import os
import random
import statistics
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet, descriptors  # noqa: E402
from memory import memory_for  # noqa: E402

CLIENTS = 6
CONTEXT, SEQUENCES = 512, 4
SAMPLE_SECONDS = 5
ANSWER_SECONDS_MAX = 90
GROWTH_MAX = {"memory KiB": lambda before: max(0.1 * before, 8192), "descriptors": lambda _: 8, "threads": lambda _: 2}
WORDS = "the heron waits for the ferry while rain falls on the harbour and nobody counts the boats".split()


class Client:
    """One of those who ask. Faults are sentences."""

    def __init__(self, door, dice, ended):
        self.door, self.dice, self.ended = door, dice, ended
        self.answers, self.faults = 0, []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        kinds = [self.short, self.stream, self.hang_up, self.long_prompt, self.wrong, self.look]
        while not self.ended.is_set():
            kind = self.dice.choice(kinds)
            try:
                kind()
            except (AssertionError, OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.faults.append("%s: %s" % (kind.__name__, str(error)[:300]))
            self.answers += 1

    def body(self, words, tokens):
        prompt = " ".join(self.dice.choice(WORDS) for _ in range(words))
        return {"model": SMOLLM2, "prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "return_token_ids": True}

    def ask(self, words, tokens):
        answer = self.door.post("/v1/completions", self.body(words, tokens), timeout=ANSWER_SECONDS_MAX)
        assert answer.status == 200, answer
        count = len(answer.json()["choices"][0]["token_ids"])
        assert count == tokens, "%d tokens, not %d" % (count, tokens)

    def short(self):
        self.ask(self.dice.randrange(1, 20), self.dice.randrange(1, 24))

    def long_prompt(self):
        self.ask(self.dice.randrange(200, 300), 4)

    def events(self, tokens):
        return self.door.stream("/v1/completions", self.body(8, tokens), timeout=ANSWER_SECONDS_MAX)

    def stream(self):
        stream, count = self.events(48), 0
        try:
            for event in stream:
                assert "error" not in event, event
                count += sum(len(choice.get("token_ids") or []) for choice in event["choices"])
        finally:
            stream.close()
        assert stream.done and count == 48, "a stream of %d tokens, not 48" % count

    def hang_up(self):
        stream = self.events(200)
        try:
            for _ in zip(range(self.dice.randrange(6)), stream):
                pass
        finally:
            stream.close()

    def wrong(self):
        answer = self.door.post("/v1/completions", dict(self.body(3, 4), temperature="warm"))
        assert answer.status == 400, answer

    def look(self):
        assert self.door.get("/cluster").status == 200
        assert self.door.get("/v1/models").status == 200


def sample(node):
    with open("/proc/%d/status" % node.process.pid) as file:
        facts = dict(line.split(":", 1) for line in file)
    return {"memory KiB": int(facts["RssAnon"].split()[0]), "threads": int(facts["Threads"]),
            "descriptors": descriptors(node.process.pid)}


class Mover:
    """Has a machine leave or come back by turns. Faults are sentences."""

    def __init__(self, fleet, dice, ended, between):
        self.fleet, self.dice, self.ended, self.between = fleet, dice, ended, between
        self.turns, self.faults = 0, []
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        away = None
        while not self.ended.wait(self.between):
            try:
                away = self.turn(away)
            except Exception as error:  # else nobody would leave any more, and all would look well
                self.faults.append("no machine leaves or comes any more: %r" % error)
                return
            self.turns += 1
            print("%s" % ("%s left" % away.name if away else "all are here"), flush=True)

    def turn(self, away):
        if away:
            away.start()
            return None
        leaving = self.fleet[self.dice.choice(["n2", "n3"])]
        leaving.terminate() if self.dice.random() < 0.5 else leaving.kill()
        return leaving


def compare(name, samples):
    """Sentences about what grew, with a line for each figure."""
    faults = []
    quarter = len(samples) // 4
    for figure, growth_max in GROWTH_MAX.items():
        early, late = (
            statistics.median(each[figure] for each in part)
            for part in (samples[quarter : 2 * quarter], samples[-quarter:])
        )
        print("%s, %s: %d in the second quarter, %d in the last" % (name, figure, early, late))
        if late - early > growth_max(early):
            faults.append("%s of %s grew from %d to %d" % (figure, name, early, late))
    return faults


def soak(options):
    dice, ended = random.Random(options.seed), threading.Event()
    names = ["n1", "n2", "n3", "door"]
    offered = memory_for("16,14", CONTEXT, SEQUENCES)  # two hold the model between them, one does not
    flags = {name: ["--memory", str(offered if name != "door" else 0)] for name in names}
    models = {name: [MODELS_FOLDER] for name in names}
    with Fleet(names, models, ["--threads", "1", "--no-replan"], node_flags=flags) as fleet:
        fleet.wait_joined()
        fleet["door"].load(SMOLLM2, context=CONTEXT, sequences=SEQUENCES)
        clients = [Client(fleet["door"], random.Random(dice.random()), ended) for _ in range(CLIENTS)]
        for client in clients:
            client.thread.start()
        samples = {name: [] for name in ("door", "n1")}
        mover = Mover(fleet, random.Random(dice.random()), ended, options.between)
        mover.thread.start()
        deadline = time.monotonic() + 60 * options.minutes
        while time.monotonic() < deadline:
            time.sleep(SAMPLE_SECONDS)
            for name, each in samples.items():
                each.append(sample(fleet[name]))
        ended.set()
        for worker in (mover, *clients):
            worker.thread.join(ANSWER_SECONDS_MAX)
        faults = [fault for worker in (mover, *clients) for fault in worker.faults]
        faults += ["%s did not end" % type(worker).__name__ for worker in (mover, *clients) if worker.thread.is_alive()]
        faults += ["a client had no answer at all" for client in clients if not client.answers]
        if not mover.turns:
            faults.append("no machine left or came")
        for name, each in samples.items():
            faults += compare(name, each)
        print("%d answers" % sum(client.answers for client in clients))
        return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--between", type=float, default=60, help="seconds from one leaving or coming to the next")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    options = parser.parse_args()
    print("seed %d" % options.seed, flush=True)
    faults = soak(options)
    for fault in faults[:20]:
        print(fault)
    print("%d faults" % len(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
