#!/usr/bin/env python3
"""Machines that compute all the time on cores they have to share: none may be taken for dead.

    FLOTILLA_BINARY=build/flotilla tests/chaos/starved.py [--minutes 60] [--burners 4]

A ring of three reads one long prompt after the other from four clients, while other programs burn every core. If a
machine or a runner were given up, its model would be loaded again, in a new epoch.

Exit code 0: the first epoch is still the one, all have seen each other all the time, and every prompt was answered.
"""

import argparse
import http.client
import os
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet  # noqa: E402

CLIENTS = 4
PROMPT_TOKENS = 1500
ANSWER_SECONDS_MAX = 600  # cores may be very short: what is looked for is machines given up, not slow ones
NAMES = ["a", "b", "c"]


class Reader(threading.Thread):
    """Has one prompt after the other read, each unlike all before."""

    def __init__(self, node, number, ended):
        super().__init__(daemon=True)
        self.node, self.number, self.ended = node, number, ended
        self.answers, self.faults = 0, []

    def run(self):
        while not self.ended.is_set():
            turn = self.answers * CLIENTS + self.number
            prompt = [300 + (turn * 7919 + place * 31) % 20000 for place in range(PROMPT_TOKENS)]
            try:
                self.node.complete(SMOLLM2, prompt, 1, timeout=ANSWER_SECONDS_MAX, cache_prompt=False)
            except (AssertionError, OSError, http.client.HTTPException) as error:
                self.faults.append(str(error)[:300])
            self.answers += 1


def watch(fleet, seconds):
    """Sentences about what was seen that should not be."""
    faults, deadline = [], time.monotonic() + seconds
    epochs = {placement["epoch"] for placement in fleet["a"].placements()}
    while time.monotonic() < deadline:
        time.sleep(1)
        for node in fleet:
            if node.joined() != NAMES:
                faults.append("%s sees only %s" % (node.name, node.joined()))
            now = {placement["epoch"] for placement in node.placements()}
            if now != epochs:
                faults.append("%s tells of epochs %s, not %s" % (node.name, now, epochs))
                epochs = now
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--burners", type=int, default=2 * os.cpu_count(), help="other programs that never pause")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends what was started, too
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.burners)]
    try:
        with Fleet(NAMES, {name: [MODELS_FOLDER] for name in NAMES}, ["--threads", "1", "--no-replan"]) as fleet:
            fleet.wait_joined()
            fleet["a"].load(SMOLLM2, nodes=NAMES, context=2048, sequences=4)
            ended = threading.Event()
            readers = [Reader(fleet[NAMES[number % len(NAMES)]], number, ended) for number in range(CLIENTS)]
            for reader in readers:
                reader.start()
            faults = watch(fleet, 60 * options.minutes)
            ended.set()
            for reader in readers:
                reader.join(ANSWER_SECONDS_MAX)
            faults += [fault for reader in readers for fault in reader.faults]
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    for fault in faults[:20]:
        print(fault)
    answers = sum(reader.answers for reader in readers)
    print("%d prompts of %d tokens beside %d burning programs: %d faults" % (
        answers, PROMPT_TOKENS, options.burners, len(faults)))
    return 1 if faults or not answers else 0


if __name__ == "__main__":
    sys.exit(main())
