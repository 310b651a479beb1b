#!/usr/bin/env python3
"""Files that are cut, foreign or lie, models this version cannot run, and machines too small for them: each case
checks the words, and that the node lives on and still answers with a good model.

    FLOTILLA_BINARY=build/flotilla tests/process/test_bad_files.py [TEST...]
"""

import os
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "hostile")]

import gguf_tools  # noqa: E402
from flotilla import MODELS_FOLDER, SMOLLM2, Fleet, wait_until  # noqa: E402
from node_test import NodeTest  # noqa: E402

ORIGINAL = os.path.join(MODELS_FOLDER, SMOLLM2 + ".gguf")


class BadFiles(NodeTest):
    """A models folder full of files that lie. Good ones beside them stay usable."""

    @classmethod
    def prepare(cls, folder):
        path = lambda name: os.path.join(folder, name + ".gguf")  # noqa: E731
        size = os.path.getsize(ORIGINAL)
        sound = gguf_tools.read_header(ORIGINAL)
        gguf_tools.truncate(ORIGINAL, path("cut-in-header"), len(sound.encode()) // 2)
        gguf_tools.write_like(ORIGINAL, sound, path("cut-in-data"))
        os.truncate(path("cut-in-data"), size // 2)
        with open(path("foreign"), "wb") as file:
            file.write(b"PK\x03\x04 this is no model at all" * 100)
        open(path("empty"), "wb").close()
        os.mkdir(path("folder"))
        os.symlink("/nowhere/at/all.gguf", path("dangling"))
        for name, change in cls.lies().items():
            header = gguf_tools.read_header(ORIGINAL)
            change(header)
            gguf_tools.write_like(ORIGINAL, header, path(name))

    @staticmethod
    def lies():
        def tensor(**fields):
            return lambda header: vars(header.tensors[7]).update(fields)

        def key(name, kind, raw):
            return lambda header: header.keys.append(gguf_tools.Key(name, kind, raw))

        huge = struct.pack("<IQ", gguf_tools.STRING, 1 << 60)
        return {
            "offset-beyond": tensor(offset=1 << 40),
            "offset-wraps": tensor(offset=(1 << 64) - 32),
            "type-unknown": tensor(kind=250),
            "type-negative": tensor(kind=-1),
            "size-negative": tensor(shape=[-576, 576]),
            "size-overflow": tensor(shape=[1 << 40, 1 << 40]),
            "size-zero": tensor(shape=[576, 0]),
            "dimensions": tensor(shape=[32, 1, 1, 1, 1, 1]),
            "count-keys": lambda header: vars(header).update(key_count=1 << 50),
            "count-tensors": lambda header: vars(header).update(tensor_count=1 << 50),
            "count-negative": lambda header: vars(header).update(tensor_count=-1),
            "key-array-huge": key("x.y", gguf_tools.ARRAY, huge),
            "key-type-unknown": key("x.y", 99, b""),
            "version-future": lambda header: vars(header).update(version=77),
        }

    # Words that the log must say about each file, beside its name.
    WORDS = {
        "cut-in-header": "cut short",
        "cut-in-data": "fetch it again",
        "foreign": "not a GGUF",
        "offset-beyond": "expected",
        "type-unknown": "250",
        "size-negative": "positive",
        "dimensions": "dimensions",
        "version-future": "77",
    }

    def test_each_is_skipped_and_the_log_says_why(self):
        listed = [model["id"] for model in self.a.get("/v1/models").json()["data"]]
        self.assertIn(SMOLLM2, listed)
        log = self.a.log()
        for name in ["cut-in-header", "cut-in-data", "foreign", "empty", *self.lies()]:
            with self.subTest(file=name):
                self.assertNotIn(name, listed)
                said = [line for line in log.splitlines() if name + ".gguf" in line]
                self.assertTrue(said, "the log must name the file")
                self.assertIn(self.WORDS.get(name, "expected"), " ".join(said))

    def test_asking_for_one_is_asking_for_a_model_nobody_has(self):
        for name in ["cut-in-data", "foreign", "offset-beyond"]:
            answer = self.a.post("/v1/completions", {"model": name, "prompt": "Once", "max_tokens": 1})
            with self.subTest(file=name):
                self.refuse(answer, 404, code="model_not_found")

    def test_a_file_that_is_cut_after_it_was_listed(self):
        path = os.path.join(self.bad_folder, "cut-later.gguf")
        header = gguf_tools.read_header(ORIGINAL)
        header.set("general.name", gguf_tools.STRING, "not the sound file under another name")
        gguf_tools.write_like(ORIGINAL, header, path)
        self.addCleanup(os.remove, path)
        wait_until(lambda: self.is_listed("cut-later"), 20, "the new file to be listed")
        os.truncate(path, os.path.getsize(path) // 2)
        answer = self.a.post("/v1/completions", {"model": "cut-later", "prompt": "Once", "max_tokens": 1})
        self.assertGreaterEqual(answer.status, 400, answer)
        self.assertIn("expected", answer.error()["message"])

    def is_listed(self, name):
        return name in [model["id"] for model in self.a.get("/v1/models").json()["data"]]


class BadModels(NodeTest):
    """Files that are sound GGUF but not models this version can run."""

    @classmethod
    def prepare(cls, folder):
        def write(name, change):
            header = gguf_tools.read_header(ORIGINAL)
            change(header)
            gguf_tools.write_like(ORIGINAL, header, os.path.join(folder, name + ".gguf"))

        def rename_tensor(header):
            header.tensor("blk.3.attn_q.weight").name = "blk.3.attn_x.weight"

        def reshape(header):
            header.set("llama.embedding_length", gguf_tools.UINT32, 600)

        def heads(header):
            header.set("llama.attention.head_count", gguf_tools.UINT32, 0)

        write("unknown-family", lambda header: header.set_text("general.architecture", "unheard-of"))
        write("unknown-pre", lambda header: header.set_text("tokenizer.ggml.pre", "unheard-of"))
        write("unknown-vocabulary", lambda header: header.set_text("tokenizer.ggml.model", "unheard-of"))
        write("tensor-missing", rename_tensor)
        write("shape-contradicts", reshape)
        write("no-heads", heads)
        gguf_tools.write_small(
            os.path.join(folder, "tiny.gguf"),
            {"general.architecture": (gguf_tools.STRING, "llama")},
            {"token_embd.weight": ([32, 4], 0)},
        )

    def ask(self, model):
        return self.a.post("/v1/completions", {"model": model, "prompt": "Once", "max_tokens": 1})

    def test_unknown_family(self):
        self.refuse(self.ask("unknown-family"), 400, "unheard-of", "llama", "gemma3", code="unsupported")

    def test_unknown_pre_tokenizer(self):
        self.refuse(self.ask("unknown-pre"), 400, "pre-tokenizer", "unheard-of", "smollm", code="unsupported")

    def test_unknown_kind_of_vocabulary(self):
        self.refuse(self.ask("unknown-vocabulary"), 400, "unheard-of", code="unsupported")

    def test_contradictions_inside_a_file(self):
        for model, word in [
            ("tensor-missing", "blk.3.attn_q.weight"),
            ("shape-contradicts", "600"),
            ("no-heads", "head_count"),
            ("tiny", "llama."),
        ]:
            with self.subTest(model=model):
                answer = self.ask(model)
                self.assertGreaterEqual(answer.status, 400, answer)
                self.assertIn(word, answer.error()["message"])
                self.assertNotEqual("internal", answer.error()["code"])


class NoRoom(unittest.TestCase):
    def test_a_model_that_fits_nowhere(self):
        with Fleet(["a", "b"], models={"a": [MODELS_FOLDER]}, flags=["--memory", "70M", "--threads", "1"]) as fleet:
            fleet.wait_joined()
            answer = fleet["b"].post("/load", {"model": SMOLLM2})
            error = answer.error()
            self.assertEqual("no_memory", error["code"])
            for word in ("a offers 0.068 GiB", "b offers 0.068 GiB", "GiB short", "--memory"):
                self.assertIn(word, error["message"])
            self.assertEqual(
                507, fleet["b"].post("/v1/completions", {"model": SMOLLM2, "prompt": "Once", "max_tokens": 1}).status
            )
            for node in fleet:
                self.assertEqual(200, node.get("/health").status)
                self.assertEqual([], node.runner_pids())

    def test_a_disk_that_fills_while_copying(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to mount a small disk")
        disk = tempfile.mkdtemp(prefix="flotilla-disk-")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], check=True)
        try:
            fleet = Fleet(["a", "b"], models={"a": [MODELS_FOLDER]}, flags=["--threads", "1"], start=False)
            fleet["b"].home = os.path.join(disk, "home")
            for node in fleet:
                node.launch()
            with fleet:
                for node in fleet:
                    node.wait_healthy()
                fleet.wait_joined()
                self.check_full_disk(fleet, disk)
        finally:
            subprocess.run(["umount", disk], check=True)
            os.rmdir(disk)

    def check_full_disk(self, fleet, disk):
        error = (
            fleet["a"].post("/load", {"model": SMOLLM2, "nodes": ["a", "b"], "context": 512, "sequences": 1}).error()
        )
        self.assertEqual("no_space", error["code"], error)
        self.assertIn(disk, error["message"])
        self.assertIn("missing", error["message"])
        self.assertEqual(["a", "b"], fleet["b"].joined())
        # The machine that has the file answers alone.
        fleet["a"].load(SMOLLM2, nodes=["a"], context=512, sequences=1)
        self.assertTrue(fleet["b"].complete(SMOLLM2, "Once", 2)["text"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
