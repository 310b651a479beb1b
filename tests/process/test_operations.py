#!/usr/bin/env python3
"""What operators hold in their hands: completions, the manual page, settings and their origins, flotilla top, the service
manager's notices, colours.

    FLOTILLA_BINARY=build/flotilla tests/process/test_operations.py
"""

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import BINARY, MODELS_FOLDER, SMOLLM2, Fleet, Node, free_port  # noqa: E402

SHELLS = ("bash", "zsh", "fish")


def flotilla(*words, variables=None, **options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOTILLA_")}
    environment.update({"FLOTILLA_CONFIG": os.devnull, **(variables or {})})
    return subprocess.run(
        [BINARY, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, env=environment, **options
    )


def help_of(*path):
    run = flotilla(*path, "--help")
    assert run.returncode == 0, run.stderr
    return run.stdout


def verbs_in(text):
    """Names under "Subcommands:" of a help text."""
    part = text.split("Subcommands:", 1)
    return re.findall(r"^  ([a-z]+) ", part[1].split("\n\n")[0], re.M) if len(part) == 2 else []


def command_line():
    """(path of a verb, its flags) for every verb that --help names, read from --help alone."""
    found = []
    for verb in verbs_in(help_of()):
        paths = [[verb]] + [[verb, below] for below in verbs_in(help_of(verb))]
        found += [(path, set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", help_of(*path), re.M))) for path in paths]
    return found


class Completions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.verbs = command_line()
        cls.scripts = {shell: flotilla("completion", shell).stdout for shell in SHELLS}

    def test_every_verb_and_flag_is_in_every_script_and_in_the_manual(self):
        self.assertGreater(len(self.verbs), 25)
        self.assertGreater(sum(len(flags) for _, flags in self.verbs), 120)
        manual = flotilla("man").stdout.replace("\\-", "-")
        for path, flags in self.verbs:
            self.assertIn(".SS %s\n" % " ".join(path), manual)
            section = manual.split(".SS %s\n" % " ".join(path))[1].split("\n.SS ")[0]
            for flag in flags - {"--help"}:
                self.assertIn("\\fB%s\\fR" % flag, section, path)
            for shell, script in self.scripts.items():
                self.assertRegex(script, r"\b%s\b" % path[-1], shell)
                for flag in flags:
                    word = r"-l %s\b" % flag[2:] if shell == "fish" else r"%s\b" % flag
                    self.assertRegex(script, word, "%s: %s of %s" % (shell, flag, path))
        for hidden in ("runner", "gauge"):
            for text in (manual, *self.scripts.values()):
                self.assertNotRegex(text, r"(?m)^\.SS %s|'%s'| %s " % (hidden, hidden, hidden))

    def complete(self, *words):
        """What bash offers for the last of these words."""
        line = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _flotilla; printf "%s\\n" "${COMPREPLY[@]}"'
        with tempfile.NamedTemporaryFile("w", suffix=".bash") as script:
            script.write(self.scripts["bash"])
            script.flush()
            run = subprocess.run(
                ["bash", "-c", line, "bash", script.name, "flotilla", *words], capture_output=True, text=True, timeout=30
            )
        self.assertEqual("", run.stderr)
        return run.stdout.split()

    def test_bash_completes(self):
        self.assertEqual(["serve"], self.complete("se"))
        self.assertEqual({"create", "list", "revoke", "--help"}, set(self.complete("key", "")))
        self.assertEqual(["--scope"], self.complete("key", "create", "--sc"))
        self.assertEqual(["json"], self.complete("serve", "--log-format", "j"))
        self.assertEqual([], self.complete("serve", "--home", ""))
        self.assertEqual(["zsh"], self.complete("completion", "z"))
        self.assertIn("--cluster-secret", self.complete("serve", "--api", "x", "--"))
        self.assertNotIn("--cluster-secret", self.complete("--"))

    def test_other_shells_can_read_theirs(self):
        for shell in SHELLS:
            if shutil.which(shell):
                with self.subTest(shell=shell):
                    run = subprocess.run([shell, "-n"], input=self.scripts[shell], capture_output=True, text=True, timeout=30)
                    self.assertEqual((0, ""), (run.returncode, run.stderr))

    def test_the_manual_is_good_roff_and_of_nobodys_home(self):
        page = flotilla("man", variables={"HOME": "/home/somebody"}).stdout
        self.assertNotIn("somebody", page)
        self.assertIn("~/.local/share/flotilla", page)
        if shutil.which("groff"):
            run = subprocess.run(
                ["groff", "-k", "-man", "-Tutf8", "-ww", "-z"], input=page, capture_output=True, text=True, timeout=60
            )
            self.assertEqual("", run.stderr)

    def test_another_shell_is_refused(self):
        run = flotilla("completion", "tcsh")
        self.assertEqual(2, run.returncode)
        self.assertIn("tcsh", run.stderr)


class Settings(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "config.toml")
        with open(self.file, "w", encoding="utf-8") as file:
            file.write('[serve]\nmemory = "8G"\nthreads = 3\nmodels = ["/a", "/b"]\n')
        self.variables = {"FLOTILLA_CONFIG": self.file, "FLOTILLA_THREADS": "5", "FLOTILLA_JOIN": "flt1-secret"}

    def show(self, *words):
        run = flotilla("config", "show", "--json", *words, variables=self.variables)
        self.assertEqual(0, run.returncode, run.stderr)
        return json.loads(run.stdout)

    def test_each_says_whence_it_comes(self):
        settings = self.show("--", "--standby", "5G", "--no-measure")
        line = self.file + ", line %d"
        for name, value, origin in [
            ("memory", "8G", line % 2),
            ("models", ["/a", "/b"], line % 4),
            ("threads", "5", "environment FLOTILLA_THREADS"),
            ("standby", "5G", "flag"),
            ("no-measure", "true", "flag"),
            ("api", "127.0.0.1:52415", "default"),
            ("no-auth", "false", "default"),
            ("cluster-secret", None, "default"),
        ]:
            self.assertEqual({"value": value, "origin": origin}, settings[name], name)
        flags = set(re.findall(r"^  (--[a-z-]+)", help_of("serve"), re.M)) - {"--help"}
        self.assertEqual(flags, {"--" + name for name in settings})

    def test_secrets_are_not_shown(self):
        for words in ([], ["--json"], ["--origin"]):
            run = flotilla("config", "show", *words, variables=self.variables)
            self.assertNotIn("flt1-secret", run.stdout)
        self.assertEqual("environment FLOTILLA_JOIN", self.show()["join"]["origin"])

    def test_people_get_a_table(self):
        run = flotilla("config", "show", "--origin", variables=self.variables)
        self.assertRegex(run.stdout, r"memory +8G +%s, line 2" % re.escape(self.file))
        run = flotilla("config", "show", variables=self.variables)
        self.assertNotIn("line 2", run.stdout)

    def test_what_serve_would_refuse_is_refused(self):
        run = flotilla("config", "show", "--", "--memroy", "8G", variables=self.variables)
        self.assertEqual(2, run.returncode)
        self.assertIn("did you mean --memory?", run.stderr)
        with open(self.file, "a", encoding="utf-8") as file:
            file.write("oops = 1\n")
        run = flotilla("config", "show", variables=self.variables)
        self.assertEqual(2, run.returncode)
        self.assertIn("line 5: unknown key 'oops'", run.stderr)


class Top(unittest.TestCase):
    def test_it_shows_a_fleet_at_work_and_what_it_loses(self):
        with Fleet(["a", "b"], models={"a": [MODELS_FOLDER]}, flags=["--threads", "1"]) as fleet:
            fleet.wait_joined()
            a, b = fleet["a"], fleet["b"]
            a.load(SMOLLM2, nodes=["a", "b"], context=512, sequences=2)
            asked = ["top", "--api", "http://127.0.0.1:%d" % a.api_port, "--home", a.home]
            once = flotilla(*asked, "--once", "--interval", "0.5")
            self.assertEqual(0, once.returncode, once.stderr)
            self.assertRegex(once.stdout, r"2 machines, .* 1 model, ")
            self.assertRegex(once.stdout, r"%s +ready " % SMOLLM2)
            self.assertNotIn("\x1b", once.stdout)
            environment = dict(os.environ, FLOTILLA_CONFIG=os.devnull)
            with subprocess.Popen(
                [BINARY, *asked, "--json", "--interval", "0.3"], stdout=subprocess.PIPE, text=True, env=environment
            ) as top:
                try:
                    first = json.loads(top.stdout.readline())
                    self.assertEqual(["a", "b"], sorted(node["name"] for node in first["nodes"]))
                    self.assertEqual([], first["events"])
                    stream = a.stream("/v1/completions", {"model": SMOLLM2, "prompt": "Once", "max_tokens": 400, "ignore_eos": True})
                    self.until(top, lambda seen: (seen["models"][0]["tokens_per_second"] or 0) > 0, "a rate")
                    stream.close()
                    b.kill()
                    lost = self.until(
                        top, lambda seen: any(event["text"] == "b is gone" for event in seen["events"]), "b to be gone"
                    )
                    self.assertTrue(lost["events"])
                finally:
                    top.send_signal(signal.SIGINT)
                self.assertEqual(0, top.wait(10))

    def until(self, top, question, what):
        for _ in range(200):
            seen = json.loads(top.stdout.readline())
            with contextlib.suppress(IndexError):
                if question(seen):
                    return seen
        self.fail("expected %s but got %s" % (what, seen))

    def test_nobody_there(self):
        run = flotilla("top", "--once", "--api", "http://127.0.0.1:%d" % free_port())
        self.assertEqual(3, run.returncode)
        self.assertIn("no node answers", run.stderr)


class Service(unittest.TestCase):
    def listener(self, address):
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.bind(address)
        heard.settimeout(30)
        self.addCleanup(heard.close)
        return heard

    def hear(self, address, shown):
        heard = self.listener(address)
        with Fleet(["a"], start=False) as fleet:
            a = fleet["a"]
            a.environment = {"NOTIFY_SOCKET": shown, "WATCHDOG_USEC": "400000"}
            a.launch()
            first = heard.recv(4096).decode()
            self.assertTrue(first.startswith("READY=1\nSTATUS=answers at http://"), first)
            self.assertEqual(200, a.get("/health").status)
            began = time.monotonic()
            for _ in range(4):
                self.assertEqual(b"WATCHDOG=1\n", heard.recv(4096))
            self.assertLess(time.monotonic() - began, 5)
            with open("/proc/%d/environ" % a.process.pid, "rb") as file:
                self.assertIn(b"NOTIFY_SOCKET", file.read())  # as it was started; its children's are its own
            a.process.send_signal(signal.SIGTERM)
            messages = [heard.recv(4096)]
            while messages[-1] == b"WATCHDOG=1\n":
                messages.append(heard.recv(4096))
            self.assertEqual(b"STOPPING=1\n", messages[-1])
            self.assertEqual(0, a.process.wait(15))

    def test_the_manager_hears_when_it_answers_lives_and_stops(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "notify")
            self.hear(path, path)

    def test_also_by_a_name_that_is_no_path(self):
        name = "flotilla-test-%d" % os.getpid()
        self.hear("\0" + name, "@" + name)

    def test_a_manager_that_is_gone_keeps_nobody_from_serving(self):
        with Fleet(["a"], start=False) as fleet:
            fleet["a"].environment = {"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "x"}
            fleet["a"].start()
            self.assertEqual(0, fleet["a"].terminate())


class Colours(unittest.TestCase):
    def log_on_a_terminal(self, **variables):
        """What a node writes to a terminal; its --trust-lan and a secret that others can read make it warn."""
        with tempfile.TemporaryDirectory() as folder:
            secret = os.path.join(folder, "secret")
            with open(secret, "w", encoding="ascii") as file:
                file.write("x" * 32)
            os.chmod(secret, 0o644)
            leader, follower = pty.openpty()
            environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
            environment.update({"FLOTILLA_CONFIG": os.devnull, "TERM": "xterm-256color", **variables})
            words = [BINARY, "serve", "--home", folder, "--api", "127.0.0.1:%d" % free_port(), "--cluster-secret", secret,
                     "--cluster-port", str(free_port()), "--no-discovery", "--no-measure"]
            node = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=follower, env=environment)
            os.close(follower)
            try:
                written = b""
                while b"can be read by others" not in written:
                    written += os.read(leader, 4096)
                return written
            finally:
                node.terminate()
                node.wait(15)
                os.close(leader)

    def test_levels_have_colours_on_a_terminal_unless_nobody_wants_them(self):
        self.assertIn(b"\x1b[", self.log_on_a_terminal())
        self.assertIn(b"\x1b[", self.log_on_a_terminal(NO_COLOR=""))
        self.assertNotIn(b"\x1b[", self.log_on_a_terminal(NO_COLOR="1"))


class Upgrades(unittest.TestCase):
    def test_a_node_whose_program_was_replaced_goes_on_with_its_own(self):
        with tempfile.TemporaryDirectory(prefix="flotilla-upgrade-") as folder:
            program, newer = os.path.join(folder, "flotilla"), os.path.join(folder, "flotilla.new")
            shutil.copy(BINARY, program)
            node = Node("a", folder, ["--no-discovery"], [MODELS_FOLDER])
            node.program = program
            try:
                node.start()
                with open(newer, "w", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
                    file.write("#!/bin/sh\nexit 1\n")
                os.replace(newer, program)
                node.load(SMOLLM2, context=256, sequences=1)
                self.assertTrue(node.complete(SMOLLM2, "The lighthouse", 4))
            finally:
                node.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
