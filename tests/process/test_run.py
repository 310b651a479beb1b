#!/usr/bin/env python3
"""`flotilla run` where no node runs: the node it borrows goes with it, however it ends; and what it refuses to send.

    FLOTILLA_BINARY=build/flotilla tests/process/test_run.py [TEST...]
"""

import contextlib
import http.client
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import (  # noqa: E402
    BINARY,
    LOAD_SECONDS,
    MODELS_FOLDER,
    SMOLLM2,
    START_SECONDS,
    Node,
    free_port,
    wait_until,
)

GONE_SECONDS = 15  # a node leaves in well under a second; the machine may be busy


def process_state(pid):
    """The parent and the state letter; None where there is no such process."""
    with contextlib.suppress(OSError), open("/proc/%d/stat" % pid) as file:
        words = file.read().rsplit(")", 1)[1].split()
        return int(words[1]), words[0]
    return None


def children(pid):
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return [each for each in pids if (process_state(each) or [0])[0] == pid]


def gone(pid):
    state = process_state(pid)
    return state is None or state[1] in "ZX"  # in a container nobody may reap what lost its parent


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-run-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.port = free_port()

    def client(self, *words, port=None):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOTILLA_")}
        environment["FLOTILLA_CONFIG"] = os.devnull
        command = [BINARY, *words, "--api", "http://127.0.0.1:%d" % (port or self.port)]
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, text=True, check=False
        )

