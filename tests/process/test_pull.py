#!/usr/bin/env python3
"""`flotilla pull`, `rm` and `verify` against a hub on this machine: what comes is whole and can be run, what is stopped goes
on, and whatever a hub does ends in a sentence and leaves what was there.

    FLOTILLA_BINARY=build/flotilla tests/process/test_pull.py [TEST...]
"""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import BINARY, MODELS_FOLDER, SMOLLM2, Node, wait_until  # noqa: E402
from hub_server import HubServer  # noqa: E402

REPOSITORY = "friends/SmolLM2-135M-Instruct-GGUF"
REAL_FILE = os.path.join(MODELS_FOLDER, SMOLLM2 + ".gguf")
TOKEN = "hf_secretsecretsecret"
SMALL = random.Random(1).randbytes(700_000)  # no model, but bytes; several pieces of the server's
VARIABLES = ("FLOTILLA_", "HF_", "HUGGING", "XDG_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class PullTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-pull-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.hf_home = os.path.join(self.folder, "hf")
        self.cache = os.path.join(self.hf_home, "hub")
        self.home = os.path.join(self.folder, "home")
        self.hub = HubServer()
        self.hub.__enter__()
        self.addCleanup(self.hub.__exit__)
        self.hub.add(REPOSITORY, {"Model-Q4_K_M.gguf": SMALL, "Model-Q8_0.gguf": SMALL[:1000]})

    def environment(self, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(VARIABLES)}
        environment.update(HF_HOME=self.hf_home, HF_ENDPOINT=self.hub.endpoint, HOME=self.folder)
        environment.update(FLOTILLA_CONFIG=os.devnull, FLOTILLA_HOME=self.home)
        environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "120"  # on a machine with much to do this server may be slow
        environment.update(variables)
        return environment

    def start(self, *words, limit=None, **variables):
        def before():
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        process = subprocess.Popen(
            [BINARY, *words],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def flotilla(self, *words, seconds=120, **options):
        process = self.start(*words, **options)
        out, err = process.communicate(timeout=seconds)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def pulled(self, *words, **options):
        """What a pull that ends well says of itself."""
        run = self.flotilla("pull", *words, "--json", **options)
        lines = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertIn("pulled", lines[-1] if lines else {}, run)
        return lines[-1]["pulled"]

    def refused(self, *words, code=1, **options):
        """Why a pull ends badly; the store is what it was."""
        before = self.store()
        run = self.flotilla("pull", *words, **options)
        self.assertEqual(code, run.returncode, run)
        self.assertTrue(run.stderr.startswith("flotilla: ") or "\nflotilla: " in run.stderr, run)
        self.assertEqual(before, self.store())
        return run.stderr

    def store(self):
        """Every name in the cache under which somebody would look for bytes, and those bytes' hash."""
        found = {}
        for folder, _, names in os.walk(self.cache):
            for name in names:
                path = os.path.join(folder, name)
                if ".locks" in folder or name.endswith(".incomplete"):
                    continue
                with open(path, "rb") as file:
                    found[os.path.relpath(path, self.cache)] = hashlib.sha256(file.read()).hexdigest()
        return found

    def repository_folder(self, repository=REPOSITORY):
        return os.path.join(self.cache, "models--" + repository.replace("/", "--"))

    def incomplete(self):
        folder = os.path.join(self.repository_folder(), "blobs")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return [os.path.join(folder, name) for name in names if name.endswith(".incomplete")]

    def incomplete_bytes(self):
        return sum(os.path.getsize(path) for path in self.incomplete())

    def tree_outside(self):
        """Whatever lies in the test's folder outside the cache."""
        return [name for name in os.listdir(self.folder) if name not in ("hf", "home")]


class RealModel(PullTest):
    def setUp(self):
        super().setUp()
        self.hub.add(REPOSITORY, {"SmolLM2-135M-Instruct.Q4_1.gguf": REAL_FILE, "Model-Q8_0.gguf": SMALL})
        self.reference = REPOSITORY + ":q4_1"

    def check_layout(self):
        """As Hugging Face's own tools lay it out."""
        file, commit = self.hub.repositories[REPOSITORY][SMOLLM2 + ".gguf"], self.hub.commit_of(REPOSITORY)
        folder = self.repository_folder()
        link = os.path.join(folder, "snapshots", commit, SMOLLM2 + ".gguf")
        self.assertEqual("../../blobs/" + file.sha256, os.readlink(link))
        with open(os.path.join(folder, "refs", "main"), encoding="ascii") as refs:
            self.assertEqual(commit, refs.read())
        self.assertEqual([file.sha256], os.listdir(os.path.join(folder, "blobs")))
        with open(link, "rb") as here:
            self.assertEqual(file.sha256, hashlib.file_digest(here, "sha256").hexdigest())

    def test_it_comes_whole_is_found_by_a_node_and_answers(self):
        node = Node("a", self.folder, ["--no-discovery", "--threads", "1"], home=self.home)
        node.environment = {"HF_HUB_CACHE": self.cache}
        node.start()
        self.addCleanup(node.stop)
        self.hub.trouble.token = TOKEN
        run = self.flotilla("pull", self.reference, HF_TOKEN=TOKEN)
        self.assertEqual(0, run.returncode, run)
        self.assertIn(SMOLLM2 + " is here", run.stdout)
        self.check_layout()
        self.assertEqual({"Bearer " + TOKEN}, set(self.hub.authorizations("hub")))
        self.assertEqual({None}, set(self.hub.authorizations("content")))
        wait_until(lambda: SMOLLM2 in node.get("/v1/models").body.decode(), 30, "the node to find the model")
        api = ["--api", "http://127.0.0.1:%d" % node.api_port]
        listing = self.flotilla("list", *api)
        self.assertIn(SMOLLM2, listing.stdout)
        answer = self.flotilla("run", self.reference, "Hi", "--max-tokens", "2", "--temperature", "0", *api)
        self.assertEqual(0, answer.returncode, answer)
        self.hub.forget()
        self.assertEqual(0, self.pulled(self.reference, HF_TOKEN=TOKEN)["fetched_bytes"])
        self.assertEqual(0, self.hub.bytes_sent)

    def test_killed_at_ten_random_moments_it_goes_on(self):
        seed = int(os.environ.get("FLOTILLA_SEED", random.randrange(1 << 32)))
        chance, size = random.Random(seed), os.path.getsize(REAL_FILE)
        self.hub.trouble.bytes_per_second = 25e6
        moments = sorted(chance.randrange(size * 9 // 10) for _ in range(10))
        for number, moment in enumerate(moments):
            process = self.start("pull", self.reference)
            wait_until(lambda: self.incomplete_bytes() >= moment or process.poll() is not None, 60, "%d bytes" % moment)
            self.assertIsNone(process.poll(), "seed %d, moment %d ended by itself" % (seed, number))
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.assertEqual({}, self.store(), "seed %d" % seed)
        self.hub.trouble.bytes_per_second = None
        pulled = self.pulled(self.reference)
        self.assertLess(pulled["fetched_bytes"], size - moments[-1] + 1, "seed %d" % seed)
        self.check_layout()
        # What was under way at each kill is sent again, and no more: socket buffers hold a few megabytes.
        self.assertLess(self.hub.bytes_sent, size + 10 * (8 << 20), "seed %d" % seed)


class GoingOn(PullTest):
    """What is interrupted ends well all the same."""

    reference = REPOSITORY + ":Q4_K_M"

    def check(self, pulled):
        with open(pulled["files"][0], "rb") as file:
            self.assertEqual(SMALL, file.read())
        self.assertEqual([], self.incomplete())

    def test_ctrl_c_leaves_what_was_fetched(self):
        self.hub.trouble.bytes_per_second = 200e3
        process = self.start("pull", self.reference)
        wait_until(lambda: self.incomplete_bytes() > 100_000, 30, "some bytes")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertEqual(130, process.returncode, err)
        self.assertIn("flotilla pull " + self.reference, err)
        kept = self.incomplete_bytes()
        self.hub.trouble.bytes_per_second = None
        pulled = self.pulled(self.reference)
        self.assertEqual(len(SMALL) - kept, pulled["fetched_bytes"])
        self.check(pulled)

    def test_links_that_run_out_and_connections_that_break(self):
        self.hub.trouble.expired_links = 1
        self.hub.trouble.cut_after, self.hub.trouble.cuts = 150_000, 3
        self.check(self.pulled(self.reference))
        self.assertLess(self.hub.bytes_sent, len(SMALL) + 4 * 65536)

    def test_a_hub_that_falls_silent_or_has_trouble(self):
        self.hub.trouble.silent_after, self.hub.trouble.server_errors = 150_000, 1
        self.check(self.pulled(self.reference, HF_HUB_DOWNLOAD_TIMEOUT="1"))

    def test_a_body_without_a_length_that_ends_early(self):
        self.hub.trouble.says_length = False
        self.hub.trouble.cut_after, self.hub.trouble.cuts = 150_000, 2
        self.check(self.pulled(self.reference))

    def test_a_hub_that_ignores_ranges(self):
        self.hub.trouble.ignores_ranges = True
        self.hub.trouble.cut_after, self.hub.trouble.cuts = 150_000, 2
        self.check(self.pulled(self.reference))

    def test_a_limit_on_requests_is_waited_for(self):
        self.hub.trouble.rate_limits = [1, 1]
        run = self.flotilla("pull", self.reference)
        self.assertIn("the hub asks to wait 1 s", run.stderr)
        self.check(self.pulled(self.reference))

    def test_what_an_earlier_pull_left_and_a_power_cut_damaged_is_begun_anew(self):
        self.pulled(self.reference)
        blobs = os.path.join(self.repository_folder(), "blobs")
        blob = os.path.join(blobs, hashlib.sha256(SMALL).hexdigest())
        for left in (b"\0" * 300_000, SMALL[:-1] + b"?", SMALL + b"longer", SMALL):
            with self.subTest(bytes=len(left)):
                os.remove(blob)
                with open(blob + ".incomplete", "wb") as file:
                    file.write(left)
                self.check(self.pulled(self.reference))

    def test_two_at_once_fetch_once(self):
        self.hub.trouble.bytes_per_second = 500e3
        processes = [self.start("pull", self.reference, "--json") for _ in range(2)]
        for process in processes:
            out, err = process.communicate(timeout=60)
            self.assertIn('"pulled"', out, err)
        self.assertEqual(len(SMALL), self.hub.bytes_sent)

    def test_parts_come_together_and_the_name_says_which(self):
        files = {"Q4_K_M/Big-Q4_K_M-%05d-of-00003.gguf" % n: SMALL[: 1000 * n] for n in (1, 2, 3)}
        self.hub.add(REPOSITORY, dict(files, **{"Big-Q4_K_S.gguf": SMALL, "mmproj-Q4_K_M.gguf": SMALL}))
        pulled = self.pulled("hf.co/%s:q4_k_m" % REPOSITORY)
        self.assertEqual("Big-Q4_K_M", pulled["name"])
        self.assertEqual(sorted(files), [path.split(self.hub.commit_of(REPOSITORY) + "/")[1] for path in pulled["files"]])
        self.assertIn("no such file", self.refused(REPOSITORY + ":Q2_K"))

    def test_a_full_disk(self):
        errors = self.refused(self.reference, limit=200_000)
        self.assertIn("the disk is full", errors)
        self.assertEqual(200_000, self.incomplete_bytes())
        self.check(self.pulled(self.reference))

    def test_offline_it_asks_nobody(self):
        self.assertIn("HF_HUB_OFFLINE", self.refused(self.reference, HF_HUB_OFFLINE="1"))
        self.assertEqual([], self.hub.seen)
        self.pulled(self.reference)
        self.hub.forget()
        self.assertEqual(0, self.pulled(self.reference, HF_HUB_OFFLINE="1")["fetched_bytes"])
        self.assertEqual([], self.hub.seen)


class Refused(PullTest):
    """What is not to be had, or not to be believed."""

    reference = REPOSITORY + ":Q4_K_M"

    def setUp(self):
        super().setUp()
        self.pulled(REPOSITORY + ":Q8_0")  # what was here stays
        self.hub.forget()

    def test_names_are_checked_before_anything_is_touched(self):
        before = self.store()
        for name in (
            "../../etc/passwd",
            "org/..",
            "org/../x:Q4",
            "org/name/more",
            "org/na me",
            "org--x/name",
            "-org/name",
            "org/name:../Q4",
            "org/name:Q4/../../x",
            "http://evil.example/org/name",
            "https://evil.example/org/name",
            "smollm2-135",
            "",
            "file:",
        ):
            with self.subTest(name=name):
                run = self.flotilla("pull", name)
                self.assertEqual(2, run.returncode, run)
        for words in (["--revision", "../x"], ["--revision", ""], ["--tries", "0"]):
            self.assertEqual(2, self.flotilla("pull", self.reference, *words).returncode, words)
        self.assertEqual(([], before), (self.hub.seen, self.store()))

    def test_a_quantization_that_is_not_there_is_answered_by_those_that_are(self):
        errors = self.refused(REPOSITORY + ":Q5_K_M")
        self.assertIn("Q8_0 (1.0 KiB), Q4_K_M (684 KiB)", errors)

    def test_who_may_not_is_told_what_to_do(self):
        self.assertIn("look for its name there", self.refused("nobody/nothing"))
        self.hub.trouble.token = TOKEN
        self.assertIn("set HF_TOKEN", self.refused(self.reference))
        with open(os.path.join(self.hf_home, "token"), "w", encoding="ascii") as file:
            file.write("hf_old\n")
        errors = self.refused(self.reference)
        self.assertIn("does not accept the token in %s/token" % self.hf_home, errors)
        self.assertNotIn("hf_old", errors)
        self.hub.trouble.gated = True
        self.assertIn("accept them at %s/%s" % (self.hub.endpoint, REPOSITORY), self.refused(self.reference, HF_TOKEN=TOKEN))

    def test_a_long_wait_is_not_waited_for(self):
        self.hub.trouble.rate_limits = [9999]
        self.assertIn("pull again in 9999 s", self.refused(self.reference))

    def test_nobody_there(self):
        errors = self.refused(self.reference, "--tries", "2", code=3, HF_ENDPOINT="http://127.0.0.1:9")
        self.assertIn("cannot be reached", errors)
        self.assertIn("HF_ENDPOINT", self.refused(self.reference, HF_ENDPOINT="ftp://127.0.0.1"))

    def test_a_hub_that_lies(self):
        name = "Model-Q4_K_M.gguf"
        other = hashlib.sha256(b"other").hexdigest()
        for troubles, expected in (
            ({"listed_bytes": {name: len(SMALL) + 1}}, "contradicts its own listing"),
            ({"listed_bytes": {name: len(SMALL) - 1}}, "contradicts its own listing"),
            ({"listed_bytes": {name: 1 << 43}}, "are missing"),
            ({"listed_bytes": {name: 1 << 60}}, "that a file can have"),
            ({"listed_bytes": {name: -1}}, "that a file can have"),
            ({"listed_bytes": {name: "many"}}, "that a file can have"),
            ({"listed_sha256": {name: other}}, "SHA-256"),
            ({"listed_sha256": {name: "../../../x"}}, "contradict themselves"),
            ({"listed_sha256": {name: None}}, "nothing could be checked"),
            ({"flipped_byte": 400_000}, "thrown away"),
            ({"more_bytes": 100}, "contradicts its own listing"),
            ({"more_bytes": 100, "says_length": False}, "contradicts its own listing"),
            ({"cut_after": 150_000, "wrong_range": True}, "contradicts its own listing"),
            ({"commit": "main"}, "expected the commit"),
            ({"commit": "../" * 13 + "x"}, "expected the commit"),
            ({"endless_headers": True}, "headers"),
            ({"endless_body": True}, "it goes on"),
            ({"next_page": "/api/models/%s/tree/%s" % (REPOSITORY, self.hub.commit_of(REPOSITORY))}, "the list goes on"),
            ({"api_redirect": "/api/models"}, "redirects"),
            ({"redirect": "file:///etc/passwd"}, "http or https"),
            ({"redirect": "http://user:secret@localhost/x"}, "expected an address"),
            ({"expired_links": 1000}, "not good any more"),
        ):
            with self.subTest(**troubles):
                for path in self.incomplete():
                    os.remove(path)
                self.hub.trouble.__dict__.clear()
                self.hub.trouble.__dict__.update(troubles)
                code = 3 if "expired_links" in troubles else 1  # the one kind that may be better later
                errors = self.refused(self.reference, "--tries", "2", code=code)
                self.assertIn(expected, errors)
        self.assertEqual([], self.tree_outside())

    def test_paths_that_would_lead_outside(self):
        for path in (
            "../../../../evil.gguf",
            "/tmp/evil.gguf",
            "a/../../evil.gguf",
            "a//evil.gguf",
            ".hidden.gguf",
            "a\\..\\evil.gguf",
            "C:evil.gguf",
            "a\0b.gguf",
            "a\nb.gguf",
            "x/" * 20 + "deep.gguf",
            "x" * 600 + ".gguf",
        ):
            with self.subTest(path=path):
                lfs = {"oid": hashlib.sha256(SMALL).hexdigest(), "size": len(SMALL)}
                self.hub.trouble.extra_items = [{"type": "file", "path": path, "size": len(SMALL), "lfs": lfs}]
                self.assertIn("names of files within", self.refused(self.reference))
        self.assertEqual([], self.tree_outside())

    def test_the_token_goes_to_no_other_host(self):
        self.hub.trouble.token = TOKEN
        with HubServer() as other:
            other.trouble.token = "another"
            for troubles in (
                {"api_redirect": other.endpoint + "/api/models/x/y/revision/main"},
                {"next_page": other.endpoint + "/api/models/x/y/tree/z"},
                {"redirect": other.endpoint + "/x/y/resolve/z/file"},
                {"redirect": other.endpoint.replace("127.0.0.1", "localhost") + "/x"},
            ):
                with self.subTest(**troubles):
                    self.hub.trouble.__dict__.update(dict(api_redirect=None, next_page=None, redirect=None), **troubles)
                    self.refused(self.reference, "--tries", "1", code=3, HF_TOKEN=TOKEN)
                    self.assertEqual({None}, set(other.authorizations("hub")))
                    other.forget()


class OnTheDisk(PullTest):
    """rm and verify."""

    def test_bytes_that_changed_are_found_and_come_anew(self):
        pulled = self.pulled(REPOSITORY)
        self.pulled(REPOSITORY + ":Q8_0")
        run = self.flotilla("verify")
        self.assertEqual((0, 2), (run.returncode, run.stdout.count("whole")), run)
        with open(pulled["files"][0], "r+b") as file:
            file.seek(1000)
            file.write(b"?")
        run = self.flotilla("verify", "--json")
        states = {model["name"]: model["state"] for model in json.loads(run.stdout)["models"]}
        self.assertEqual((1, {"Model-Q4_K_M": "damaged", "Model-Q8_0": "whole"}), (run.returncode, states))
        self.assertEqual(0, self.flotilla("verify", "model-q8").returncode)
        commands = run.stderr.split("fetch it anew: ")[1].strip()
        for command in commands.split(" && "):
            self.flotilla(*command.split()[1:])
        self.assertEqual(0, self.flotilla("verify").returncode)
        with open(pulled["files"][0], "rb") as file:
            self.assertEqual(SMALL, file.read())

    def test_what_is_removed_is_gone_and_the_rest_stays(self):
        self.pulled(REPOSITORY)
        self.pulled(REPOSITORY + ":Q8_0")
        first = self.hub.commit_of(REPOSITORY)
        self.hub.repositories[REPOSITORY]["README-Q2_K.gguf"] = self.hub.repositories[REPOSITORY]["Model-Q8_0.gguf"]
        self.assertNotEqual(first, self.hub.commit_of(REPOSITORY))
        self.assertEqual(0, self.pulled(REPOSITORY)["fetched_bytes"])  # the same bytes at another commit
        before = self.store()
        run = self.flotilla("rm", "model-q4")
        self.assertEqual((1, before), (run.returncode, self.store()))
        self.assertIn("--yes", run.stderr)
        run = self.flotilla("rm", "model-q4", "--yes")
        self.assertEqual(0, run.returncode, run)
        self.assertFalse(any("Q4_K_M" in path for path in self.store()))
        self.assertEqual(["Model-Q8_0"], [model["name"] for model in self.verified()])
        self.assertEqual(0, self.flotilla("rm", REPOSITORY + ":Q8_0", "--yes").returncode)
        self.assertFalse(os.path.exists(self.repository_folder()))
        self.assertEqual(1, self.flotilla("rm", "model", "--yes").returncode)

    def verified(self):
        return json.loads(self.flotilla("verify", "--json").stdout)["models"]

    def test_an_unfinished_pull_can_be_thrown_away(self):
        self.hub.trouble.cut_after = 100_000
        self.flotilla("pull", REPOSITORY, "--tries", "1")
        self.assertGreater(self.incomplete_bytes(), 0)
        run = self.flotilla("rm", REPOSITORY, "--yes")
        self.assertEqual((0, []), (run.returncode, self.incomplete()), run)

    def test_a_file_that_is_here_is_linked_and_unlinked(self):
        run = self.flotilla("pull", "file:" + REAL_FILE)
        self.assertEqual(0, run.returncode, run)
        link = os.path.join(self.home, "models", SMOLLM2 + ".gguf")
        self.assertTrue(os.path.samefile(link, REAL_FILE))
        self.assertEqual(0, self.flotilla("pull", "file:" + REAL_FILE).returncode)
        run = self.flotilla("rm", "smollm2", "--yes")
        self.assertEqual((0, False, True), (run.returncode, os.path.lexists(link), os.path.exists(REAL_FILE)), run)
        self.assertEqual(1, self.flotilla("pull", "file:/nowhere.gguf").returncode)

    def test_short_names_are_listed_and_each_can_be_parsed(self):
        names = json.loads(self.flotilla("pull", "--json").stdout)["short_names"]
        for name in names:
            self.hub.add(name["repository"], {"X-%s.gguf" % name["quant"]: SMALL})
        self.assertEqual(len(names), len({name["name"] for name in names}))
        self.assertEqual(names[0]["repository"], self.pulled(names[0]["name"])["repository"])
        self.assertIn("did you mean qwen3-4b", self.flotilla("pull", "qwen3-4").stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
