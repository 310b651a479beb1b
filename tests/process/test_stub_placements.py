#!/usr/bin/env python3
"""`stub_placements`: rings whose stages only take their time do what the planner foretold of such machines.

    FLOTILLA_BINARY=build/flotilla tests/process/test_stub_placements.py [TEST...]
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import BINARY, SANITIZED  # noqa: E402

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(BINARY)), "bench", "ring", "stub_placements")
NOT_HERE = 77
MOST_SECONDS = 120
# Stages of some 10 ms a token and long ways between them, so that a busy machine's wake-ups are little beside them.
FLEET = """
title = "Three small machines"

[[machine]]
name = "small"
count = 2
memory = "300M"
bandwidth = 8

[[machine]]
name = "quick"
memory = "300M"
bandwidth = 32

[link]
latency_us = 4000
gbit = 0.5

[model."tiny"]
layers = 12
width = 1024
heads = 16
kv_heads = 4
head_length = 64
feed_forward = 4096
vocabulary = 32000
context = 1024
bits = 4.5
"""


class StubPlacements(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name, text=""):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run_program(self, *words):
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=MOST_SECONDS, check=False)

    def test_rings_take_what_was_foretold(self):
        report = self.path("report.json")
        words = ["--rounds", "2", "--prompt", "256", "--tokens", "8", "--json", report]
        done = self.run_program(self.path("fleet.toml", FLEET), *words)
        self.assertEqual(0, done.returncode, done.stderr)
        with open(report, encoding="utf-8") as file:
            [fleet] = json.load(file)
        ways = [placement["way"] for placement in fleet["placements"]]
        self.assertEqual("chosen", ways[0])
        self.assertGreater(len(ways), 1)
        self.assertEqual(len(ways), len({placement["who"] for placement in fleet["placements"]}))
        for placement in fleet["placements"]:
            self.assertEqual(2, len(placement["runs"]))
            for figure, foretold in placement["predicted"].items():
                measured = min(run[figure] for run in placement["runs"])
                # Sleeping is never too short; how much too long it is depends on what else runs here.
                self.assertGreater(measured, 0.9 * foretold, (placement["who"], figure))
                if not SANITIZED:
                    self.assertLess(measured, 1.5 * foretold, (placement["who"], figure))
        self.assertIn("Three small machines", done.stdout)
        self.assertIn("%d placements on 1 fleets" % len(ways), done.stdout)

    def test_a_fleet_without_a_model_is_refused_by_name(self):
        path = self.path("fleet.toml", FLEET[: FLEET.index("[model")])
        done = self.run_program(path)
        self.assertEqual(1, done.returncode)
        self.assertIn(path, done.stderr)


if __name__ == "__main__":
    if not os.path.exists(PROGRAM):
        sys.exit(NOT_HERE)
    unittest.main(verbosity=2)
