#!/usr/bin/env python3
"""Vectors of texts from real nodes: as another implementation made them, from any machine, and whatever dies meanwhile.

    FLOTILLA_BINARY=build/flotilla tests/process/test_embeddings.py
"""

import base64
import json
import math
import os
import struct
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import MINILM, MODELS_FOLDER, SMOLLM2, Fleet, wait_until  # noqa: E402

RECORDED = os.path.join(HERE, "..", "data", "embeddings", "all-MiniLM-L6-v2.json")
DISTANCE_MAX = 1e-3
LENGTH, CONTEXT = 384, 512
SLOW = ["the harbour keeps a lantern for boats"] * 2048  # some 20,000 tokens


def recorded():
    with open(RECORDED, encoding="utf-8") as file:
        return [
            (each["text"], struct.unpack("<%de" % LENGTH, base64.b64decode(each["vector"])))
            for each in json.load(file)["texts"]
        ]


def distance(one, other):
    dot = sum(a * b for a, b in zip(one, other))
    return 1 - dot / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def embed(node, texts, **fields):
    """The vectors, by the form that OpenAI's clients ask for."""
    answer = node.post("/v1/embeddings", dict({"model": MINILM, "input": texts, "encoding_format": "base64"}, **fields))
    if answer.status != 200:
        raise AssertionError("expected vectors but got %s\n%s" % (answer, node.log()))
    return [struct.unpack("<%df" % LENGTH, base64.b64decode(each["embedding"])) for each in answer.json()["data"]]


def rows(node):
    """Tokens that the copy on this node has embedded, as it told."""
    return sum(
        stage["rows"]
        for placement in node.placements()
        for stage in placement.get("stats", {}).get("stages", [])
        if placement["model"] == MINILM
    )


class Running(threading.Thread):
    """Vectors asked for beside; result() gives them."""

    def __init__(self, node, texts):
        super().__init__(daemon=True)
        self.node, self.texts, self.answer, self.error = node, texts, None, None
        self.start()

    def run(self):
        try:
            self.answer = embed(self.node, self.texts)
        except BaseException as error:
            self.error = error

    def result(self):
        self.join(180)
        if self.error:
            raise self.error
        return self.answer


class OneNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet(["a"], models={"a": [MODELS_FOLDER]}, flags=["--threads", "1", "--log-level", "info"]).__enter__()
        cls.addClassCleanup(cls.fleet.stop)
        cls.a = cls.fleet["a"]

    def refuse(self, path, body, *words):
        answer = self.a.post(path, body)
        self.assertEqual(400, answer.status, answer)
        for word in words:
            self.assertIn(word, answer.body.decode())

    def test_every_recorded_text_has_the_vector_that_another_implementation_made(self):
        texts, vectors = zip(*recorded())
        self.assertGreaterEqual(len(texts), 200)
        worst = max(map(distance, embed(self.a, texts), vectors))
        print("the largest cosine distance of %d texts: %.1e" % (len(texts), worst))
        self.assertLessEqual(worst, DISTANCE_MAX)

    def test_a_model_is_not_loaded_for_what_it_cannot_do(self):
        chat = [{"role": "user", "content": "hi"}]
        self.a.unload(MINILM) if self.a.placements() else None
        self.refuse("/v1/chat/completions", {"model": MINILM, "messages": chat}, "/v1/embeddings", "unsupported")
        self.refuse("/v1/embeddings", {"model": SMOLLM2, "input": "hi"}, "generates text", "unsupported")
        self.refuse("/api/embed", {"model": SMOLLM2, "input": "hi"}, "generates text")
        self.assertEqual([], self.a.placements())

    def test_what_a_model_can_do_is_told(self):
        self.assertEqual(["embedding"], self.a.get("/models/" + MINILM).json()["capabilities"])
        self.assertEqual(["embedding"], self.a.post("/api/show", {"model": MINILM}).json()["capabilities"])
        self.assertEqual(["completion"], self.a.post("/api/show", {"model": SMOLLM2}).json()["capabilities"])

    def test_ollamas_answers_take_their_time_and_cut_long_texts(self):
        long_text = "moss " * 2000
        answer = self.a.post("/api/embed", {"model": MINILM, "input": ["a boat", long_text]}).json()
        self.assertEqual(2, len(answer["embeddings"]))
        self.assertEqual(4 + CONTEXT, answer["prompt_eval_count"])
        self.assertTrue(0 < answer["load_duration"] < answer["total_duration"])
        self.assertLess(distance(answer["embeddings"][0], embed(self.a, ["a boat"])[0]), 1e-6)
        self.refuse("/api/embed", {"model": MINILM, "input": long_text, "truncate": False}, "at most 512 tokens")
        self.refuse("/v1/embeddings", {"model": MINILM, "input": long_text}, "context_length_exceeded")
        old = self.a.post("/api/embeddings", {"model": MINILM, "prompt": "a boat"}).json()
        self.assertLess(distance(old["embedding"], answer["embeddings"][0]), 1e-6)

    def test_one_text_does_not_wait_for_thousands_of_another_client(self):
        embed(self.a, "warm")
        crowd = Running(self.a, SLOW)
        wait_until(lambda: rows(self.a) > 2000, 60, "the many texts to be under way")
        began = time.monotonic()
        embed(self.a, "a single text")
        alone = time.monotonic() - began
        crowd.result()
        whole = time.monotonic() - began
        self.assertLess(alone, whole / 4)

    def test_what_was_embedded_is_counted(self):
        embed(self.a, ["one", "two"])
        metrics = self.a.get("/metrics").body.decode()
        self.assertRegex(metrics, r'flotilla_embedded_texts_total\{model_name="%s"\} [1-9]' % MINILM)
        self.assertRegex(metrics, r'flotilla_http_requests_total\{route="/v1/embeddings",method="POST",status="200"\} ')


