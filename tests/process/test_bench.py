#!/usr/bin/env python3
"""`flotilla bench` against real nodes: what it measures, draws and leaves behind.

    FLOTILLA_BINARY=build/flotilla tests/process/test_bench.py [TEST...]
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import BINARY, LOAD_SECONDS, MODELS_FOLDER, SMOLLM2, Fleet, wait_until  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
# A name that means something to XML: whatever a file is called, its picture must be one.
ODD_NAME = "Smol & <Co> \"2\""
PROMPT, TOKENS = 24, 6
SHORT = ["--prompt", str(PROMPT), "--tokens", str(TOKENS), "--streams", "2,1"]
WIDTH, LAYERS = 576, 30  # SmolLM2's
HEADER, PIECE_VALUES = 48, 8192  # of frames and of summands, see docs/wire.md
ORDERS_BYTES = 16  # to the caches, a token
MOST_SECONDS = 300


def step_bytes(rows, values):
    """A step's frame with so many rows of activations."""
    return HEADER + 32 + rows * 16 + values * WIDTH * 4


class Bench(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.folder = tempfile.mkdtemp(prefix="flotilla-bench-")
        cls.stack.callback(shutil.rmtree, cls.folder, ignore_errors=True)
        os.symlink(os.path.join(MODELS_FOLDER, SMOLLM2 + ".gguf"), os.path.join(cls.folder, ODD_NAME + ".gguf"))
        folders = {"a": [MODELS_FOLDER, cls.folder]}
        cls.fleet = cls.stack.enter_context(Fleet(["a", "b"], models=folders, flags=["--threads", "1"]))
        cls.fleet.wait_joined()
        cls.a, cls.b = cls.fleet["a"], cls.fleet["b"]

    def command(self, *words, asked=None):
        return [BINARY, "bench", *words, "--api", "http://127.0.0.1:%d" % (asked or self.a).api_port]

    def environment(self):
        return {"PATH": os.environ["PATH"], "FLOTILLA_CONFIG": os.devnull}

    def bench(self, *words, asked=None):
        return subprocess.run(
            self.command(*words, asked=asked), env=self.environment(), capture_output=True, text=True, timeout=MOST_SECONDS, check=False
        )

    def placement_of(self, model):
        found = [placement for placement in self.a.placements() if placement["model"] == model]
        return found[0] if found else None

    def is_answering(self):
        placement = self.placement_of(SMOLLM2)
        return placement and placement.get("stats", {}).get("running")

    def test_both_sides_are_measured_in_pairs_and_nothing_stays_loaded(self):
        done = self.bench(SMOLLM2, *SHORT, "--pairs", "2", "--json")  # which of two equal machines is best is chance
        self.assertEqual(0, done.returncode, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([1, 2], report["streams"])
        self.assertIn(report["single"]["name"], ("a", "b"))
        self.assertEqual({"a", "b"}, set(report["cluster"]["name"].split(" + ")))
        for side in (report["single"], report["cluster"]):
            self.assertEqual([2, 2], [len(runs) for runs in side["runs"]])
            for runs in side["runs"]:
                for run in runs:
                    for field, value in run.items():
                        if side is report["cluster"] or field not in ("messages_per_token", "bytes_per_token"):
                            self.assertGreater(value, 0, field)
                    self.assertGreaterEqual(run["gap_p95_seconds"], run["gap_p50_seconds"])
        alone, ring = report["single"]["medians"][0], report["cluster"]["medians"][0]
        self.assertEqual((0, 0), (alone["messages_per_token"], alone["bytes_per_token"]))
        # Six steps, the prompt's among them, give six tokens; each goes two hops. Asked of the head's own node.
        self.assertEqual(2, ring["messages_per_token"])
        # Back come only the rows that want logits.
        prompt = step_bytes(rows=PROMPT, values=PROMPT) + step_bytes(rows=PROMPT, values=1)
        answer = 5 * 2 * step_bytes(rows=1, values=1)
        self.assertAlmostEqual((prompt + answer) / TOKENS, ring["bytes_per_token"], delta=ORDERS_BYTES)
        self.assertEqual([1, 2], [gain["streams"] for gain in report["gains"]])
        self.assertIn("one user", report["sentence"])
        self.assertIn("the planner uses one machine", " ".join(report["notes"]))
        self.assertIsNone(self.placement_of(SMOLLM2))

    def test_a_groups_members_count_their_summands_and_likeliest_tokens(self):
        words = ["--single", "a", "--nodes", "a,b", "--mode", "tensor", "--pairs", "1", "--json"]
        done = self.bench(SMOLLM2, *SHORT, *words)
        self.assertEqual(0, done.returncode, done.stderr)
        group = json.loads(done.stdout)["cluster"]["medians"][0]
        # Twice a layer each of two members sends the other its summands, in pieces, of the last layer only for the row
        # that wants logits; then the second sends its likeliest token.
        sums, of_a_layer = 2 * 2 * LAYERS, 2 * 2
        frames = (sums - of_a_layer) * -(-PROMPT * WIDTH // PIECE_VALUES) + of_a_layer + 5 * sums
        self.assertAlmostEqual((frames + TOKENS * 2) / TOKENS, group["messages_per_token"], places=6)
        values = ((sums - of_a_layer) * PROMPT + of_a_layer + 5 * sums) * WIDTH
        steps = step_bytes(rows=PROMPT, values=PROMPT) + 5 * step_bytes(rows=1, values=1)
        likeliest = TOKENS * (HEADER + 8 + 8)
        expected = values * 4 + frames * HEADER + steps + likeliest
        self.assertAlmostEqual(expected / TOKENS, group["bytes_per_token"], delta=ORDERS_BYTES)

    def test_what_was_loaded_before_is_loaded_again(self):
        self.a.load(SMOLLM2, nodes=["b", "a"], layers=[10, 20], context=300, sequences=3)
        self.addCleanup(self.a.unload, SMOLLM2)
        done = self.bench(SMOLLM2, *SHORT, "--pairs", "1", "--single", "a", "--nodes", "a,b")
        self.assertEqual(0, done.returncode, done.stderr)
        after = self.placement_of(SMOLLM2)
        self.assertEqual([["b"], ["a"]], [stage["nodes"] for stage in after["stages"]])
        self.assertEqual([[0, 10], [10, 30]], [stage["layers"] for stage in after["stages"]])
        self.assertEqual((300, 3), (after["context_tokens"], after["sequences"]))

    def test_what_the_planner_placed_is_the_planners_to_place_again(self):
        # Only the head knows that nobody wished for it (docs/api.md), and which of two alike is head is chance.
        head = self.fleet[self.a.load(SMOLLM2, context=300, sequences=3)["stages"][0]["nodes"][0]]
        self.addCleanup(self.a.unload, SMOLLM2)
        done = self.bench(SMOLLM2, *SHORT, "--pairs", "1", "--single", head.name, "--nodes", "a,b", asked=head)
        self.assertEqual(0, done.returncode, done.stderr)
        wishes = [placement.get("wishes") for node in self.fleet for placement in node.placements()]
        self.assertIn({"context": 300, "sequences": 3}, wishes)

    def test_the_table_and_the_picture_tell_the_same(self):
        path = os.path.join(self.folder, "bench.svg")
        done = self.bench(ODD_NAME, *SHORT, "--pairs", "1", "--single", "a", "--svg", path)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("generation, tok/s", done.stdout)
        self.assertIn("pair 1 of 1", done.stderr)
        root = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual(SVG + "svg", root.tag)
        self.assertEqual(ODD_NAME, root.find(SVG + "title").text)
        self.assertIn(root.find(SVG + "desc").text, done.stdout)  # the sentence
        texts = [text.text for text in root.iter(SVG + "text")]
        for label in ("a alone", "a + b", "answering, one user", "2 streams together"):
            self.assertIn(label, texts)
        bars = [bar for bar in root.iter(SVG + "rect") if bar.get("class") in ("first", "second") and bar.get("height") == "16"]
        self.assertEqual(6, len(bars))  # reading, answering and two streams, for two sides
        right = float(root.get("width"))
        for bar in bars:
            self.assertLess(float(bar.get("x")) + float(bar.get("width")), right)
        self.assertIn("prefers-color-scheme: dark", root.find(SVG + "style").text)

    def test_ctrl_c_restores_and_ends(self):
        self.a.load(SMOLLM2, nodes=["b"], context=200, sequences=1)
        self.addCleanup(self.a.unload, SMOLLM2)
        running = subprocess.Popen(
            self.command(SMOLLM2, "--prompt", "24", "--tokens", "600", "--streams", "1", "--single", "a"),
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.addCleanup(running.kill)
        wait_until(self.is_answering, LOAD_SECONDS, "an answer under way")
        measured = self.placement_of(SMOLLM2)
        self.assertEqual((["a"], [30]), (measured["wishes"].get("nodes"), measured["wishes"].get("layers")), "it stays")
        running.send_signal(signal.SIGINT)
        self.assertEqual(130, running.wait(LOAD_SECONDS))
        after = self.placement_of(SMOLLM2)
        self.assertEqual((200, [["b"]]), (after["context_tokens"], [stage["nodes"] for stage in after["stages"]]))

    def test_what_cannot_be_measured_is_said_and_changes_nothing(self):
        for words, message in (
            ([SMOLLM2, "--single", "nobody"], "nobody"),
            ([SMOLLM2, "--streams", "0"], "--streams"),
            (["no-such-model"], "no-such-model"),
            ([SMOLLM2, *SHORT, "--pairs", "1", "--single", "a", "--svg", "/nonexistent/x.svg"], "--svg"),
        ):
            done = self.bench(*words)
            self.assertNotEqual(0, done.returncode, words)
            self.assertIn(message, done.stderr)
            self.assertIsNone(self.placement_of(SMOLLM2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
