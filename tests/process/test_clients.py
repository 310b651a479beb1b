#!/usr/bin/env python3
"""Real clients, unmodified, and requests of the shapes that agents send, against each node of a ring of three that holds real
models: one that knows no tools and one that does.

    FLOTILLA_BINARY=build/flotilla tests/process/test_clients.py
"""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import MINILM, MODELS_FOLDER, SMOLLM2, THOROUGH, Fleet  # noqa: E402
from tool_model import TOOL_MODEL, make_tool_model  # noqa: E402

CLIENTS = os.path.join(HERE, "..", "clients", "run")
NOT_INSTALLED = 77
CLIENTS_SECONDS = 400


class Clients(unittest.TestCase):
    def test_every_makers_clients_work_against_any_node(self):
        names = ["a", "b", "c"]
        folder = self.enterContext(tempfile.TemporaryDirectory())
        make_tool_model(folder)
        with Fleet(names, models={"a": [MODELS_FOLDER, folder]}, flags=["--threads", "1"]) as fleet:
            fleet.wait_joined()
            for model in (SMOLLM2, TOOL_MODEL):
                fleet["a"].load(model, nodes=names, context=2048, sequences=4)
            asked = fleet if THOROUGH else (fleet["a"], fleet["c"])  # the head, and one whose answers come from there
            urls = ["http://127.0.0.1:%d/v1" % node.api_port for node in asked]
            environment = dict(os.environ, FLOTILLA_TOOL_MODEL=TOOL_MODEL, FLOTILLA_EMBEDDER=MINILM)
            run = subprocess.run([CLIENTS, SMOLLM2, *urls], capture_output=True, text=True, timeout=CLIENTS_SECONDS, env=environment)
        if run.returncode == NOT_INSTALLED:
            self.fail("the clients are not installed; run tests/clients/setup")
        self.assertEqual(0, run.returncode, run.stdout[-4000:] + run.stderr[-4000:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
