#!/usr/bin/env python3
"""Everything wrong that can be given to a node from outside: each case checks the words it is answered with, and that the
node lives on and still answers a good request.

    FLOTILLA_BINARY=build/flotilla tests/process/test_bad_input.py [TEST...]
"""

import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "hostile")]

import gguf_tools  # noqa: E402
import wire_tools  # noqa: E402
from flotilla import BINARY, MODELS_FOLDER, SMOLLM2, Fleet, Node, free_port, wait_until  # noqa: E402

ORIGINAL = os.path.join(MODELS_FOLDER, SMOLLM2 + ".gguf")
CONTEXT_TOKENS = 256


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
        self.assertRegex(words, "taken|in use")

    def test_busy_cluster_port(self):
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", 0))
            taken.listen()
            port = taken.getsockname()[1]
            words = self.refused(self.node("a", cluster_port=port))
        self.assertIn(str(port), words)
        self.assertRegex(words, "taken|in use")

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
            self.assertIn("another node already runs", words)
            self.assertEqual(200, first.get("/health").status)
        finally:
            first.stop()

    def test_models_folder_that_is_not_there(self):
        missing = os.path.join(self.folder, "nowhere")
        words = self.refused(self.node("a", models=[missing]))
        self.assertIn(missing, words)

    def test_flags_that_make_no_sense(self):
        for flags, expected in [(["--memory", "plenty"], "memory"), (["--threads", "0"], "threads"), (["--frobnicate"], "frobnicate"),
                                (["--trust-lan", "--cluster-secret", "/nowhere"], "both"),
                                (["--cluster-secret", os.path.join(self.folder, "nowhere")], "nowhere")]:
            with self.subTest(flags=flags):
                self.assertIn(expected, self.refused(self.node("f", *flags)).lower())


class NodeTest(unittest.TestCase):
    """One node with the real model and a folder of its own for bad files; every test ends with a good answer from it."""

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
        return Fleet(["a"], models={"a": [MODELS_FOLDER, cls.bad_folder]}, flags=["--threads", "1", "--log-level", "info"])

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


