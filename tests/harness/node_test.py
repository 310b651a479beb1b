"""What tests of one living node have in common: it must outlive whatever they do to it."""

import contextlib
import shutil
import tempfile
import unittest

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet

CONTEXT_TOKENS = 256


class NodeTest(unittest.TestCase):
    """One node with the real model and a folder for bad files; every test ends with a good answer from it."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.bad_folder = tempfile.mkdtemp(prefix="flotilla-bad-")
        cls.stack.callback(shutil.rmtree, cls.bad_folder, ignore_errors=True)
        cls.prepare(cls.bad_folder)
        cls.fleet = cls.stack.enter_context(cls.make_fleet())
        cls.a = cls.fleet["a"]
        cls.a.load(SMOLLM2, context=CONTEXT_TOKENS, sequences=2)

    @classmethod
    def prepare(cls, folder):
        pass

    @classmethod
    def make_fleet(cls):
        return Fleet(
            ["a"], models={"a": [MODELS_FOLDER, cls.bad_folder]}, flags=["--threads", "1", "--log-level", "info"]
        )

    def setUp(self):
        self.pid = self.a.process.pid

    def tearDown(self):
        self.assertTrue(self.a.alive(), "the node ended:\n" + self.a.log())
        self.assertEqual(self.pid, self.a.process.pid)
        self.assertEqual(2, len(self.a.complete(SMOLLM2, "The capital of France is", 2)["token_ids"]))

    def refuse(self, answer, status, *words, code=None, param=None):
        self.assertEqual(status, answer.status, answer)
        error = answer.error()
        for word in words:
            self.assertIn(word, error["message"])
        if code is not None:
            self.assertEqual(code, error["code"])
        if param is not None:
            self.assertEqual(param, error["param"])
