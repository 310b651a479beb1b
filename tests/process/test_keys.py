#!/usr/bin/env python3
"""Keys to the API of a real node: who gets in, who does not, and that the commands of the node's own user go on working.

    FLOTILLA_BINARY=build/flotilla tests/process/test_keys.py [TEST...]
"""

import http.server
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import BINARY, LOAD_SECONDS, MODELS_FOLDER, SMOLLM2, Node, free_port  # noqa: E402

JSON = {"Content-Type": "application/json"}


def bearer(key):
    return {"Authorization": "Bearer " + key}


class KeysTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-keys-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.home = os.path.join(self.folder, "home")

    def flotilla(self, *words, seconds=60, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOTILLA_")}
        environment.update(variables, FLOTILLA_CONFIG=os.devnull)
        return subprocess.run(
            [BINARY, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            text=True,
            check=False,
        )

    def key(self, *words):
        """A new key's text; nothing else goes to standard output."""
        run = self.flotilla("key", "create", "--home", self.home, *words)
        self.assertEqual(0, run.returncode, run.stderr)
        self.assertRegex(run.stdout, r"\Ask-[0-9a-f]{64}\n\Z")
        return run.stdout.strip()

    def revoke(self, name):
        run = self.flotilla("key", "revoke", name, "--home", self.home)
        self.assertEqual(0, run.returncode, run.stderr)
        return run.stdout

    def node(self, *flags, **options):
        return Node("a", self.folder, ["--no-discovery", "--log-level", "debug", *flags], home=self.home, **options)

    def running(self, *flags, **options):
        node = self.node(*flags, **options).start()
        self.addCleanup(node.stop)
        return node

    def verb(self, node, *words, home=None, **variables):
        api = "http://127.0.0.1:%d" % node.api_port
        return self.flotilla(*words, "--api", api, "--home", home or self.home, **variables)


class Door(KeysTest):
    """Which address is opened, and to whom."""

    def test_an_address_that_others_reach_is_not_opened_without_a_key(self):
        for host in ("0.0.0.0", "[::]"):
            with self.subTest(host=host):
                node = self.node(api_host=host)
                node.launch()
                self.assertEqual(1, node.process.wait(20), node.log())
                for part in ("flotilla key create", "--no-auth", "--api 127.0.0.1"):
                    self.assertIn(part, node.log())
                self.assertFalse(os.path.exists(os.path.join(self.home, "local.json")))

    def test_it_is_opened_on_purpose(self):
        node = self.running("--no-auth", api_host="0.0.0.0")
        self.assertEqual(200, node.get("/cluster").status)

    def test_it_is_opened_with_a_key_which_is_asked_for_despite_no_auth(self):
        key = self.key("--scope", "admin")
        node = self.running("--no-auth", api_host="0.0.0.0")
        self.assertEqual(401, node.get("/cluster").status)
        self.assertEqual(200, node.request("GET", "/cluster", headers=bearer(key)).status)

    def test_a_name_that_was_pointed_here_is_refused(self):
        node = self.running("--api-name", "studio.lan")
        port = ":%d" % node.api_port
        for host in ("localhost" + port, "127.0.0.1" + port, "studio.lan" + port, "a" + port, "a.local", "A"):
            self.assertEqual(200, node.request("GET", "/cluster", headers={"Host": host}).status, host)
        for host in ("evil.example" + port, "localhost.evil.example", "0.0.0.0" + port):
            answer = node.request("GET", "/cluster", headers={"Host": host})
            self.assertEqual(403, answer.status, host)
            self.assertIn("--api-name", answer.error()["message"])

    def test_a_page_of_another_site_cannot_act_unless_it_is_named(self):
        node = self.running("--cors-origin", "https://chat.example")
        body = json.dumps({"model": "nobody-has-this"})
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            answer = node.request("POST", "/unload", body, dict(JSON, **headers))
            self.assertEqual((403, "origin_not_allowed"), (answer.status, answer.error()["code"]), headers)
            self.assertIsNone(answer.headers["Access-Control-Allow-Origin"])
        self.assertEqual(415, node.request("POST", "/unload", body, {"Content-Type": "text/plain"}).status)
        named = node.request("POST", "/unload", body, dict(JSON, Origin="https://chat.example"))
        self.assertEqual((404, "https://chat.example"), (named.status, named.headers["Access-Control-Allow-Origin"]))

    def test_flags_that_would_open_too_much_are_explained(self):
        for words, expected in [
            (["--cors-origin", "*"], "each origin is named"),
            (["--cors-origin", "chat.example"], "expected a page's origin"),
            (["--api-name", "studio:1"], "without a port"),
        ]:
            run = self.flotilla("serve", "--home", self.home, *words)
            self.assertEqual(2, run.returncode)
            self.assertIn(expected, run.stderr)


class Keys(KeysTest):
    def test_a_key_made_while_a_node_runs_counts_at_once_and_one_revoked_no_longer(self):
        node = self.running()
        self.assertEqual(200, node.get("/cluster").status)
        infer = self.key("--name", "ann")
        self.assertEqual(401, node.get("/cluster").status)
        self.assertEqual(401, node.request("GET", "/cluster", headers=bearer("sk-wrong")).status)
        refused = node.request("GET", "/cluster", headers=bearer(infer))
        self.assertEqual(403, refused.status)
        self.assertIn("flotilla key create --scope admin", refused.error()["message"])
        self.assertEqual(200, node.request("GET", "/v1/models", headers=bearer(infer)).status)
        self.assertEqual(200, node.request("GET", "/v1/models", headers={"x-api-key": infer}).status)
        for path in ("/health", "/ready"):
            self.assertNotEqual(401, node.get(path).status)
        admin = self.key("--name", "ops", "--scope", "admin")
        self.assertEqual(200, node.request("GET", "/cluster", headers=bearer(admin)).status)
        self.revoke("ann")
        self.assertEqual(401, node.request("GET", "/v1/models", headers=bearer(infer)).status)
        self.assertIn("the last", self.revoke("ops"))
        self.assertEqual(200, node.get("/cluster").status)
        node.stop()
        for key in (infer, admin, "sk-wrong"):
            self.assertNotIn(key, node.log())

    def test_commands_of_the_nodes_own_user_go_on_without_a_key(self):
        self.key("--scope", "infer")
        node = self.running()
        for words in (["list"], ["ps"], ["nodes", "--json"]):
            run = self.verb(node, *words)
            self.assertEqual(0, run.returncode, run.stderr)
        elsewhere = os.path.join(self.folder, "elsewhere")
        run = self.verb(node, "ps", home=elsewhere)
        self.assertEqual(1, run.returncode)
        self.assertIn("FLOTILLA_KEY", run.stderr)
        admin = self.key("--scope", "admin")
        self.assertEqual(0, self.verb(node, "ps", home=elsewhere, FLOTILLA_KEY=admin).returncode)
        self.assertEqual(0, self.verb(node, "ps", "--key", admin, home=elsewhere).returncode)
        self.assertEqual(1, self.verb(node, "ps", "--key", "sk-wrong").returncode)

    def test_a_borrowed_node_whose_home_has_keys_answers_the_one_who_started_it(self):
        self.key()
        api = "http://127.0.0.1:%d" % free_port()
        words = ["run", SMOLLM2, "Hi", "--max-tokens", "2", "--api", api, "--home", self.home, "--models", MODELS_FOLDER]
        run = self.flotilla(*words, seconds=LOAD_SECONDS)
        self.assertEqual(0, run.returncode, run.stderr)

    def test_the_local_key_goes_to_the_node_alone(self):
        self.key()
        self.running()
        seen = []

        class Stranger(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.headers["Authorization"])
                self.send_error(404)

            def log_message(self, *words):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Stranger)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.flotilla("ps", "--api", "http://127.0.0.1:%d" % server.server_port, "--home", self.home)
        self.assertEqual([None], seen)

    def test_files_are_their_owners_and_hold_no_key(self):
        key = self.key("--name", "ann")
        node = self.running()
        for name in ("keys.json", "local.json"):
            path = os.path.join(self.home, name)
            self.assertEqual(0o600, stat.S_IMODE(os.stat(path).st_mode), name)
            with open(path, encoding="utf-8") as file:
                self.assertNotIn(key[3:], file.read(), name)
        node.stop()
        self.assertFalse(os.path.exists(os.path.join(self.home, "local.json")))

    def test_listing_shows_all_but_the_keys(self):
        missing = self.flotilla("key", "list", "--home", self.home)
        self.assertEqual((1, ""), (missing.returncode, missing.stdout))
        self.assertIn("expected a node's home at %s but there is none" % self.home, missing.stderr)
        os.makedirs(self.home)
        self.assertIn("No keys", self.flotilla("key", "list", "--home", self.home).stdout)
        key = self.key("--name", "ann", "--scope", "infer", "--scope", "models")
        table = self.flotilla("key", "list", "--home", self.home).stdout
        self.assertRegex(table, r"ann +[0-9a-f]{8} +infer, models +20\d\d-\d\d-\d\d")
        listed = json.loads(self.flotilla("key", "list", "--json", "--home", self.home).stdout)["keys"]
        self.assertEqual(["ann"], [each["name"] for each in listed])
        self.assertEqual({"id", "name", "scopes", "created"}, set(listed[0]))
        self.assertNotIn(key, table)

    def test_keys_made_at_the_same_time_are_all_kept(self):
        makers = [threading.Thread(target=self.key, args=("--name", "k%d" % i)) for i in range(8)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        listed = json.loads(self.flotilla("key", "list", "--json", "--home", self.home).stdout)["keys"]
        self.assertEqual(["k%d" % i for i in range(8)], sorted(each["name"] for each in listed))

    def test_mistakes_are_explained(self):
        self.key("--name", "ann")
        for words, code, expected in [
            (["key"], 2, "key needs one of: create, list, revoke"),
            (["key", "crate"], 2, "unknown verb 'key crate'; did you mean 'create'?"),
            (["key", "create", "--scope", "root"], 2, "root"),
            (["key", "create", "--nmae", "x"], 2, "did you mean --name?"),
            (["key", "create", "--name", "ann", "--home", self.home], 1, "flotilla key revoke"),
            (["key", "create", "--name", "a\nb", "--home", self.home], 1, "in one line"),
            (["key", "revoke", "bob", "--home", self.home], 1, "there are: ann"),
        ]:
            with self.subTest(words=words):
                run = self.flotilla(*words)
                self.assertEqual(code, run.returncode, run.stdout + run.stderr)
                self.assertIn(expected, run.stderr)

    def test_a_damaged_file_opens_nothing(self):
        key = self.key("--scope", "admin")
        path = os.path.join(self.home, "keys.json")
        node = self.running()
        with open(path, "w", encoding="ascii") as file:
            file.write('{"keys": [{"name": "ann"}]}')
        self.assertEqual(401, node.get("/cluster").status)
        self.assertEqual(200, node.request("GET", "/cluster", headers=bearer(key)).status)
        self.assertIn("the keys stay as they were", node.log())
        run = self.flotilla("key", "create", "--home", self.home)
        self.assertEqual(1, run.returncode)
        self.assertIn(path, run.stderr)
        node.stop()
        node.launch()
        self.assertEqual(1, node.process.wait(20))
        self.assertIn(path, node.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
