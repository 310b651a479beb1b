#!/usr/bin/env python3
"""What bench/peers computes and tells, without measuring: a harness that flatters is worse than none.

    tests/bench/test_lib.py [TEST...]
"""

import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import tempfile
import types
import unittest

PROJECT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(PROJECT, "bench"))

from lib import figures, machines, scenarios, streams  # noqa: E402
from lib.figures import Line, NotSupported  # noqa: E402
from lib.report import Report  # noqa: E402


def script(name):
    """A program of bench/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(PROJECT, "bench", name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


PEERS = script("peers")


class Turns(unittest.TestCase):
    def test_pairs_alternate_their_order(self):
        asked, told = [], []
        sides = {name: lambda name=name: asked.append(name) or {"rate": len(asked)} for name in ("a", "b", "c")}
        pairs = figures.in_turns(sides, 3, lambda pair, side, found: told.append((pair, side)))
        self.assertEqual(list("abccbaabc"), asked)
        self.assertEqual([(0, "a"), (0, "b"), (0, "c"), (1, "c")], told[:4])
        self.assertEqual({"a": {"rate": 6}, "b": {"rate": 5}, "c": {"rate": 4}}, pairs[1])


class Lines(unittest.TestCase):
    pairs = [{"a": {"x": 10}, "b": {"x": 10}}, {"a": {"x": 30}, "b": {"x": 20}}, {"a": {"x": 20}, "b": {"x": 5}}]

    def test_the_median_of_the_pairs_ratios_counts(self):
        result = Line("", ("a", "x"), ("b", "x")).result(self.pairs)
        self.assertEqual([1, 1.5, 4], result["ratios"])
        self.assertEqual((1.5, 20, 10), (result["ratio"], result["ours"], result["theirs"]))

    def test_a_part_of_a_ceiling_may_differ_from_pair_to_pair(self):
        result = Line("", ("a", "x"), ("b", "x"), times=lambda pair: 0.5 if pair["a"]["x"] == 10 else 1).result(self.pairs)
        self.assertEqual([2, 1.5, 4], result["ratios"])

    def test_a_goal_is_reached_or_not(self):
        self.assertEqual("yes", Line("", ("a", "x"), goal=1.5).met(1.5))
        self.assertEqual("**no**", Line("", ("a", "x"), goal=1.5).met(1.499))
        self.assertEqual("**no**", Line("", ("a", "x"), goal=1.5, at_most=True).met(1.501))
        self.assertEqual("", Line("", ("a", "x")).met(0))

    def test_a_side_that_was_not_measured_is_said_and_not_made_up(self):
        line = Line("decode", ("a", "x"), ("llama", "x"), 1)
        self.assertIsNone(line.result(self.pairs))
        self.assertIn("| decode | 20.0 tok/s | not measured | | | ≥ 1 | |", figures.table([line], self.pairs))
        self.assertIn("| decode | not measured | not measured |", figures.table([line], [{}]))

    def test_the_table_has_a_row_for_each_line(self):
        text = figures.table([Line("decode", ("a", "x"), ("b", "x"), 2), Line("bytes", ("a", "x"), unit="")], self.pairs)
        self.assertIn("| decode | 20.0 tok/s | 10.0 tok/s | 1.500 | 1.000 to 4.000 | ≥ 2 | **no** |", text)
        self.assertIn("| bytes | 20.0 |  |  |  |  |  |", text)


class Arithmetic(unittest.TestCase):
    def test_rates_together_count_only_while_all_run(self):
        early, late = [0, 1, 2, 3, 4], [2, 2.5, 3, 3.5, 4, 9]
        # From 2 to 4 the first gives two tokens and the second four.
        self.assertEqual(3, figures.together([early, late]))
        self.assertEqual(0, figures.together([[0, 1], [2, 3]]))

    def test_the_similar_link_keeps_both_shares(self):
        layer, width = 1.45e-3, 2048
        link = figures.similar_link(layer, width)
        self.assertAlmostEqual(0.5, link["scale"])
        self.assertAlmostEqual(150e-6 / figures.REAL_LAYER_SECONDS, link["delay_seconds"] / layer)
        real = figures.REAL_WIDTH * 32 / 1e9 / figures.REAL_LAYER_SECONDS
        self.assertAlmostEqual(real, width * 32 / link["bits_per_second"] / layer)
        self.assertEqual("delay=75000ns,rate=1000000000", figures.link_text(link))

    def test_chunks_fill_a_pipeline(self):
        self.assertEqual(1 / 2, figures.pipelined_share(1, 2))
        self.assertEqual(32 / 33, figures.pipelined_share(32, 2))
        self.assertEqual(1, figures.pipelined_share(5, 1))


class Events(unittest.TestCase):
    def test_tokens_of_both_servers_are_counted(self):
        self.assertEqual(2, streams.tokens_in({"choices": [{"token_ids": [5, 6]}]}, 3))
        self.assertEqual(0, streams.tokens_in({"choices": [], "usage": {}}, 3))
        self.assertEqual(2, streams.tokens_in({"content": "é", "tokens_predicted": 5, "stop": False}, 3))
        self.assertEqual(0, streams.tokens_in({"content": "", "tokens_predicted": 5, "stop": True}, 5))
        with self.assertRaises(RuntimeError):
            streams.tokens_in({"error": {"message": "gone"}}, 0)

    def test_an_answer_of_another_length_is_no_figure(self):
        stream = streams.Stream(1, "/v1/completions", {"prompt": [1]})
        stream.lines = [(1.0, b'data: {"choices": [{"token_ids": [5]}]}\n'), (2.0, b"data: [DONE]\n")]
        self.assertEqual([1.0], stream.moments(1))
        with self.assertRaises(RuntimeError):
            stream.moments(2)


class Pairs(unittest.TestCase):
    def test_what_fails_in_one_copy_of_a_ceiling_is_what_is_told(self):
        def answers(_bench, asked, _prompt, _tokens):
            if asked[0][1] == "copy-b":
                raise NotSupported("the node ended")
            return {}

        pair = object.__new__(scenarios.Pair)
        pair.bench, pair.copies = None, [(None, "copy-a"), (None, "copy-b")]
        self.addCleanup(setattr, scenarios, "answers_of", scenarios.answers_of)
        scenarios.answers_of = answers
        with contextlib.redirect_stderr(io.StringIO()) as stderr, self.assertRaisesRegex(NotSupported, "the node ended"):
            pair.ceiling(2, 1, 1)
        self.assertEqual("", stderr.getvalue())


class Fleets(unittest.TestCase):
    def test_each_node_is_stopped_whatever_became_of_the_others(self):
        stopped = []

        def stop(name):
            stopped.append(name)
            raise AssertionError("runner 7 of %s stays" % name)

        hosts = {name: types.SimpleNamespace(address="127.0.0.1", core=0) for name in machines.NAMES}
        fleet = machines.Fleet(hosts, {})
        for name in machines.NAMES:
            fleet.nodes[name].stop = lambda name=name: stop(name)
        with self.assertRaisesRegex(AssertionError, "stays"):
            fleet.__exit__()
        self.assertEqual(sorted(machines.NAMES), sorted(stopped))
        self.assertFalse(os.path.exists(fleet.folder))


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        self.report = Report(os.path.join(self.folder, "out"))
        self.addCleanup(self.report.raw.close)
        self.addCleanup(self.report.text.close)
        self.bench = scenarios.Bench(self.report, "m.gguf", 1, "smoke")

    def told(self):
        with open(os.path.join(self.folder, "out", "tables.md")) as file:
            return file.read()

    def gate(self, **speeds):
        rates = {name: {"prefill": prefill, "decode": decode} for name, (prefill, decode) in speeds.items()}
        before = scenarios.engine.measure, scenarios.oracle.bench, scenarios.oracle.missing
        self.addCleanup(lambda: self.put_back(before))
        scenarios.engine.measure = lambda *_, **__: rates["ours"]
        scenarios.oracle.bench = lambda *_, **__: rates["llama"]
        scenarios.oracle.missing = lambda: None if "llama" in rates else "not here"
        scenarios.one_core(self.bench)

    @staticmethod
    def put_back(before):
        scenarios.engine.measure, scenarios.oracle.bench, scenarios.oracle.missing = before

    def test_one_core_that_is_slower_than_the_peer_voids_the_run(self):
        self.gate(ours=(100, 96), llama=(100, 100))
        self.assertEqual(1, len(self.bench.void))
        self.assertEqual(PEERS.EXIT_VOID, PEERS.conclude(self.bench, ["one-core", "tensor"], True))
        self.assertIn("**VOID**", self.told())

    def test_one_core_that_keeps_up_does_not(self):
        self.gate(ours=(98, 97), llama=(100, 100))
        self.assertEqual([], self.bench.void)
        self.assertEqual(0, PEERS.conclude(self.bench, ["one-core", "tensor"], True))
        self.assertNotIn("VOID", self.told())

    def test_a_run_without_the_peer_is_void_too(self):
        self.gate(ours=(98, 97))
        self.assertEqual(["one core was not compared with llama-bench"], self.bench.void)

    def test_a_run_without_the_gate_is_void_where_it_needs_it(self):
        self.assertEqual(PEERS.EXIT_VOID, PEERS.conclude(self.bench, ["tensor"], True))
        self.assertEqual(0, PEERS.conclude(self.bench, ["reuse"], False))

    def test_the_gate_comes_first_where_it_is_needed(self):
        def arguments(*names, no_gate=False):
            return argparse.Namespace(scenario=list(names), no_gate=no_gate)

        self.assertEqual(["one-core", "tensor"], PEERS.chosen(arguments("tensor")))
        self.assertEqual(["reuse"], PEERS.chosen(arguments("reuse")))
        self.assertEqual(["tensor"], PEERS.chosen(arguments("tensor", no_gate=True)))
        self.assertEqual(list(scenarios.SCENARIOS), PEERS.chosen(arguments()))

    def test_one_scenarios_end_is_not_the_end_of_the_others(self):
        def cannot(_bench):
            raise NotSupported("needs root")

        def fails(_bench):
            raise RuntimeError("the node ended")

        for name, function in (("tensor", cannot), ("hop", fails)):
            self.addCleanup(scenarios.SCENARIOS.__setitem__, name, scenarios.SCENARIOS[name])
            scenarios.SCENARIOS[name] = function
            PEERS.run_one(name, self.bench)
        self.assertEqual(["hop"], self.report.failed)
        self.assertIn("Left out: needs root", self.told())
        self.assertIn("Failed: the node ended", self.told())
        self.assertEqual(PEERS.EXIT_FAILED, PEERS.conclude(self.bench, ["hop"], False))

    def test_every_measurement_is_kept_as_it_comes(self):
        sides = {"ours": lambda: {"x": 2.0}, "llama": lambda: {"x": 4.0}}
        self.bench.compare("A title", "a-scenario", sides, [Line("x", ("ours", "x"), ("llama", "x"), 1)])
        with open(os.path.join(self.folder, "out", "pairs.jsonl")) as file:
            kept = [json.loads(line) for line in file]
        self.assertEqual([("ours", {"x": 2.0}), ("llama", {"x": 4.0})], [(entry["side"], entry["figures"]) for entry in kept])
        self.assertEqual({"a-scenario"}, {entry["scenario"] for entry in kept})
        self.assertEqual(["a-scenario: x"], self.report.missed)
        self.assertIn("## A title", self.told())


if __name__ == "__main__":
    unittest.main(verbosity=2)
