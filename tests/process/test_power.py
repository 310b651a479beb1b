#!/usr/bin/env python3
"""Machines that run on battery, and machines that must not fall asleep while they serve. The batteries are folders
shaped like the kernel's, and systemd-inhibit is a script.

    FLOTILLA_BINARY=build/flotilla tests/process/test_power.py [TEST...]
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from flotilla import BINARY, MODELS_FOLDER, SMOLLM2, Fleet, Node, wait_until  # noqa: E402

MIB = 1 << 20
WISHES = {"context": 512, "sequences": 2}
ASK = {"model": SMOLLM2, "prompt": "The lighthouse keeper", "max_tokens": 40, "temperature": 0, "ignore_eos": True}
# As systemd-inhibit: notes what it was asked, runs the command, and notes that it is over.
INHIBIT = """#!/bin/sh
echo "$@" >> "%(log)s"
for word; do case "$word" in --*) shift ;; *) break ;; esac; done
echo $$ >> "%(pids)s"
"$@"
echo over >> "%(log)s"
"""


class Supply:
    """A folder like /sys/class/power_supply with a charger and a battery, and a mouse that has one too."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "power")
        self.write("AC", type="Mains", online="1")
        self.write("BAT0", type="Battery", status="Full", capacity="100")
        self.write("hid-mouse", type="Battery", scope="Device", status="Discharging", capacity="5")

    def write(self, supply, **files):
        os.makedirs(os.path.join(self.folder, supply), exist_ok=True)
        for name, text in files.items():
            path = os.path.join(self.folder, supply, name)
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write(text + "\n")
            os.rename(path + ".new", path)

    def unplug(self, percent):
        self.write("BAT0", status="Discharging", capacity=str(percent))
        self.write("AC", online="0")

    def plug(self):
        self.write("AC", online="1")
        self.write("BAT0", status="Charging")


class PowerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-power-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.supply = Supply(self.folder)
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def fleet(self, names, supplied, own=()):
        """Nodes that offer 1 GiB, and 2 GiB the one with the power supply of this test: models are loaded there."""
        flags = {name: ["--memory", "1G"] for name in names}
        flags[supplied] = ["--memory", "2G", *own]
        fleet = Fleet(
            names, {name: [MODELS_FOLDER] for name in names}, ["--threads", "1"], node_flags=flags, start=False
        )
        fleet[supplied].environment = {"FLOTILLA_POWER_SUPPLY": self.supply.folder}
        self.stack.enter_context(fleet)
        for node in fleet:
            node.start()
        return fleet.wait_joined()

    def plan(self, node):
        return node.get("/plan?model=%s&context=512&sequences=2" % SMOLLM2)

    def offers(self, viewer, name):
        return viewer.members()[name]["memory_bytes"]


class OnBattery(PowerTest):
    def test_a_machine_on_battery_offers_half_and_everyone_knows_why(self):
        fleet = self.fleet(["a", "b"], "b")
        self.assertEqual(2048 * MIB, self.offers(fleet["a"], "b"))
        self.assertFalse(fleet["a"].members()["b"]["on_battery"])
        self.supply.unplug(43)
        wait_until(lambda: self.offers(fleet["a"], "b") == 1024 * MIB, 20, "b to offer half")
        b = fleet["a"].members()["b"]
        self.assertEqual((True, 43), (b["on_battery"], b["battery_percent"]))
        said = subprocess.run(
            [BINARY, "nodes", "--api", "http://127.0.0.1:%d" % fleet["a"].api_port],
            stdout=subprocess.PIPE, check=True, timeout=30,
        ).stdout.decode()
        self.assertIn("on battery at 43 %", said)
        [power] = [c for c in fleet["b"].get("/cluster/doctor").json()["checks"] if c["check"] == "power"]
        self.assertEqual("warn", power["health"])
        self.assertIn("on battery at 43 %; offers half", power["found"])
        self.supply.plug()
        wait_until(lambda: self.offers(fleet["a"], "b") == 2048 * MIB, 20, "b to offer all again")

    def test_one_that_offers_nothing_is_left_out_with_the_reason(self):
        self.supply.unplug(80)
        fleet = self.fleet(["a", "b"], "b", own=["--on-battery", "none"])
        self.assertEqual(0, self.offers(fleet["a"], "b"))
        [left] = self.plan(fleet["a"]).json()["left_out"]
        self.assertEqual("b", left["node"])
        self.assertIn("runs on battery at 80 %", left["reason"])

    def test_a_battery_that_is_low_counts_as_none(self):
        self.supply.unplug(21)
        fleet = self.fleet(["a", "b"], "b")
        self.assertEqual(1024 * MIB, self.offers(fleet["a"], "b"))
        self.supply.unplug(20)
        wait_until(lambda: self.offers(fleet["a"], "b") == 0, 20, "b to offer nothing")

    def test_its_layers_are_handed_over_and_no_answer_is_broken_off(self):
        fleet = self.fleet(["a", "b"], "b", own=["--on-battery", "none"])
        fleet["a"].load(SMOLLM2, **WISHES)
        [placement] = fleet["a"].placements()
        self.assertEqual(["b"], placement["stages"][0]["nodes"], "it has the most memory to spare")
        expected = fleet["a"].post("/v1/completions", ASK).json()["choices"][0]["text"]
        answers, ended = [], threading.Event()

        def ask():
            while not ended.is_set():
                answers.append(fleet["a"].post("/v1/completions", ASK))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            self.supply.unplug(80)
            wait_until(
                lambda: [p["stages"][0]["nodes"] for p in fleet["a"].placements() if p["state"] == "ready"] == [["a"]],
                60,
                lambda: "the model to be handed over to a, but: %s" % fleet["a"].placements(),
            )
        finally:
            ended.set()
            thread.join()
        self.assertTrue(answers)
        for answer in answers:
            self.assertEqual(200, answer.status, answer)
            self.assertEqual(expected, answer.json()["choices"][0]["text"])
        [placement] = [p for p in fleet["a"].placements() if p["state"] == "ready"]
        self.assertIn("moved: b runs on battery at 80 % and offers nothing; to a (30 layers)", placement["detail"])