class BadRequests(NodeTest):
    def complete(self, **fields):
        return self.a.post("/v1/completions", dict({"model": SMOLLM2, "prompt": "Once", "max_tokens": 2}, **fields))

    def chat(self, **fields):
        return self.a.post("/v1/chat/completions", dict({"model": SMOLLM2, "messages": [{"role": "user", "content": "Hi"}],
                                                         "max_tokens": 2}, **fields))

    def test_malformed_json(self):
        for raw in (b"", b"{", b"{\"model\": }", b"nonsense", b"\xff\xfe{}", b"{\"a\":1}}", b"[" * 100000, b"{\"model\": \"\xc3\x28\"}"):
            with self.subTest(raw=raw[:20]):
                self.refuse(self.a.post("/v1/completions", raw), 400, "expected")

    def test_wrong_types(self):
        for field, value in [("prompt", 7), ("prompt", [[]]), ("prompt", [1.5]), ("prompt", [-1]), ("max_tokens", "many"),
                             ("temperature", "hot"), ("stream", "yes"), ("stop", 5), ("logit_bias", [1]), ("seed", "x"), ("n", 1.5)]:
            with self.subTest(field=field, value=value):
                self.refuse(self.complete(**{field: value}), 400, field, "expected", "got", param=field)
        for field, value in [("messages", "Hi"), ("messages", []), ("messages", [7]), ("messages", [{"role": "user", "content": 7}]),
                             ("messages", [{"role": "emperor", "content": "Hi"}]), ("messages", [{"content": "Hi"}])]:
            with self.subTest(field=field, value=value):
                self.refuse(self.chat(**{field: value}), 400, "messages", "expected")
        self.refuse(self.complete(model=5), 400, "model", param="model")
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "layers": "many"}), 400, "layers", "many")
        self.refuse(self.a.post("/load", {"nodes": ["a"]}), 400, "model")

    def test_numbers_out_of_range(self):
        for field, value in [("temperature", -0.1), ("temperature", 2.1), ("top_p", 1.5), ("min_p", -1), ("n", 0), ("n", 1000),
                             ("max_tokens", -1), ("max_tokens", 0), ("presence_penalty", 3), ("top_k", -2), ("logprobs", 1000),
                             ("temperature", 1e308), ("max_tokens", 1 << 63), ("logit_bias", {"5": 101}),
                             ("logit_bias", {"-5": 1}), ("logit_bias", {"99999999": 1})]:
            with self.subTest(field=field, value=value):
                self.refuse(self.complete(**{field: value}), 400, "expected", param=field)
        raw = b'{"model": "%s", "prompt": "Once", "temperature": 1e999}' % SMOLLM2.encode()
        self.refuse(self.a.post("/v1/completions", raw), 400, "expected")
        self.refuse(self.complete(prompt=[10 ** 6]), 400, "token", param="prompt")

    def test_a_prompt_longer_than_the_context(self):
        answer = self.complete(prompt=[100] * (CONTEXT_TOKENS + 1))
        self.refuse(answer, 400, str(CONTEXT_TOKENS), str(CONTEXT_TOKENS + 1), code="context_length_exceeded", param="prompt")
        self.refuse(self.chat(messages=[{"role": "user", "content": "boat " * 1000}]), 400, str(CONTEXT_TOKENS),
                    code="context_length_exceeded", param="messages")

    def test_unknown_model(self):
        for answer in (self.complete(model="nobody-has-this"), self.chat(model="nobody-has-this"),
                       self.a.get("/v1/models/nobody-has-this"), self.complete(model="../../etc/passwd")):
            self.assertEqual(404, answer.status, answer)
            self.assertEqual("model_not_found", answer.error()["code"])
        self.refuse(self.a.post("/load", {"model": "nobody-has-this"}), 404, "nobody-has-this", SMOLLM2)

    def test_oversized_body(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.refuse(self.a.post("/v1/completions", b" " * ((64 << 20) + 1)), 413, "bytes")
        head = "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.assertIn(b" 413 ", wire_tools.exchange(self.a.api_port, (head % (1 << 40)).encode()).split(b"\r\n")[0])

    def test_unknown_routes_methods_and_types(self):
        self.refuse(self.a.get("/v1/nothing"), 404, "/v1/nothing")
        answer = self.a.get("/v1/completions")
        self.refuse(answer, 405, "POST")
        self.assertIn("POST", answer.headers["Allow"])
        self.refuse(self.a.request("POST", "/v1/completions", b"a=b", {"Content-Type": "text/plain"}), 415, "application/json")

    def test_what_this_version_does_not_do_is_refused_by_name(self):
        self.refuse(self.chat(tools=[{"type": "function", "function": {"name": "f"}}]), 400, "tools")
        self.refuse(self.chat(response_format={"type": "json_object"}), 400, "response_format")
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "mode": "tensor"}), 400, "tensor")

    def test_garbage_on_the_api_port(self):
        dice = random.Random(5)
        for raw in (dice.randbytes(4096), b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000, b"GET /" + b"a" * (1 << 20), wire_tools.frame(1, b"")):
            wire_tools.exchange(self.a.api_port, raw)

    def test_wishes_that_cannot_be_met(self):
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "nodes": ["nobody"]}), 404, "nobody")
        self.refuse(self.a.post("/load", {"model": SMOLLM2, "nodes": ["a"], "layers": [7]}), 400, "30")


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
            "offset-beyond": tensor(offset=1 << 40), "offset-wraps": tensor(offset=(1 << 64) - 32), "type-unknown": tensor(kind=250),
            "type-negative": tensor(kind=-1), "size-negative": tensor(shape=[-576, 576]), "size-overflow": tensor(shape=[1 << 40, 1 << 40]),
            "size-zero": tensor(shape=[576, 0]), "dimensions": tensor(shape=[32, 1, 1, 1, 1, 1]),
            "count-keys": lambda header: vars(header).update(key_count=1 << 50),
            "count-tensors": lambda header: vars(header).update(tensor_count=1 << 50),
            "count-negative": lambda header: vars(header).update(tensor_count=-1),
            "key-array-huge": key("x.y", gguf_tools.ARRAY, huge), "key-type-unknown": key("x.y", 99, b""),
            "version-future": lambda header: vars(header).update(version=77),
        }

    # Words that the log must say about each file, beside its name.
    WORDS = {"cut-in-header": "cut short", "cut-in-data": "fetch it again", "foreign": "not a GGUF", "offset-beyond": "expected",
             "type-unknown": "250", "size-negative": "positive", "dimensions": "dimensions", "version-future": "77"}

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
        gguf_tools.write_like(ORIGINAL, gguf_tools.read_header(ORIGINAL), path)
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
        gguf_tools.write_small(os.path.join(folder, "tiny.gguf"), {"general.architecture": (gguf_tools.STRING, "llama")},
                               {"token_embd.weight": ([32, 4], 0)})

    def ask(self, model):
        return self.a.post("/v1/completions", {"model": model, "prompt": "Once", "max_tokens": 1})

    def test_unknown_family(self):
        self.refuse(self.ask("unknown-family"), 400, "unheard-of", "llama", "gemma3", code="unsupported")

    def test_unknown_pre_tokenizer(self):
        self.refuse(self.ask("unknown-pre"), 400, "pre-tokenizer", "unheard-of", "smollm", code="unsupported")

    def test_unknown_kind_of_vocabulary(self):
        self.refuse(self.ask("unknown-vocabulary"), 400, "unheard-of", code="unsupported")

    def test_contradictions_inside_a_file(self):
        for model, word in [("tensor-missing", "blk.3.attn_q.weight"), ("shape-contradicts", "600"), ("no-heads", "head_count"),
                            ("tiny", "llama.")]:
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
            for word in ("a", "b", "70", "iB", "missing"):
                self.assertIn(word, error["message"])
            self.assertEqual(507, fleet["b"].post("/v1/completions", {"model": SMOLLM2, "prompt": "Once", "max_tokens": 1}).status)
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
                    wait_until(node.answers_health, 30, "%s to answer /health" % node.name)
                fleet.wait_joined()
                self.check_full_disk(fleet, disk)
        finally:
            subprocess.run(["umount", disk], check=True)
            os.rmdir(disk)

    def check_full_disk(self, fleet, disk):
        error = fleet["a"].post("/load", {"model": SMOLLM2, "nodes": ["a", "b"], "context": 512, "sequences": 1}).error()
        self.assertEqual("no_space", error["code"], error)
        self.assertIn(disk, error["message"])
        self.assertIn("missing", error["message"])
        self.assertEqual(["a", "b"], fleet["b"].joined())
        # The machine that has the file answers alone.
        fleet["a"].load(SMOLLM2, nodes=["a"], context=512, sequences=1)
        self.assertTrue(fleet["b"].complete(SMOLLM2, "Once", 2)["text"])


