#!/usr/bin/env python3
"""Real nodes that come into a cluster by token and by code, and are put out of it, through the command line. Without
models: two that belong together are joined, two that do not merely see each other.

    FLOTILLA_BINARY=build/flotilla tests/process/test_joining.py [TEST...]
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from flotilla import BINARY, Node, free_port, wait_until  # noqa: E402

CODE = re.compile(r"shows the code\s+(\d{6})")


class Joining(unittest.TestCase):
    """Each test has nodes of its own, which know each other by --peer and have no flag that trusts anyone."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-joining-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.ports = {name: free_port() for name in ("a", "b", "c")}
        self.nodes = {}

    def start(self, name, *flags):
        peers = [word for other in self.ports if other != name for word in ("--peer", "127.0.0.1:%d" % self.ports[other])]
        node = self.nodes[name] = Node(
            name, self.folder, ["--no-discovery", *peers, *flags], cluster_port=self.ports[name]
        )
        self.addCleanup(node.stop)
        return node.start()

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": self.folder, "FLOTILLA_CONFIG": os.devnull}

    def words(self, node, *words):
        return [BINARY, *words, "--api", "http://127.0.0.1:%d" % node.api_port]

    def verb(self, node, *words, expect=0):
        done = subprocess.run(
            self.words(node, *words), env=self.environment(), capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(expect, done.returncode, done.stdout + done.stderr + node.log())
        return (done.stdout if expect == 0 else done.stderr).strip()

    def wait_joined(self, *names):
        for name in names:
            wait_until(
                lambda: self.nodes[name].joined() == sorted(names),
                20,
                lambda: "%s to see %s but it sees %s\n%s"
                % (name, names, self.nodes[name].get("/cluster").json(), self.nodes[name].log()),
            )

    def reason(self, viewer, name):
        return self.nodes[viewer].members().get(name, {}).get("reason", "")

    def cluster_of_two(self):
        a, b = self.start("a"), self.start("b")
        token = self.verb(a, "token", "create")
        self.verb(b, "join", token)
        self.wait_joined("a", "b")
        return a, b

    def test_alone_there_is_nothing_to_do(self):
        a = self.start("a")
        self.assertEqual(["a"], a.joined())
        self.assertIn("belongs to no cluster", self.verb(a, "members"))
        self.assertEqual(0o600, stat.S_IMODE(os.stat(os.path.join(a.home, "trust", "device.key")).st_mode))

    def test_a_token_lets_in_as_many_as_it_says_and_survives_restarts(self):
        a = self.start("a")
        token = self.verb(a, "token", "create", "--uses", "1", "--ttl", "15m")
        b = self.start("b", "--join", token)
        self.wait_joined("a", "b")
        c = self.start("c")
        self.assertIn("has let in the 1 machine it was made for", self.verb(c, "join", token, expect=1))
        self.assertIn("c belongs to no cluster", wait_until(lambda: self.reason("a", "c"), 10, "a to see c"))
        for node in (a, b):
            node.terminate()
        for name in ("a", "b"):
            self.start(name)  # without a word about joining
        self.wait_joined("a", "b")

    def test_a_token_that_was_mistyped_guessed_or_has_ended_is_refused(self):
        a, b = self.start("a"), self.start("b")
        token = self.verb(a, "token", "create", "--json")
        token = json.loads(token)["token"]
        self.assertIn("mistyped", self.verb(b, "join", token[:10] + ("A" if token[10] != "A" else "B") + token[11:], expect=2))
        self.assertIn("begins with flt1-", self.verb(b, "join", "hunter2", expect=2))
        self.assertIn("begins with flt1-", self.verb(b, "join", "", expect=2))  # of a command that failed
        c = self.start("c")
        other = self.verb(c, "token", "create")
        c.terminate()
        self.assertIn("no machine that can let this one in", self.verb(b, "join", other, expect=1))
        self.assertEqual(["b"], b.joined())
        self.assertIn("expected a time", self.verb(a, "token", "create", "--ttl", "soon", expect=2))

    def test_a_machine_put_out_does_not_let_itself_in_again_by_its_token(self):
        a, b = self.start("a"), self.start("b")
        token = self.verb(a, "token", "create", "--uses", "5", "--ttl", "30d")
        self.verb(b, "join", token)
        self.wait_joined("a", "b")
        self.verb(a, "revoke", "b")
        wait_until(lambda: a.joined() == ["a"], 20, "a to be rid of b")
        self.verb(b, "leave")
        self.assertIn("this token ended at", self.verb(b, "join", token, expect=1))
        c = self.start("c")  # the same person with a key that nobody knows
        self.assertIn("this token ended at", self.verb(c, "join", token, expect=1))
        self.assertEqual(["a"], a.joined())

    def test_tokens_are_listed_and_ended_on_any_member(self):
        a, b = self.cluster_of_two()
        token = self.verb(b, "token", "create", "--uses", "3")
        listed = json.loads(self.verb(b, "token", "list", "--json"))["tokens"]
        [mine] = [each for each in listed if each["made_by"] == "b"]
        self.assertEqual((3, 0), (mine["uses"], mine["used"]))
        self.assertIn(mine["id"], self.verb(a, "token", "list"))
        self.assertNotIn(token[5:], json.dumps(listed))
        self.assertIn("lets nobody in any more", self.verb(b, "token", "revoke", mine["id"]))
        self.assertIn("expected the id of a token", self.verb(a, "token", "revoke", mine["id"], expect=1))
        self.assertNotIn(mine["id"], self.verb(a, "token", "list"))
        c = self.start("c")
        self.assertIn("this token ended at", self.verb(c, "join", token, expect=1))

    def test_serve_join_goes_on_asking_while_the_machine_with_the_key_is_away(self):
        a, b = self.cluster_of_two()
        token = self.verb(a, "token", "create")
        a.terminate()
        wait_until(lambda: b.joined() == ["b"], 20, "b to notice that a is gone")
        c = self.start("c", "--join", token)
        wait_until(lambda: "the machine that holds the cluster's key is not here" in c.log(), 30, "c to be told by b")
        self.start("a")
        self.wait_joined("a", "b", "c")

    def ask_by_code(self, node, answer="y"):
        asking = subprocess.Popen(
            self.words(node, "join"),
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(asking.kill)
        if answer:
            asking.stdin.write(answer + "\n")
            asking.stdin.flush()
        return asking

    def waiting(self, node):
        return node.get("/members").json()["waiting"]

    def test_a_code_that_both_screens_show_lets_in_from_any_member(self):
        a, b = self.cluster_of_two()
        c = self.start("c")
        asking = self.ask_by_code(c)
        member = wait_until(lambda: next((n for n in (a, b) if self.waiting(n)), None), 20, "a member to be asked")
        other = b if member is a else a
        [waiting] = self.waiting(member)
        self.assertEqual("c", waiting["name"])
        self.assertIn("no machine waits", self.verb(other, "approve", "%06d" % ((int(waiting["code"]) + 1) % 10**6), expect=1))
        self.assertIn("c may come in", self.verb(other, "approve", waiting["code"]))
        said, complaints = asking.communicate(timeout=30)
        self.assertEqual(0, asking.returncode, said + complaints)
        self.assertEqual([waiting["code"]], CODE.findall(said))
        self.wait_joined("a", "b", "c")

    def test_whoever_does_not_confirm_the_code_does_not_join(self):
        a, b = self.start("a"), self.start("b")
        asking = self.ask_by_code(b, answer="n")
        _, complaints = asking.communicate(timeout=30)
        self.assertEqual(1, asking.returncode)
        self.assertIn("not joined", complaints)
        wait_until(lambda: not self.waiting(a), 20, "the newcomer to be gone")
        self.assertEqual(["a"], a.joined())

    def test_a_join_that_was_approved_but_not_confirmed_is_over_when_its_owner_says_no(self):
        a, b = self.start("a"), self.start("b")
        asking = self.ask_by_code(b, answer=None)
        [waiting] = wait_until(lambda: self.waiting(a), 20, "a to be asked")
        self.verb(a, "approve", waiting["code"])
        wait_until(lambda: not self.waiting(a), 20, "b to have its answer")
        _, complaints = asking.communicate("n\n", timeout=30)
        self.assertIn("not joined", complaints)
        again = self.ask_by_code(b)
        wait_until(lambda: self.waiting(a) or again.poll() is not None, 20, "a to be asked again")
        self.assertIsNone(again.poll(), "not: this machine is joining already")
        late = b.post("/join", {"confirm": waiting["code"]})
        self.assertEqual(404, late.status)
        self.verb(a, "approve", self.waiting(a)[0]["code"])
        said, complaints = again.communicate(timeout=30)
        self.assertEqual(0, again.returncode, said + complaints)
        self.wait_joined("a", "b")

    def test_a_machine_put_out_is_out_everywhere_and_may_be_let_in_anew(self):
        a, b = self.cluster_of_two()
        c = self.start("c")
        self.verb(c, "join", self.verb(a, "token", "create"))
        self.wait_joined("a", "b", "c")
        self.verb(b, "revoke", "c")  # b does not hold the key: a signs
        for name in ("a", "b"):
            wait_until(lambda: self.nodes[name].joined() == ["a", "b"], 20, "%s to be rid of c" % name)
        wait_until(lambda: self.nodes["c"].joined() == ["c"], 20, "c to be alone")
        self.assertIn("put out of this cluster", wait_until(lambda: self.reason("b", "c"), 20, "b to say why"))
        self.verb(c, "leave")
        self.verb(c, "join", self.verb(b, "token", "create"))
        self.wait_joined("a", "b", "c")

    def test_a_machine_that_is_away_can_be_put_out(self):
        a, b = self.cluster_of_two()
        b.terminate()
        wait_until(lambda: a.joined() == ["a"], 20, "a to notice that b is gone")
        self.verb(a, "revoke", "b")
        self.start("b")
        wait_until(lambda: "put out" in self.reason("a", "b"), 20, "a to refuse b")
        self.assertIn("put out", self.verb(a, "members"))

    def test_two_clusters_merely_see_each_other(self):
        a, b = self.start("a"), self.start("b")
        self.verb(a, "token", "create")
        self.verb(b, "token", "create")
        wait_until(lambda: "another cluster" in self.reason("a", "b"), 20, lambda: "a to say why: " + a.log())
        self.assertIn("in a cluster already", self.verb(b, "join", "--peer", "127.0.0.1:%d" % a.cluster_port, expect=1))
        token = self.verb(a, "token", "create")
        b.terminate()
        b = self.start("b", "--join", token)
        wait_until(lambda: "is in another cluster already" in b.log(), 20, lambda: "b to say it: " + b.log())

    def test_whoever_holds_the_key_leaves_only_when_it_means_it(self):
        a, b = self.cluster_of_two()
        self.assertIn("--force", self.verb(a, "leave", expect=1))
        self.verb(b, "leave")
        wait_until(lambda: a.joined() == ["a"], 20, "b to be gone")

    # --- An administrator's file --------------------------------------------------------------------------------------

    def join_file(self, text, mode=0o600):
        path = os.path.join(self.folder, "join")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def test_a_machine_that_is_no_member_joins_by_the_file(self):
        a = self.start("a")
        path = self.join_file("# of the office\n%s\n" % self.verb(a, "token", "create"))
        b = self.start("b", "--join-file", path)
        self.wait_joined("a", "b")
        b.terminate()
        self.join_file("nonsense", 0o644)
        self.start("b", "--join-file", path)  # a member does not need it
        self.wait_joined("a", "b")

    def refusal(self, *flags):
        node = Node("c", self.folder, ["--no-discovery", *flags], cluster_port=self.ports["c"])
        node.launch()
        self.assertEqual(1, node.process.wait(20), node.log())
        return node.log()

    def test_a_file_that_cannot_be_used_is_explained(self):
        a = self.start("a")
        token = self.verb(a, "token", "create")
        self.assertIn("chmod 600", self.refusal("--join-file", self.join_file(token, 0o644)))
        self.assertIn("expected one line with a token", self.refusal("--join-file", self.join_file("# none\n")))
        self.assertIn("begins with flt1-", self.refusal("--join-file", self.join_file("hunter2\n")))
        self.assertIn("there is none", self.refusal("--join-file", os.path.join(self.folder, "missing")))

    def test_a_file_whose_token_is_used_up_is_explained_and_the_doctor_knows(self):
        a = self.start("a")
        path = self.join_file(self.verb(a, "token", "create", "--uses", "1"))
        self.start("b", "--join-file", path)
        self.wait_joined("a", "b")
        c = self.start("c", "--join-file", path)
        wait_until(lambda: "was not let in: " in c.log(), 20, "c to say why")
        self.assertIn("has let in the 1 machine it was made for", c.log())
        [trust] = [e for e in c.get("/cluster/doctor").json()["checks"] if e["check"] == "trust"]
        self.assertEqual("bad", trust["health"])
        self.assertIn("has let in the 1 machine", trust["found"])
        self.assertIn("flotilla token create", trust["to_do"])

    def test_flags_of_a_lab_and_tokens_do_not_mix(self):
        a = self.start("a", "--trust-lan")
        self.assertIn("started with --trust-lan", self.verb(a, "token", "create", expect=1))
        self.assertIn("EVERY machine on this network", a.log())

    def test_a_secret_that_others_can_read_is_spoken_of(self):
        path = os.path.join(self.folder, "secret")
        with open(path, "w", encoding="utf-8") as file:
            file.write("correct horse battery staple\n")
        for name, mode in (("a", 0o600), ("b", 0o644)):
            os.chmod(path, mode)
            node = self.start(name, "--cluster-secret", path)
            self.assertEqual(mode != 0o600, "can be read by others" in node.log(), node.log())

    def test_an_api_that_others_reach_lets_machines_in_only_with_a_key(self):
        a = self.start("a")
        a.terminate()
        words = a.command()
        words[words.index("--api") + 1] = "0.0.0.0:%d" % a.api_port
        a.command = lambda: words + ["--no-auth"]
        a.start()
        self.assertIn("expected keys to an API that others reach", self.verb(a, "token", "create", expect=1))
        key = [BINARY, "key", "create", "--name", "ops", "--scope", "admin", "--home", a.home]
        subprocess.run(key, env=self.environment(), capture_output=True, timeout=60, check=True)
        self.assertTrue(self.verb(a, "token", "create", "--home", a.home))


if __name__ == "__main__":
    unittest.main(verbosity=2)