class Awake(PowerTest):
    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.folder, "bin")
        os.mkdir(self.bin)
        self.log, self.pids = os.path.join(self.folder, "asked"), os.path.join(self.folder, "pids")

    def install(self, script=INHIBIT):
        path = os.path.join(self.bin, "systemd-inhibit")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script % {"log": self.log, "pids": self.pids})
        os.chmod(path, 0o755)

    def start(self, stay_awake="3s"):
        flags = ["--no-discovery", "--threads", "1", "--stay-awake", stay_awake]
        node = Node("a", self.folder, flags, [MODELS_FOLDER])
        node.environment = {"PATH": self.bin + ":/usr/bin:/bin"}
        self.addCleanup(node.stop)
        return node.start()

    def asked(self):
        with contextlib.suppress(FileNotFoundError), open(self.log, encoding="utf-8") as file:
            return file.read().splitlines()
        return []

    def inhibitors(self):
        """Those that run now."""
        with contextlib.suppress(FileNotFoundError), open(self.pids, encoding="utf-8") as file:
            pids = [int(line) for line in file]
            return [pid for pid in pids if os.path.exists("/proc/%d/root" % pid) and not self.is_dead(pid)]
        return []

    def is_dead(self, pid):
        with contextlib.suppress(OSError), open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
        return True

    def keeps_awake(self, node):
        return node.members()["a"]["keeps_awake"]

    def sleep_check(self, node):
        [check] = [c for c in node.get("/cluster/doctor").json()["checks"] if c["check"] == "sleep"]
        return check

    def serving(self):
        self.install()
        node = self.start()
        self.assertFalse(self.keeps_awake(node))
        node.load(SMOLLM2, **WISHES)
        wait_until(lambda: self.inhibitors(), 10, "systemd-inhibit to run")
        return node

    def test_the_system_is_asked_while_it_serves_and_may_sleep_when_it_is_idle(self):
        node = self.serving()
        self.assertTrue(self.keeps_awake(node))
        self.assertTrue(node.get("/members").json()["keeps_awake"])
        self.assertIn("asked not to sleep", self.sleep_check(node)["found"])
        [asked] = self.asked()
        for word in ("--what=sleep:idle", "--who=Flotilla", "--why=", "--mode=block"):
            self.assertIn(word, asked)
        wait_until(lambda: not self.keeps_awake(node), 20, "an idle machine to let the system sleep")
        wait_until(lambda: self.asked()[-1] == "over", 10, "systemd-inhibit to end")
        self.assertEqual([], self.inhibitors())
        node.post("/v1/completions", ASK)
        wait_until(lambda: self.keeps_awake(node), 10, "a machine that serves again to be kept awake")

    def test_what_keeps_it_awake_holds_no_connection_of_the_nodes_open(self):
        self.serving()
        [pid] = self.inhibitors()
        held = [os.readlink("/proc/%d/fd/%s" % (pid, fd)) for fd in os.listdir("/proc/%d/fd" % pid)]
        self.assertEqual([], [target for target in held if target.startswith("socket:")])

    def test_it_is_taken_back_when_the_model_goes(self):
        node = self.serving()
        node.unload(SMOLLM2)
        wait_until(lambda: not self.inhibitors(), 10, "systemd-inhibit to end")

    def test_nothing_is_left_behind_when_the_node_stops(self):
        node = self.serving()
        node.terminate()
        wait_until(lambda: not self.inhibitors(), 10, "systemd-inhibit to end with its node")

    def test_nothing_is_left_behind_when_the_node_is_killed(self):
        node = self.serving()
        os.kill(node.process.pid, signal.SIGKILL)
        node.process.wait()
        wait_until(lambda: not self.inhibitors(), 10, "systemd-inhibit to end though nobody ended it")

    def test_a_system_that_refuses_is_said(self):
        self.install("#!/bin/sh\nexit 1\n")
        node = self.start()
        node.load(SMOLLM2, **WISHES)
        check = wait_until(
            lambda: next((c for c in [self.sleep_check(node)] if "ended with code 1" in c["found"]), None), 10, "the doctor to say so"
        )
        self.assertIn("sleep off in its settings", check["to_do"])
        self.assertFalse(self.keeps_awake(node))

    def test_switched_off_nobody_is_asked(self):
        self.install()
        node = self.start(stay_awake="0s")
        node.load(SMOLLM2, **WISHES)
        node.post("/v1/completions", ASK)
        self.assertEqual([], self.asked())
        self.assertIn("never asked", self.sleep_check(node)["found"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
