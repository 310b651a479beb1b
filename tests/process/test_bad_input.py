#!/usr/bin/env python3
"""What people and programs get wrong when they start a node or ask one: each case checks the words it is answered
with, and that the node lives on and still answers a good request.

    FLOTILLA_BINARY=build/flotilla tests/process/test_bad_input.py [TEST...]
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "hostile")]

import wire_tools  # noqa: E402
from flotilla import BINARY, SMOLLM2, Node  # noqa: E402
from node_test import CONTEXT_TOKENS, NodeTest  # noqa: E402


class Refusals(unittest.TestCase):
    """What is wrong when a node starts: it ends at once, with words that say what to change."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, node, **options):
        node.launch(**options)
        try:
            code = node.process.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()
            self.fail("expected the node to refuse but it runs:\n" + node.log())
        self.assertNotEqual(0, code)
        self.assertGreater(code, 0, "it ended by a signal:\n" + node.log())
        return node.log()

    def node(self, name, *flags, **options):
        return Node(name, self.folder, ["--no-discovery", *flags], **options)

    def test_busy_api_port(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            words = self.refused(self.node("a", api_port=port))
        self.assertIn(str(port), words)
        self.assertRegex(words, "taken|in use|to be free")

    def test_busy_cluster_port(self):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            port = taken.getsockname()[1]
            words = self.refused(self.node("a", cluster_port=port))
        self.assertIn(str(port), words)
        self.assertRegex(words, "taken|in use|to be free")
        self.assertIn("--cluster-port", words)

    def test_home_that_cannot_be_a_folder(self):
        path = os.path.join(self.folder, "a file")
        with open(path, "w", encoding="ascii") as file:
            file.write("in the way")
        words = self.refused(self.node("a", home=os.path.join(path, "home")))
        self.assertIn(path, words)
        self.assertIn("--home", words)

    def test_home_that_is_not_writable(self):
        home = os.path.join(self.folder, "home")
        os.mkdir(home, 0o555)
        os.chmod(self.folder, 0o755)
        options = {}
        if os.geteuid() == 0:  # root may write everywhere, so somebody else must try
            options["user"] = 65534
            if subprocess.run([BINARY, "--version"], user=65534, capture_output=True, check=False).returncode != 0:
                self.skipTest("an unprivileged user cannot reach the binary")
        words = self.refused(self.node("a", home=home), **options)
        self.assertIn(home, words)
        self.assertIn("--home", words)

    def test_home_of_a_running_node(self):
        first = self.node("a").start()
        try:
            words = self.refused(self.node("b", home=first.home))
            for part in ("another node already runs", "--home", "--name", "--api", "--cluster-port"):
                self.assertIn(part, words)
            self.assertEqual(200, first.get("/health").status)
        finally:
            first.stop()

    def test_models_folder_that_is_not_there(self):
        missing = os.path.join(self.folder, "nowhere")
        words = self.refused(self.node("a", models=[missing]))
        self.assertIn(missing, words)

    def test_flags_that_make_no_sense(self):
        for flags, expected in [
            (["--memory", "plenty"], "memory"),
            (["--threads", "0"], "threads"),
            (["--frobnicate"], "frobnicate"),
            (["--trust-lan", "--cluster-secret", "/nowhere"], "both"),
            (["--cluster-secret", os.path.join(self.folder, "nowhere")], "nowhere"),
        ]:
            with self.subTest(flags=flags):
                self.assertIn(expected, self.refused(self.node("f", *flags)).lower())


class CommandLine(unittest.TestCase):
    """What is mistyped on the command line or in the configuration file: the answer names it and what was meant."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.config = os.path.join(self.folder, "config.toml")

    def refused(self, *words, config="", **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOTILLA_")}
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config)
        environment.update(variables, FLOTILLA_CONFIG=self.config, HOME=self.folder)
        run = subprocess.run([BINARY, *words], env=environment, capture_output=True, timeout=20, text=True, check=False)
        self.assertGreater(run.returncode, 0, run.stdout + run.stderr)
        return run.stderr

    def serve(self, *words):
        home = os.path.join(self.folder, "home")
        return ["serve", "--home", home, "--no-discovery", "--api", "127.0.0.1:0", "--cluster-port", "0", *words]

    def test_a_misspelt_word_is_named_with_what_was_meant(self):
        for words, expected in [
            (["rnu", "smollm2"], "unknown verb 'rnu'; did you mean 'run'?"),
            (["lsit"], "unknown verb 'lsit'; did you mean 'list'?"),
            (["stop", "smollm2"], "unknown verb 'stop'; did you mean 'unload'?"),
            ([], "a verb is missing"),
            (["run", "m", "hi", "--temprature", "0"], "unknown flag --temprature; did you mean --temperature?"),
            (["run", "m", "why", "is", "it"], "unexpected 'is' after the prompt"),
            (["--json", "list"], "--json belongs after the verb"),
            (["list", "--config", "x"], "--config belongs before the verb"),
            (["run", "m", "hi", "--max-tokens", "0"], "expected a whole number above 0 but got 0"),
            (["run", "m", "hi", "--seed", "-1"], "expected a whole number of 0 or more but got -1"),
            (["load", "m", "--layers", "10"], "--layers requires --nodes"),
            (["serve", "--api", "here:there"], "expected HOST:PORT"),
        ]:
            with self.subTest(words=words):
                errors = self.refused(*words)
                self.assertIn(expected, errors)
                self.assertIn("--help", errors)

    def test_a_list_takes_one_word(self):
        for words in (["run", "--models", self.folder, "m"], ["load", "--nodes", "a,b", "m"]):
            with self.subTest(words=words):  # a list that took the model too would find it missing
                self.assertIn("no node answers", self.refused(*words, "--api", "http://nowhere.invalid:1"))
        self.assertIn("unexpected 'b'", self.refused("serve", "--peer", "a", "b"))

    def test_mistakes_in_the_configuration_file_name_it_and_the_line(self):
        for text, line, expected in [
            ('[serve]\nmodel = "/x"\n', 2, "unknown key 'model' in [serve]; did you mean 'models'?"),
            ('models = "/x"\n', 1, "key 'models' stands in no section"),
            ('\n[serv]\nmodels = "/x"\n', 2, "unknown section [serv]; known: serve"),
            ("[serve\n", 1, "expected ']'"),
            ('[serve]\nmodels = ["/x",\n"/y"\n', 3, "while parsing array"),
            ('[serve]\nmodels = "/x\n', 2, "while parsing string"),
            ("[serve]\nmodels\n", 2, "expected '='"),
            ("[serve] # ours\nthreads = 0 # none\n", 2, "threads: "),
            ("[serve]\ntrust-lan = 1.5\n", 2, "trust-lan"),
            ("[serve]\nmemory = plenty\n", 2, "text stands in quotes"),
            ('[serve]\nmemory = "plenty"\n', 2, "memory: "),
        ]:
            with self.subTest(text=text):
                errors = self.refused(*self.serve(), config=text)
                self.assertIn("%s, line %d: " % (self.config, line), errors)
                self.assertIn(expected, errors)

    def test_the_home_folder_is_expanded_in_the_configuration_file(self):
        errors = self.refused(*self.serve(), config='[serve]\nmodels = ["~/nowhere"]\n')
        self.assertIn(os.path.join(self.folder, "nowhere"), errors)
        self.assertIn(self.config + " sets models", errors)

    def test_flag_before_environment_before_file(self):
        text = '[serve]\nmodels = "/from-file"\n'
        self.assertIn("/from-file", self.refused(*self.serve(), config=text))
        self.assertIn("/from-env", self.refused(*self.serve(), config=text, FLOTILLA_MODELS="/from-env"))
        words = self.serve("--models", "/from-flag")
        self.assertIn("/from-flag", self.refused(*words, config=text, FLOTILLA_MODELS="/from-env"))


class BadRequests(NodeTest):
    def complete(self, **fields):
        return self.a.post("/v1/completions", dict({"model": SMOLLM2, "prompt": "Once", "max_tokens": 2}, **fields))

    def chat(self, **fields):
        return self.a.post(
            "/v1/chat/completions",
            dict({"model": SMOLLM2, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}, **fields),
        )

    def test_malformed_json(self):
        for raw in (
            b"",
            b"{",
            b"{\"model\": }",
            b"nonsense",
            b"\xff\xfe{}",
            b"{\"a\":1}}",
            b"[" * 100000,
            b"{\"model\": \"\xc3\x28\"}",
        ):
            with self.subTest(raw=raw[:20]):
                self.refuse(self.a.post("/v1/completions", raw), 400, "expected")

    def test_wrong_types(self):
        for field, value in [
            ("prompt", 7),
            ("prompt", [[]]),
            ("prompt", [1.5]),
            ("prompt", [-1]),
            ("max_tokens", "many"),
            ("temperature", "hot"),
            ("stream", "yes"),
            ("stop", 5),
            ("logit_bias", [1]),
            ("seed", "x"),
            ("n", 1.5),
        ]:
            with self.subTest(field=field, value=value):
                self.refuse(self.complete(**{field: value}), 400, field, "expected", "got", param=field)
        for field, value in [
            ("messages", "Hi"),
            ("messages", []),
            ("messages", [7]),
            ("messages", [{"role": "user", "content": 7}]),
            ("messages", [{"role": "emperor", "content": "Hi"}]),
            ("messages", [{"content": "Hi"}]),
        ]:
            with self.subTest(field=field, value=value):
                self.refuse(self.chat(**{field: value}), 400, "messages", "expected")
        self.refuse(self.complete(model=5), 400, "model", param="model")
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "layers": "many"}), 400, "layers", "many")
        self.refuse(self.a.post("/load", {"nodes": ["a"]}), 400, "model")

    def test_numbers_out_of_range(self):
        for field, value in [
            ("temperature", -0.1),
            ("temperature", 2.1),
            ("top_p", 1.5),
            ("min_p", -1),
            ("n", 0),
            ("n", 1000),
            ("max_tokens", -1),
            ("max_tokens", 0),
            ("presence_penalty", 3),
            ("top_k", -2),
            ("logprobs", 1000),
            ("temperature", 1e308),
            ("max_tokens", 1 << 63),
            ("logit_bias", {"5": 101}),
            ("logit_bias", {"-5": 1}),
            ("logit_bias", {"99999999": 1}),
        ]:
            with self.subTest(field=field, value=value):
                self.refuse(self.complete(**{field: value}), 400, "expected", param=field)
        raw = b'{"model": "%s", "prompt": "Once", "temperature": 1e999}' % SMOLLM2.encode()
        self.refuse(self.a.post("/v1/completions", raw), 400, "expected")
        self.refuse(self.complete(prompt=[10**6]), 400, "token", param="prompt")

    def test_a_prompt_longer_than_the_context(self):
        answer = self.complete(prompt=[100] * (CONTEXT_TOKENS + 1))
        self.refuse(
            answer, 400, str(CONTEXT_TOKENS), str(CONTEXT_TOKENS + 1), code="context_length_exceeded", param="prompt"
        )
        self.refuse(
            self.chat(messages=[{"role": "user", "content": "boat " * 1000}]),
            400,
            str(CONTEXT_TOKENS),
            code="context_length_exceeded",
            param="messages",
        )

    def test_unknown_model(self):
        for answer in (
            self.complete(model="nobody-has-this"),
            self.chat(model="nobody-has-this"),
            self.a.get("/v1/models/nobody-has-this"),
            self.complete(model="../../etc/passwd"),
        ):
            self.assertEqual(404, answer.status, answer)
            self.assertEqual("model_not_found", answer.error()["code"])
        self.refuse(self.a.post("/load", {"model": "nobody-has-this"}), 404, "nobody-has-this", SMOLLM2)

    def test_oversized_body(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.refuse(self.a.post("/v1/completions", b" " * ((64 << 20) + 1)), 413, "bytes")
        head = (
            "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        self.assertIn(b" 413 ", wire_tools.exchange(self.a.api_port, (head % (1 << 40)).encode()).split(b"\r\n")[0])

    def test_unknown_routes_methods_and_types(self):
        self.refuse(self.a.get("/v1/nothing"), 404, "/v1/nothing")
        answer = self.a.get("/v1/completions")
        self.refuse(answer, 405, "POST")
        self.assertIn("POST", answer.headers["Allow"])
        self.refuse(
            self.a.request("POST", "/v1/completions", b"a=b", {"Content-Type": "text/plain"}), 415, "application/json"
        )

    def test_what_this_version_does_not_do_is_refused_by_name(self):
        self.refuse(self.chat(tools=[{"type": "function", "function": {"name": "f"}}]), 400, "tools")
        self.refuse(self.chat(response_format={"type": "yaml"}), 400, "response_format")
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "mode": "magic"}), 400, "pipeline or tensor")

    def test_garbage_on_the_api_port(self):
        dice = random.Random(5)
        for raw in (
            dice.randbytes(4096),
            b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n" * 1000,
            b"GET /" + b"a" * (1 << 20),
            wire_tools.frame(1, b""),
        ):
            wire_tools.exchange(self.a.api_port, raw)

    def test_wishes_that_cannot_be_met(self):
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "nodes": ["nobody"]}), 404, "nobody")
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "nodes": ["a"], "layers": [7]}), 400, "30")


if __name__ == "__main__":
    unittest.main(verbosity=2)