class Copies(unittest.TestCase):
    """a has the file; a copy is on b too; c holds none and forwards."""

    def setUp(self):
        names = ["a", "b", "c"]
        self.fleet = Fleet(names, models={"a": [MODELS_FOLDER]}, flags=["--threads", "1", "--log-level", "info"]).__enter__()
        self.addCleanup(self.fleet.stop)
        self.fleet.wait_joined()
        self.a, self.b, self.c = self.fleet
        self.c.load(MINILM, nodes=["a", "b"])
        for node in self.fleet:
            wait_until(lambda: self.holders(node) == ["a", "b"], 30, "%s to see both copies" % node.name)
        self.texts, self.vectors = zip(*recorded())

    @staticmethod
    def holders(node):
        return sorted(
            name
            for placement in node.placements()
            for name in placement["stages"][0]["nodes"]
            if placement["model"] == MINILM and placement["state"] == "ready"
        )

    def check(self, vectors):
        self.assertEqual(len(self.texts), len(vectors))
        self.assertLessEqual(max(map(distance, vectors, self.vectors)), DISTANCE_MAX)

    def test_both_copies_work_for_a_machine_that_has_none(self):
        self.check(embed(self.c, self.texts))
        wait_until(lambda: rows(self.a) > 500 and rows(self.b) > 500, 10, "both copies to have worked")
        self.c.unload(MINILM)
        self.assertEqual([], self.holders(self.c))
        wait_until(lambda: not self.a.runner_pids() + self.b.runner_pids(), 10, "the runners to have ended")

    def test_whatever_dies_no_vector_is_missing_or_another_text_s(self):
        expected = embed(self.c, SLOW[:1])[0]
        crowd = Running(self.c, SLOW)
        wait_until(lambda: rows(self.b) > 1000, 60, "the work to be under way on b")
        os.kill(self.b.runner_pids()[0], 9)
        wait_until(lambda: self.holders(self.c) == ["a"], 30, "the copy on b to be gone")
        vectors = crowd.result()
        self.assertEqual(len(SLOW), len(vectors))
        self.assertLess(max(distance(vector, expected) for vector in vectors), 1e-5)

        self.c.load(MINILM, nodes=["a", "b"])
        wait_until(lambda: self.holders(self.c) == ["a", "b"], 30, "the copy on b to be back")
        some = SLOW[:1500]
        crowd = Running(self.c, some + list(self.texts))
        wait_until(lambda: rows(self.b) > 1000, 60, "the work to be under way on b again")
        self.b.kill()
        vectors = crowd.result()
        self.assertLess(max(distance(vector, expected) for vector in vectors[: len(some)]), 1e-5)
        self.check(vectors[len(some) :])

    def test_where_the_only_copy_dies_the_model_is_loaded_again(self):
        self.c.load(MINILM, nodes=["b"])
        wait_until(lambda: self.holders(self.c) == ["b"], 30, "the copy on a to be gone")
        crowd = Running(self.c, SLOW[:600] + list(self.texts))
        wait_until(lambda: rows(self.b) > 500, 60, "the work to be under way on b")
        os.kill(self.b.runner_pids()[0], 9)
        self.check(crowd.result()[600:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
