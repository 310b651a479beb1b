#!/usr/bin/env python3
"""Each machine fetches from the hub only the layers it will hold: every byte once over the connection with the hub, on no
disk more than its part, and the answers those of a machine with the whole file; through kills, and whatever a hub does.

    FLOTILLA_BINARY=build/flotilla tests/process/test_pull_ranges.py [--kills N] [TEST...]
"""

import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "hostile")]

import gguf_tools  # noqa: E402
from flotilla import BINARY, LOAD_SECONDS, MODELS_FOLDER, SMOLLM2, Fleet, wait_until  # noqa: E402
from hub_server import HubServer  # noqa: E402

REPOSITORY = "friends/SmolLM2-135M-Instruct-GGUF"
REFERENCE = REPOSITORY + ":Q4_1"
FILE_NAME = SMOLLM2 + ".gguf"
REAL_FILE = os.path.join(MODELS_FOLDER, FILE_NAME)
PROMPT, TOKENS = "The capital of France is", 16
TOKEN = "hf_secretsecretsecret"
VARIABLES = ("HF_", "HUGGING", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
HEADER = gguf_tools.read_header(REAL_FILE)
HEADER_BYTES = len(HEADER.unpadded())
DATA_BEGIN = len(HEADER.encode())
FILE_BYTES = os.path.getsize(REAL_FILE)
TOLERANCE = 0.02


def tensor_bytes(wanted):
    return sum(tensor.bytes() for tensor in HEADER.tensors if wanted(tensor.name))


def part_bytes(layers, is_head):
    """What a machine with these layers must have on its disk: they, on the head the embeddings too, and the header."""
    layer_names = {"blk.%d" % layer for layer in range(*layers)}
    own = tensor_bytes(lambda name: ".".join(name.split(".")[:2]) in layer_names)
    return HEADER_BYTES + own + (tensor_bytes(lambda name: not name.startswith("blk.")) if is_head else 0)


class RangesTest(unittest.TestCase):
    def setUp(self):
        self.hub = HubServer()
        self.hub.__enter__()
        self.addCleanup(self.hub.__exit__)
        self.hub.add(REPOSITORY, {FILE_NAME: REAL_FILE})
        self.sha256 = self.hub.repositories[REPOSITORY][FILE_NAME].sha256

    # --- Fleets ---------------------------------------------------------------------------------------------------------

    def fleet(self, names, models=None, environments=None, flags=()):
        """Nodes that ask this test's hub, each with a cache of its own."""
        fleet = Fleet(names, models=models, flags=["--threads", "1", *flags], start=False)
        self.addCleanup(fleet.stop)
        for name in names:
            self.set_environment(fleet[name], **(environments or {}).get(name, {}))
            fleet[name].launch()
        for node in fleet:
            node.wait_healthy()
        fleet.wait_joined()
        return fleet

    def set_environment(self, node, **variables):
        node.environment = {name: "" for name in os.environ if name.startswith(VARIABLES)}
        node.environment.update(HF_ENDPOINT=self.hub.endpoint, HF_HOME=os.path.join(node.home, "hf"))
        node.environment.update(HF_HUB_CACHE=os.path.join(node.home, "hf", "hub"), HF_HUB_DOWNLOAD_TIMEOUT="120")
        node.environment.update(variables)

    def error_of(self, node, **wishes):
        """Why a load ends badly, as `flotilla load` shows it."""
        answer = node.post("/load", dict(wishes, model=wishes.get("model", REFERENCE)))
        lines = answer.lines()
        self.assertIn("error", lines[-1], answer)
        self.assertNotIn(TOKEN, answer.body.decode() + node.log())
        return lines[-1]["error"]["message"]

    def answer_of_the_whole(self):
        with Fleet(["whole"], models={"whole": [MODELS_FOLDER]}, flags=["--threads", "1"]) as fleet:
            fleet["whole"].load(SMOLLM2, context=256, sequences=1)
            return fleet["whole"].complete(SMOLLM2, PROMPT, TOKENS)["token_ids"]

    def check_answer(self, node, expected):
        self.assertEqual(expected, node.complete(SMOLLM2, PROMPT, TOKENS)["token_ids"])

    # --- What lies where ------------------------------------------------------------------------------------------------

    def part_folder(self, node):
        parts = os.path.join(node.home, "parts")
        folders = os.listdir(parts) if os.path.isdir(parts) else []
        return os.path.join(parts, folders[0]) if folders else None

    def blocks_bytes(self, node):
        """Of the part: what the disk gave it, not what the sparse file says."""
        return os.stat(os.path.join(self.part_folder(node), "0.gguf")).st_blocks * 512

    def verified(self, node):
        """Ranges that its index counts, whose digests are those of the true file."""
        folder = self.part_folder(node)
        if folder is None or not os.path.exists(os.path.join(folder, "ranges.json")):
            return []
        with open(os.path.join(folder, "ranges.json"), encoding="utf-8") as file:
            ranges = json.load(file)["ranges"]
        with open(REAL_FILE, "rb") as truth:
            for each in ranges:
                truth.seek(each["offset"])
                self.assertEqual(hashlib.sha256(truth.read(each["bytes"])).hexdigest(), each["sha256"], each)
        return [(each["offset"], each["offset"] + each["bytes"]) for each in ranges]

    def check_sent_once(self):
        end_before = 0
        for begin, end in self.hub.sent_ranges(self.sha256):
            self.assertGreaterEqual(begin, end_before, "a byte went out twice")
            end_before = end

    def check_not_sent(self, verified):
        for begin, end in self.hub.sent_ranges(self.sha256):
            for first, last in verified:
                self.assertFalse(begin < last and first < end, "bytes %d to %d were verified" % (first, last))

    def check_is_part(self, node, layers, is_head=False):
        expected = part_bytes(layers, is_head)
        self.assertAlmostEqual(1, self.blocks_bytes(node) / expected, delta=TOLERANCE)
        self.assertFalse(os.path.exists(os.path.join(node.home, "hf", "hub", "models--friends--" + SMOLLM2)))


NAMES = ["a", "b", "c"]
THREE = {"nodes": NAMES, "layers": [8, 11, 11], "context": 256, "sequences": 1}
LAYERS = {"a": (0, 8), "b": (8, 19), "c": (19, 30)}


class OnThree(RangesTest):
    def test_each_byte_comes_once_and_each_keeps_its_part(self):
        fleet = self.fleet(NAMES)
        answer = fleet["a"].post("/load", dict(THREE, model=REFERENCE))
        lines = answer.lines()
        self.assertIn("placement", lines[-1], answer)
        self.check_sent_once()
        needed = HEADER_BYTES + tensor_bytes(lambda name: True)
        self.assertLessEqual(abs(self.hub.bytes_sent / needed - 1), 0.001)
        for name in NAMES:
            with self.subTest(node=name):
                self.check_is_part(fleet[name], LAYERS[name], is_head=name == "a")
        machines = [line["progress"]["machines"] for line in lines if "machines" in line.get("progress", {})]
        self.assertEqual(NAMES, sorted(machine["name"] for machine in machines[-1]))
        for machine in machines[-1]:
            self.assertEqual(machine["total_bytes"], machine["done_bytes"], machine)
        self.check_answer(fleet["c"], self.answer_of_the_whole())
        self.check_again(fleet)

    def check_again(self, fleet):
        """What is there is not fetched again, also where the layers are others and the hub is gone."""
        fleet["a"].unload(SMOLLM2)
        self.hub.forget()
        fleet["a"].load(REFERENCE, **THREE)
        self.assertEqual(0, self.hub.bytes_sent)
        fleet["b"].unload(SMOLLM2)
        fleet["a"].load(REFERENCE, **dict(THREE, layers=[12, 9, 9]))
        self.assertEqual(0, self.hub.bytes_sent, "neighbours had them")
        fleet["a"].unload(SMOLLM2)
        self.hub.trouble.server_errors = 10**9
        self.error_of(fleet["b"], model="nobody/nothing")
        fleet["a"].load(SMOLLM2, **THREE)
        fleet["a"].unload(SMOLLM2)
        wait_until(lambda: not fleet["c"].placements(), 20, "c to hear of it")
        answer = fleet["c"].post("/delete", {"model": REFERENCE})
        self.assertEqual(200, answer.status, answer)
        freed = answer.json()["freed_bytes"]
        self.assertGreaterEqual(freed, part_bytes(LAYERS["c"], False))
        self.assertEqual(None, self.part_folder(fleet["c"]))

    def test_a_group_shares_what_all_of_it_need(self):
        fleet = self.fleet(["a", "b"])
        fleet["b"].load(REFERENCE, nodes=["a", "b"], mode="tensor", context=256, sequences=1)
        self.check_sent_once()
        self.assertEqual(FILE_BYTES, self.hub.bytes_sent)
        ranges = [request for role, path, request in self.hub.seen if role == "content"]
        self.assertGreater(len(ranges), 4, "they took turns")
        for node in fleet:  # each has all of it now: a file like one that was pulled
            models = {model["name"]: model["complete"] for model in node.members()[node.name]["models"]}
            self.assertEqual({SMOLLM2: True}, models)
            link = os.path.join(node.home, "hf", "hub", "models--" + REPOSITORY.replace("/", "--"), "snapshots")
            file = os.path.join(link, self.hub.commit_of(REPOSITORY), FILE_NAME)
            with open(file, "rb") as whole:
                self.assertEqual(self.sha256, hashlib.file_digest(whole, "sha256").hexdigest())
            self.assertEqual(None, self.part_folder(node))


class Kills(RangesTest):
    """kill -9 of a node that fetches, whenever it may be: the same load goes on, and fetches no verified byte again."""

    kills = 2

    def test_killed_while_it_fetches(self):
        chance = random.Random(time.time_ns())
        fleet = self.fleet(NAMES)
        # So slow that the last of the kills still hits a load under way: a machine's part is 33 MB.
        self.hub.trouble.bytes_per_second = 10e6 / self.kills
        for turn in range(self.kills):
            victim = fleet[chance.choice(NAMES[1:])]
            delay = chance.uniform(0.3, 3)
            with self.subTest(turn=turn, victim=victim.name, delay=delay):
                load = threading.Thread(target=self.try_to_load, args=(fleet["a"],))
                load.start()
                time.sleep(delay)
                victim.kill()
                load.join(LOAD_SECONDS)
                self.assertFalse(load.is_alive())
                self.assertIn(victim.name, self.last_error)
                held = {node.name: self.verified(node) for node in fleet}
                victim.start()
                fleet.wait_joined()
                self.check_asks_only_for_what_is_missing(fleet, held, delay)
        self.hub.trouble.bytes_per_second = None
        fleet["a"].load(REFERENCE, **THREE)
        for name in NAMES:
            self.check_is_part(fleet[name], LAYERS[name], is_head=name == "a")
        self.check_answer(fleet["b"], self.answer_of_the_whole())

    def try_to_load(self, node):
        lines = node.post("/load", dict(THREE, model=REFERENCE)).lines()
        self.last_error = lines[-1].get("error", {}).get("message", "none: it was loaded")

    def check_asks_only_for_what_is_missing(self, fleet, held, delay):
        """The load begins anew, and is looked at until a moment later it is broken off."""
        self.hub.forget()
        load = threading.Thread(target=self.try_to_load, args=(fleet["a"],))
        load.start()
        time.sleep(min(delay, 1))
        with contextlib.suppress(AssertionError):
            fleet["a"].unload(SMOLLM2)
        load.join(LOAD_SECONDS)
        self.check_not_sent([span for spans in held.values() for span in spans])


class Troubles(RangesTest):
    """A hub that fails or lies: a sentence, and what is here stays sound."""

    one = {"nodes": ["a"], "context": 256, "sequences": 1}

    def test_answers_that_are_none(self):
        fleet = self.fleet(["a"])
        node = fleet["a"]
        lie = hashlib.sha256(b"other").hexdigest()
        for troubles, expected in (
            ({"ignores_ranges": True}, "knows no ranges"),
            ({"wrong_range": True}, "nothing of it was kept"),
            ({"said_range": "bytes 0-1048575/1048576"}, "nothing of it was kept"),
            ({"short_by": 100}, "nothing of it was kept"),
            ({"more_bytes": 100}, "nothing of it was kept"),
            ({"says_length": False, "more_bytes": 100}, "contradicts its own listing"),
            ({"listed_bytes": {FILE_NAME: FILE_BYTES + 1}}, "nothing of it was kept"),
            ({"listed_sha256": {FILE_NAME: None}}, "nothing could be checked"),
            ({"listed_sha256": {FILE_NAME: lie[:-1] + "G"}}, "contradict themselves"),
            ({"redirect": "file:///etc/passwd"}, "http or https"),
            ({"endless_body": True}, "it goes on"),
            ({"gated": True}, "accept them at"),
            ({"token": "another"}, "HF_TOKEN"),
        ):
            with self.subTest(**troubles):
                self.trouble(**troubles)
                self.assertIn(expected, self.error_of(node, **self.one))
                self.assertEqual(None, self.part_folder(node))
        self.trouble()
        node.load(REFERENCE, **self.one)  # and nothing of it is left

    def trouble(self, **troubles):
        self.hub.trouble.__dict__.clear()
        self.hub.trouble.__dict__.update(troubles)

    def test_connections_that_break_and_links_that_run_out(self):
        fleet = self.fleet(["a"])
        self.trouble(expired_links=1, cut_after=30_000_000, cuts=2)
        fleet["a"].load(REFERENCE, **self.one)
        self.check_answer(fleet["a"], self.answer_of_the_whole())

    def test_wrong_bytes_are_found_with_the_whole(self):
        fleet = self.fleet(["a"])
        self.trouble(flipped_byte=DATA_BEGIN + 50_000_000)
        self.assertIn("with the SHA-256 " + self.sha256[:12], self.error_of(fleet["a"], **self.one))
        self.assertGreaterEqual(self.hub.bytes_sent, 2 * (FILE_BYTES - HEADER_BYTES) - (1 << 20), "it was tried twice")
        self.assertEqual(None, self.part_folder(fleet["a"]))
        self.assertEqual([], fleet["a"].members()["a"]["models"])
        self.trouble()
        fleet["a"].load(REFERENCE, **self.one)
        self.check_answer(fleet["a"], self.answer_of_the_whole())

    def test_a_header_that_lies(self):
        fleet = self.fleet(["a"])
        lying = gguf_tools.read_header(REAL_FILE)
        lying.tensors[-1].offset = 1 << 40
        endless = gguf_tools.read_header(REAL_FILE)
        endless.key_count = 4000
        overlapping = gguf_tools.read_header(REAL_FILE)
        overlapping.tensors[5].offset = overlapping.tensors[4].offset
        with tempfile.TemporaryDirectory() as folder:
            for number, header in enumerate((lying, endless, overlapping)):
                with self.subTest(number=number):
                    path = os.path.join(folder, "%d-Q4_1.gguf" % number)
                    gguf_tools.write_like(REAL_FILE, header, path)
                    self.hub.add(REPOSITORY, {os.path.basename(path): path})
                    self.error_of(fleet["a"], **self.one)
                    self.assertEqual(None, self.part_folder(fleet["a"]))
                    self.assertLess(self.hub.bytes_sent, 3 * (4 << 20))

    def test_one_machine_has_no_hub(self):
        """Nothing is lost: what the others fetched is there when the load is begun again."""
        fleet = self.fleet(["a", "b"], environments={"b": {"HF_HUB_OFFLINE": "1"}})
        both = dict(self.one, nodes=["a", "b"], layers=[10, 20])
        message = self.error_of(fleet["a"], **both)
        self.assertIn("b could not get its layers", message)
        self.assertIn("HF_HUB_OFFLINE", message)
        self.assertIn("HF_HUB_OFFLINE", self.error_of(fleet["b"], **both))
        held = [span for node in fleet for span in self.verified(node)]
        self.assertGreater(len(held), 0)
        fleet["b"].terminate()
        self.set_environment(fleet["b"])
        fleet["b"].start()
        fleet.wait_joined()
        self.hub.forget()
        fleet["a"].load(REFERENCE, **both)
        self.check_not_sent(held)

    def test_the_token_goes_to_the_hub_alone_and_is_told_nobody(self):
        self.hub.trouble.token = TOKEN
        fleet = self.fleet(["a", "b"], environments={name: {"HF_TOKEN": TOKEN} for name in "ab"})
        fleet["a"].load(REFERENCE, nodes=["a", "b"], context=256, sequences=1)
        self.assertEqual({"Bearer " + TOKEN}, set(self.hub.authorizations("hub")))
        self.assertEqual({None}, set(self.hub.authorizations("content")))
        for node in fleet:
            self.assertNotIn(TOKEN, node.log())
        with HubServer() as other:
            fleet["a"].unload(SMOLLM2)
            shutil.rmtree(os.path.join(fleet["b"].home, "parts"))
            self.hub.trouble.redirect = other.endpoint + "/x/y/resolve/z/file"
            self.hub.add("friends/Other-GGUF", {"Other-Q4_1.gguf": REAL_FILE})
            why = self.error_of(fleet["a"], model="friends/Other-GGUF:Q4_1", nodes=["a"])
            self.assertEqual({None}, set(other.authorizations("hub")), why)


class Api(RangesTest):
    """Whole models for the page and for Ollama's clients."""

    def setUp(self):
        super().setUp()
        self.node = self.fleet(["a"])["a"]

    def lines_of(self, path, **body):
        return self.node.post(path, body).lines()

    def names(self):
        return [model["id"] for model in self.node.get("/v1/models").json()["data"]]

    def test_a_pull_is_one_however_many_watch_and_can_be_deleted(self):
        self.hub.trouble.bytes_per_second = 60e6
        told = []
        watchers = [
            threading.Thread(target=lambda: told.append(self.lines_of("/pull", model="hf.co/" + REFERENCE))) for _ in range(2)
        ]
        for watcher in watchers:
            watcher.start()
        pulls = wait_until(lambda: self.node.get("/pulls").json()["pulls"], 20, "a pull under way")
        self.assertEqual(409, self.node.post("/delete", {"model": REFERENCE}).status)
        self.assertIn("SmolLM2", pulls[0]["model"])
        self.assertEqual("main", pulls[0]["revision"])
        for watcher in watchers:
            watcher.join(LOAD_SECONDS)
        self.assertEqual(FILE_BYTES, self.hub.bytes_sent)
        for lines in told:
            self.assertEqual((SMOLLM2, FILE_BYTES), (lines[-1]["pulled"]["name"], lines[-1]["pulled"]["bytes"]), lines)
            self.assertEqual(FILE_BYTES, lines[-2]["progress"]["done_bytes"])
            self.assertEqual("a", lines[-2]["progress"]["machines"][0]["name"])
        self.assertEqual(([], [SMOLLM2]), (self.node.get("/pulls").json()["pulls"], self.names()))
        self.node.load(SMOLLM2, context=256, sequences=1)
        refused = self.node.post("/delete", {"model": SMOLLM2})
        self.assertEqual(409, refused.status)
        self.assertIn("unload it first", refused.error()["message"])
        self.node.unload(SMOLLM2)
        self.assertEqual({"model": SMOLLM2, "freed_bytes": FILE_BYTES}, self.node.post("/delete", {"model": SMOLLM2}).json())
        self.assertEqual([], self.names())
        self.assertEqual(404, self.node.post("/delete", {"model": SMOLLM2}).status)

    def test_a_pull_ends_with_its_last_watcher_and_keeps_what_came(self):
        self.hub.trouble.bytes_per_second = 20e6
        connection = http.client.HTTPConnection("127.0.0.1", self.node.api_port)
        connection.request("POST", "/pull", json.dumps({"model": REFERENCE}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        while json.loads(response.readline()).get("progress", {}).get("done_bytes", 0) < 5e6:
            pass
        response.close()
        connection.close()
        wait_until(lambda: not self.node.get("/pulls").json()["pulls"], 20, "the pull to end")
        self.hub.trouble.bytes_per_second = None
        pulled = self.lines_of("/pull", model=REFERENCE)[-1]["pulled"]
        self.assertLess(pulled["fetched_bytes"], FILE_BYTES - 4_000_000)

    def test_what_cannot_be_pulled(self):
        for model, status in (("../../etc/passwd", 400), ("file:/etc/passwd", 400), ("", 400)):
            self.assertEqual(status, self.node.post("/pull", {"model": model}).status, model)
        self.assertEqual(400, self.node.post("/pull", {"model": REFERENCE, "revision": "../x"}).status)
        self.assertIn("look for its name", self.node.post("/pull", {"model": "nobody/nothing"}).error()["message"])

    def test_searching(self):
        self.hub.trouble.found = ["../evil", "a/b/c", "x/Smol-2"]
        found = self.node.get("/hub/models?query=smol").json()
        names = {model["name"]: model["kind"] for model in found["models"]}
        self.assertEqual({REPOSITORY: "hub", "x/Smol-2": "hub"}, {n: k for n, k in names.items() if k == "hub"})
        self.assertEqual("short", names["smollm2-135m"])
        self.hub.trouble.server_errors = 100
        found = self.node.get("/hub/models?query=smol").json()
        self.assertIn("trouble", found["note"])
        self.assertGreater(len(found["models"]), 0)

    def test_as_ollamas_clients_do_it(self):
        lines = self.lines_of("/api/pull", model="hf.co/" + REFERENCE)
        self.assertEqual("pulling manifest", lines[0]["status"])
        pulling = [line for line in lines if "digest" in line]
        self.assertEqual(("sha256:" + self.sha256, FILE_BYTES), (pulling[-1]["digest"], pulling[-1]["completed"]))
        self.assertEqual("pulling " + self.sha256[:12], pulling[-1]["status"])
        self.assertEqual(["verifying sha256 digest", "writing manifest", "success"], [line["status"] for line in lines[-3:]])
        self.assertEqual([{"status": "success"}], self.lines_of("/api/pull", model=REFERENCE, stream=False))
        self.assertIn("error", self.lines_of("/api/pull", name="nobody/nothing")[-1])
        body = json.dumps({"model": SMOLLM2 + ":latest"})
        self.assertEqual(200, self.node.request("DELETE", "/api/delete", body, {"Content-Type": "application/json"}).status)
        self.assertEqual([], self.names())

    def test_what_ollama_has_is_there_too(self):
        store = os.path.join(self.node.home, "ollama")
        os.makedirs(os.path.join(store, "blobs"))
        os.symlink(REAL_FILE, os.path.join(store, "blobs", "sha256-" + self.sha256))
        for path, digest in (
            ("registry.ollama.ai/library/smollm2/135m", "sha256:" + self.sha256),
            ("registry.ollama.ai/library/evil/latest", "sha256:../../../etc/passwd"),
        ):
            os.makedirs(os.path.join(store, "manifests", os.path.dirname(path)))
            layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": FILE_BYTES}]
            with open(os.path.join(store, "manifests", path), "w", encoding="ascii") as file:
                json.dump({"schemaVersion": 2, "layers": layers}, file)
        wait_until(lambda: self.names() == ["smollm2:135m"], 20, "the node to find it")
        self.assertEqual("smollm2:135m", self.node.load("smollm2:135m", context=256, sequences=1)["model"])


class Mismatch(RangesTest):
    def test_machines_that_fetched_different_bytes_find_out(self):
        """Two fleets fetched for themselves, one of them wrongly; then they meet."""
        layers, offset = dict(nodes=["a", "b"], layers=[10, 20], context=256, sequences=1), DATA_BEGIN + 70_000_000
        first = self.fleet(["a", "b"])
        self.hub.trouble.flipped_byte = offset
        first["a"].load(REFERENCE, **layers)
        home = tempfile.mkdtemp(prefix="flotilla-part-")
        self.addCleanup(shutil.rmtree, home, ignore_errors=True)
        first["b"].terminate()
        shutil.copytree(os.path.join(first["b"].home, "parts"), os.path.join(home, "parts"))
        first.stop()
        self.hub.trouble.flipped_byte = None
        second = self.fleet(["a", "b"])
        second["a"].load(REFERENCE, **layers)
        second["a"].unload(SMOLLM2)
        second["a"].terminate()
        shutil.rmtree(os.path.join(second["a"].home, "parts"))
        shutil.copytree(os.path.join(home, "parts"), os.path.join(second["a"].home, "parts"))
        self.hub.forget()
        second["a"].start()
        second.wait_joined()
        second["a"].load(REFERENCE, **dict(layers, layers=[29, 1]))
        self.assertIn("differ here and on b", second["a"].log())
        missing = part_bytes((0, 10), True)  # of a, which has b's part now
        self.assertLess(self.hub.bytes_sent, missing + 5_000_000, "and one piece that was doubted")
        self.check_answer(second["a"], self.answer_of_the_whole())


if __name__ == "__main__":
    if "--kills" in sys.argv:
        at = sys.argv.index("--kills")
        Kills.kills = int(sys.argv[at + 1])
        del sys.argv[at : at + 2]
    unittest.main(verbosity=2)