class Run(ClientTest):
    def launch(self, *words, stdin=subprocess.PIPE):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOTILLA_")}
        environment["FLOTILLA_CONFIG"] = os.devnull
        command = [BINARY, "run", SMOLLM2, *words, "--api", "http://127.0.0.1:%d" % self.port, "--home", self.folder]
        run = subprocess.Popen(
            command + ["--models", MODELS_FOLDER],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self.addCleanup(self.end, run)
        return run

    def end(self, run):
        run.kill()
        run.communicate()

    def placements(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/placements")
            return json.loads(connection.getresponse().read())["placements"]
        return None

    def loaded(self):
        return any(placement["state"] == "ready" for placement in self.placements() or [])

    def ended_by(self, number, question, what):
        """Ends `run` by the signal once the answer is true: its node, that node's runners and their port go too.

        While a model loads `run` takes note of Ctrl-C and ends by itself, with the exit code that shells give the signal.
        """
        run = self.launch()
        wait_until(question, LOAD_SECONDS, what)
        nodes = children(run.pid)
        self.assertEqual(1, len(nodes))
        processes = nodes + children(nodes[0])
        run.send_signal(number)
        self.assertIn(run.wait(GONE_SECONDS), [-number, 128 + number])
        for pid in processes:
            wait_until(lambda pid=pid: gone(pid), GONE_SECONDS, "process %d of %s to end" % (pid, processes))
        self.assertIsNone(self.placements())

    def test_the_borrowed_node_goes_with_ctrl_c_at_the_prompt(self):
        self.ended_by(signal.SIGINT, self.loaded, "the model to be loaded")

    def test_the_borrowed_node_goes_with_ctrl_c_while_the_model_loads(self):
        self.ended_by(signal.SIGINT, lambda: self.placements() is not None, "the node to answer")

    def test_the_borrowed_node_goes_when_run_is_killed(self):
        self.ended_by(signal.SIGKILL, self.loaded, "the model to be loaded")

    def test_a_conversation_that_ends_takes_its_node_along(self):
        run = self.launch("--max-tokens", "4")
        out, errors = run.communicate(b"Hi\n\n", timeout=LOAD_SECONDS)
        self.assertEqual(0, run.returncode, errors)
        self.assertTrue(out.strip())
        self.assertIsNone(self.placements())

    def test_text_that_is_no_utf8_is_refused_before_anything_is_sent(self):
        latin1 = "na\u00efve".encode("latin-1")
        for words, given, what in [
            (["-"], latin1, b"the prompt"),
            ([latin1], b"", b"the prompt"),
            (["--system", latin1, "Hi"], b"", b"--system"),
        ]:
            with self.subTest(words=words):
                run = self.launch(*words)
                _, errors = run.communicate(given, timeout=START_SECONDS)
                self.assertEqual(1, run.returncode, errors)
                for part in (b"expected " + what + b" in UTF-8", b"offset 2", b"iconv"):
                    self.assertIn(part, errors)
                self.assertFalse(os.path.exists(os.path.join(self.folder, "run.log")), "no node was started for it")

    def test_a_line_of_a_conversation_that_is_no_utf8_is_refused(self):
        run = self.launch("--max-tokens", "4")
        _, errors = run.communicate("na\u00efve\n".encode("latin-1"), timeout=LOAD_SECONDS)
        self.assertEqual(1, run.returncode, errors)
        self.assertIn(b"offset 2", errors)

    def test_where_there_is_no_model_the_advice_fits_the_command(self):
        run = self.client("run", "smollm2", "Hi", "--home", self.folder)
        self.assertEqual(1, run.returncode)
        self.assertIn("flotilla run smollm2 --models DIR", run.stderr)

    def test_a_file_that_is_no_model_is_explained(self):
        path = os.path.join(self.folder, "Cut.gguf")
        with open(os.path.join(MODELS_FOLDER, SMOLLM2 + ".gguf"), "rb") as whole, open(path, "wb") as cut:
            cut.write(whole.read(100000))
        run = self.client("run", "cut", "Hi", "--models", self.folder, "--home", os.path.join(self.folder, "home"))
        self.assertEqual(1, run.returncode)
        self.assertIn("'%s' is skipped: expected" % path, run.stderr)

    def test_a_model_that_fits_nowhere_is_offered_smaller(self):
        node = Node("a", self.folder, ["--no-discovery", "--memory", "100M"], models=[MODELS_FOLDER]).start()
        self.addCleanup(node.stop)
        run = self.client("run", SMOLLM2, "Hi", port=node.api_port)
        self.assertEqual(1, run.returncode)
        self.assertIn("flotilla load %s --context 256 --sequences 1" % SMOLLM2, run.stderr)

    def test_an_empty_listing_says_what_to_do_next(self):
        node = Node("a", self.folder, ["--no-discovery"]).start()
        self.addCleanup(node.stop)
        for verb in ("list", "ps"):
            with self.subTest(verb=verb):
                out = self.client(verb, port=node.api_port).stdout
                self.assertEqual(1, len(out.splitlines()), out)
                self.assertIn("Next: ", out)
                self.assertIsInstance(json.loads(self.client(verb, "--json", port=node.api_port).stdout), dict)


class Impostor(http.server.BaseHTTPRequestHandler):
    """Answers as a node would whose machine dies in the middle of an answer."""

    ANSWERS = {
        "/health": b"{}",
        "/v1/models": b'{"data": [{"id": "m"}]}',
        "/load": b"{}\n",
        "/v1/chat/completions": b'data: {"choices": [{"delta": {"content": "It\'s a tale"}}]}\n\n'
        b'data: {"error": {"code": "closed", "message": "the machine left"}}\n\n',
    }

    def do_GET(self):
        body = self.ANSWERS.get(self.path)
        self.send_response(404 if body is None else 200)
        self.end_headers()
        self.wfile.write(body or b"<html>nothing here</html>")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *words):
        pass


class AgainstAnImpostor(ClientTest):
    def setUp(self):
        super().setUp()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Impostor)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def test_an_error_begins_a_line_after_a_partial_answer(self):
        run = self.client("run", "m", "Hi")
        self.assertEqual((1, "It's a tale\n"), (run.returncode, run.stdout), run.stderr)
        self.assertIn("flotilla: the machine left", run.stderr)

    def test_another_program_on_the_port_is_called_that(self):
        run = self.client("ps")
        self.assertEqual(3, run.returncode)
        self.assertIn("http://127.0.0.1:%d is not a Flotilla node (it answered HTTP 404)" % self.port, run.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