class BadPeers(NodeTest):
    """What may arrive at the cluster port and the discovery port from machines that are not what they should be."""

    @classmethod
    def make_fleet(cls):
        cls.discovery_port = free_port()
        fleet = super().make_fleet()
        fleet["a"].flags.remove("--no-discovery")
        fleet["a"].flags += ["--discovery-port", str(cls.discovery_port)]
        return fleet

    def send(self, raw):
        return wire_tools.exchange(self.a.cluster_port, raw)

    def seen(self, name):
        node = self.a.members().get(name)
        return node if node and node["state"] == "seen" else None

    def test_garbage_at_the_cluster_port(self):
        dice = random.Random(7)
        for raw in (dice.randbytes(1 << 16), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(64), b"FLOT" + dice.randbytes(60), bytes(200),
                    b"\x16\x03\x01" + dice.randbytes(500)):
            self.send(raw)
        self.assertEqual(["a"], self.a.joined())

    def test_frames_that_lie(self):
        sound = wire_tools.hello()
        for raw in (wire_tools.frame(wire_tools.HELLO, sound, body_bytes=0xFFFFFFFF), wire_tools.frame(wire_tools.HELLO, sound, body_checksum=1),
                    wire_tools.frame(wire_tools.HELLO, sound[:-5]), wire_tools.frame(wire_tools.HELLO, b"\xbf" * 1000),
                    wire_tools.frame(wire_tools.PING, b""), wire_tools.frame(9999, b"x"), wire_tools.frame(wire_tools.PROOF, bytes(100)),
                    wire_tools.frame(wire_tools.HELLO, wire_tools.cbor({"node": 5, "name": {}})),
                    wire_tools.frame(wire_tools.HELLO, b"\x9b" + b"\xff" * 8), wire_tools.frame(wire_tools.HELLO, b"\x81" * 16000)):
            self.send(raw)
        self.assertEqual(["a"], self.a.joined())

    def test_a_peer_of_another_version_learns_both_versions(self):
        said = self.send(wire_tools.frame(wire_tools.HELLO, wire_tools.hello(name="from-the-future"), version=99))
        [(kind, version, body)] = wire_tools.parse_frames(said)
        self.assertEqual((wire_tools.REFUSED, 1), (kind, version))
        for word in (b"version_mismatch", b"protocol version 1", b"protocol version 99", b"update flotilla on a"):
            self.assertIn(word, body)
        node = wait_until(lambda: self.seen("from-the-future"), 5, "the stranger to be shown as seen")
        self.assertIn("protocol version 99", node["reason"])

    def test_a_peer_that_cannot_prove_itself_is_seen_but_not_joined(self):
        with socket.create_connection(("127.0.0.1", self.a.cluster_port), timeout=10) as peer:
            peer.sendall(wire_tools.frame(wire_tools.HELLO, wire_tools.hello(name="impostor")))
            peer.sendall(wire_tools.frame(wire_tools.PROOF, wire_tools.cbor({"proof": bytes(32)})))
            frames = wire_tools.parse_frames(wire_tools.receive_all(peer))
        self.assertEqual([wire_tools.HELLO_REPLY, wire_tools.REFUSED], [kind for kind, _, _ in frames])
        self.assertIsNotNone(wait_until(lambda: self.seen("impostor"), 5, "the impostor to be shown as seen"))

    def test_a_peer_that_says_nothing_is_dropped(self):
        with socket.create_connection(("127.0.0.1", self.a.cluster_port), timeout=15) as peer:
            peer.sendall(b"FLOT")
            said = wire_tools.receive_all(peer)  # fails by timeout where the node waits for ever
        self.assertNotIn(wire_tools.HELLO_REPLY, [kind for kind, _, _ in wire_tools.parse_frames(said)])

    def test_garbage_at_the_discovery_port(self):
        dice = random.Random(9)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for length in [0, 1, 3, 40, 100, 256, 257, 1400, 60000] * 20:
                out.sendto(dice.randbytes(length), ("127.0.0.1", self.discovery_port))
        self.assertEqual(["a"], self.a.joined())

    def newcomer(self, name, folder, *flags):
        return Node(name, folder, ["--no-discovery", "--peer", "127.0.0.1:%d" % self.a.cluster_port, *flags])

    def test_two_nodes_with_one_name(self):
        with tempfile.TemporaryDirectory() as folder:
            late = self.newcomer("a", folder, "--trust-lan").start()
            try:
                reasons = wait_until(lambda: [n["reason"] for n in late.get("/cluster").json()["nodes"] if n["state"] == "seen"],
                                     20, "the newcomer to be refused")
                self.assertIn('already called "a"', reasons[0])
                self.assertIn("--name", reasons[0])
                self.assertEqual(["a"], self.a.joined())
            finally:
                late.stop()

    def test_a_node_without_trust_is_seen_and_told_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            cautious = self.newcomer("cautious", folder).start()
            try:
                for viewer, name in ((cautious, "a"), (self.a, "cautious")):
                    node = wait_until(lambda: viewer.members().get(name), 20, "%s to see %s" % (viewer.name, name))
                    self.assertEqual("seen", node["state"])
                    self.assertIn("--trust-lan", node["reason"])
            finally:
                cautious.stop()

    def test_a_copied_home_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            twin = self.newcomer("twin", folder, "--trust-lan")
            os.mkdir(twin.home)
            shutil.copy(os.path.join(self.a.home, "node.json"), twin.home)
            twin.start()
            try:
                wait_until(lambda: "one identity" in twin.log() + self.a.log(), 20, "the log to say that a home was copied")
                self.assertEqual(["a"], self.a.joined())
            finally:
                twin.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
