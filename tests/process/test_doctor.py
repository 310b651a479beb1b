#!/usr/bin/env python3
"""`flotilla doctor` with a node and without one: strangers at its ports, homes that cannot be written, machines of
another cluster or version, nobody at all. Without models.

    FLOTILLA_BINARY=build/flotilla tests/process/test_doctor.py [TEST...]
"""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "hostile")]

import wire_tools  # noqa: E402
from flotilla import BINARY, Node, free_port, wait_until  # noqa: E402

SCREEN_LINES, SCREEN_COLUMNS = 40, 200


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="flotilla-doctor-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.api, self.cluster, self.discovery = free_port(), free_port(), free_port()

    def start(self, name, *flags):
        node = Node(name, self.folder, ["--no-discovery", *flags])
        self.addCleanup(node.stop)
        return node.start()

    def doctor(self, *words, api=None, expect=None):
        """The checkup as an object, and its one screen; both end with the same code."""
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder, "FLOTILLA_CONFIG": os.devnull}
        command = [BINARY, "doctor", "--api", "http://127.0.0.1:%d" % (api or self.api), *words]
        if api is None:
            command += ["--cluster-port", str(self.cluster), "--discovery-port", str(self.discovery)]
        said = [
            subprocess.run(each, env=environment, capture_output=True, text=True, timeout=60, check=False)
            for each in (command + ["--json"], command)
        ]
        self.assertEqual(said[0].returncode, said[1].returncode)
        if expect is not None:
            self.assertEqual(expect, said[0].returncode, said[0].stdout + said[0].stderr)
        lines = said[1].stdout.splitlines()
        self.assertLessEqual(len(lines), SCREEN_LINES, said[1].stdout)
        return json.loads(said[0].stdout), said[1].stdout

    def of(self, checkup, check):
        return [each for each in checkup["checks"] if each["check"] == check]

    def verb(self, node, *words):
        command = [BINARY, *words, "--api", "http://127.0.0.1:%d" % node.api_port]
        environment = {"PATH": os.environ["PATH"], "HOME": self.folder, "FLOTILLA_CONFIG": os.devnull}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout.strip()

    # --- Without a node -----------------------------------------------------------------------------------------------

    def test_without_a_node_it_looks_by_itself_and_says_to_start_one(self):
        home = os.path.join(self.folder, "home")
        checkup, screen = self.doctor("--home", home, expect=1)
        self.assertFalse(checkup["running"])
        [node] = self.of(checkup, "node")
        self.assertEqual(("bad", "flotilla serve"), (node["health"], node["to_do"]))
        [ports] = self.of(checkup, "ports")
        self.assertIn("are free", ports["found"])
        self.assertFalse(os.path.exists(home), "it changes nothing")
        for check in ("interfaces", "beacons", "firewall", "clock", "disk", "memory", "power", "compute"):
            self.assertEqual(1, len(self.of(checkup, check)), check)
        self.assertIn("must be done.", screen)

    def test_strangers_at_the_ports_are_named(self):
        with socket.create_server(("127.0.0.1", self.api)), socket.create_server(("", self.cluster)), socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM
        ) as udp, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp6:
            udp.bind(("", self.discovery))
            udp6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            udp6.bind(("", self.discovery))
            checkup, _ = self.doctor("--home", os.path.join(self.folder, "home"), expect=1)
        me = "(process %d)" % os.getpid()
        [node], [beacons] = self.of(checkup, "node"), self.of(checkup, "beacons")
        self.assertIn("does not answer as a Flotilla node", node["found"])
        for finding in (node, beacons, *self.of(checkup, "ports")):
            self.assertEqual("bad", finding["health"])
            self.assertIn(me, finding["found"])
        self.assertIn("--cluster-port", self.of(checkup, "ports")[1]["to_do"])

    def test_a_home_that_cannot_be_written(self):
        checkup, _ = self.doctor("--home", "/sys/flotilla", expect=1)
        [disk] = self.of(checkup, "disk")
        self.assertEqual("bad", disk["health"])
        self.assertIn("cannot write in /sys/flotilla", disk["found"])
        self.assertIn("--home", disk["to_do"])

    def test_a_node_of_this_home_at_another_port_is_named(self):
        node = self.start("a")
        checkup, _ = self.doctor("--home", node.home, expect=1)
        self.assertIn("flotilla doctor --api http://127.0.0.1:%d" % node.api_port, self.of(checkup, "node")[0]["to_do"])

    def on_a_network(self, *setting_up):
        """The checkup on a network of its own with one cable; skipped where this user can make none."""
        cable = ["ip link set lo up", "ip link add eth0 type veth peer name docker0", "ip addr add 10.1.1.1/24 brd + dev eth0"]
        cable += ["ip link set eth0 up", "ip link set docker0 up", *setting_up]
        doctor = '%s doctor --json --api 127.0.0.1:%d --home "%s"' % (BINARY, self.api, os.path.join(self.folder, "home"))
        try:
            done = subprocess.run(
                ["unshare", "-n", "sh", "-c", " && ".join(cable) + " && exec " + doctor],
                capture_output=True, text=True, timeout=60, check=False,
            )
        except FileNotFoundError:
            self.skipTest("no unshare here")
        if not done.stdout:
            self.skipTest("no network of one's own here: " + done.stderr.strip())
        return json.loads(done.stdout)

    def test_interfaces_that_are_left_out_are_told_with_why(self):
        checkup = self.on_a_network()
        [interfaces], [beacons] = self.of(checkup, "interfaces"), self.of(checkup, "beacons")
        self.assertRegex(interfaces["found"], r"^eth0 \(10\.1\.1\.1.*left out: docker0 \(a tunnel, or of containers")
        self.assertEqual("ok", beacons["health"])
        self.assertIn("by eth0 (IPv4", beacons["found"])

    def test_a_firewall_that_keeps_beacons_out_is_noticed_by_what_does_not_come_back(self):
        if not shutil.which("nft"):
            self.skipTest("no nft here")
        checkup = self.on_a_network(
            "nft add table inet wall",
            "nft 'add chain inet wall in { type filter hook input priority 0; policy drop; }'",
            "nft add rule inet wall in iif lo accept",
        )
        [beacons], [firewall] = self.of(checkup, "beacons"), self.of(checkup, "firewall")
        self.assertEqual("bad", beacons["health"])
        self.assertIn("let UDP 52413 in", beacons["to_do"])
        self.assertEqual("warn", firewall["health"])
        self.assertIn("drops what no rule lets in", firewall["found"])

    # --- With one -----------------------------------------------------------------------------------------------------

    def test_a_machine_alone_is_told_how_to_find_others(self):
        node = self.start("a")
        checkup, screen = self.doctor(api=node.api_port)
        self.assertTrue(checkup["running"])
        [peer] = self.of(checkup, "peer")
        self.assertEqual("warn", peer["health"])
        self.assertIn("no other machine was seen", peer["found"])
        self.assertIn("--peer", peer["to_do"])
        self.assertIn("held by this node", self.of(checkup, "ports")[0]["found"])
        self.assertIn("a: flotilla ", screen)

    def test_members_are_told_with_how_soon_they_answer_and_their_clocks(self):
        a = self.start("a")
        b = self.start("b", "--peer", "127.0.0.1:%d" % a.cluster_port)
        self.verb(b, "join", self.verb(a, "token", "create"))
        for node in (a, b):
            wait_until(lambda: node.joined() == ["a", "b"], 20, "the two to join")
        checkup, _ = self.doctor(api=a.api_port)
        [peer] = self.of(checkup, "peer")
        self.assertRegex(peer["found"], r"b is joined; .*:%d answers in \d+\.\d ms" % b.cluster_port)
        self.assertEqual("as that of b, within a minute", self.of(checkup, "clock")[0]["found"])
        [trust] = self.of(checkup, "trust")
        self.assertIn("member of a cluster until", trust["found"])
        b.terminate()
        wait_until(lambda: a.joined() == ["a"], 20, "b to be gone")
        checkup, _ = self.doctor(api=a.api_port)
        self.assertIn("b is a member and is not here", self.of(checkup, "peer")[0]["found"])

    def test_machines_of_two_clusters_are_told_why_they_do_not_join(self):
        a = self.start("a")
        b = self.start("b", "--peer", "127.0.0.1:%d" % a.cluster_port)
        for node in (a, b):
            self.verb(node, "token", "create")
        wait_until(lambda: "another cluster" in a.members().get("b", {}).get("reason", ""), 20, "a to say why")
        checkup, screen = self.doctor(api=a.api_port, expect=1)
        self.assertIn("another cluster", self.of(checkup, "peer")[0]["found"])
        self.assertIn("bad   peer", screen)

    def test_a_machine_of_another_version_is_named_with_both_and_which_to_update(self):
        a = self.start("a")
        device_folder = os.path.join(self.folder, "device")
        os.mkdir(device_folder)
        device = wire_tools.Device(device_folder)
        for version, update in ((3, "a"), (1, "attic")):
            body = wire_tools.hello(name="attic", release="0.%d.0" % version, node=device.node)
            device.exchange(a.cluster_port, wire_tools.frame(wire_tools.HELLO, body, version=version))
            sentence = wait_until(
                lambda: next((r for r in [a.members().get("attic", {}).get("reason", "")] if "%d;" % version in r), ""),
                10,
                "attic to be seen with version %d" % version,
            )
            for words in ("a runs flotilla", "protocol version 2", "attic runs flotilla 0.%d.0" % version,
                          "protocol version %d" % version, "update flotilla on " + update):
                self.assertIn(words, sentence)
            self.assertIn(sentence, a.log(), "the terminal says so too")
            checkup, _ = self.doctor(api=a.api_port, expect=1)
            [versions] = self.of(checkup, "versions")
            self.assertEqual("bad", versions["health"])
            self.assertIn("protocol version 2", versions["found"])
            self.assertIn("attic runs flotilla 0.%d.0, protocol version %d" % (version, version), versions["found"])
            self.assertIn("update flotilla on " + update, versions["to_do"])

    def test_a_machine_of_another_version_that_only_sends_beacons_is_named_with_both(self):
        a = Node("a", self.folder, ["--discovery-port", str(self.discovery)])
        self.addCleanup(a.stop)
        a.start()
        beacon = struct.pack("<4sHHQ16sQHBB64sI", b"FLTB", 3, 0, 7, os.urandom(16), 1, 9, 5, 0, b"attic", 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(beacon, ("127.0.0.1", self.discovery))
        attic = wait_until(lambda: a.members().get("attic"), 10, "the beacon to be noticed")
        self.assertEqual(
            "attic speaks protocol version 3 but a speaks version 2; update flotilla on a", attic["reason"]
        )
        checkup, _ = self.doctor(api=a.api_port, expect=1)
        self.assertIn("attic runs protocol version 3", self.of(checkup, "versions")[0]["found"])

    def test_whoever_may_not_ask_is_refused(self):
        a = self.start("a")
        a.terminate()
        subprocess.run([BINARY, "key", "create", "--home", a.home], capture_output=True, timeout=60, check=True)
        a.start()
        self.assertEqual(401, a.get("/cluster/doctor").status)


if __name__ == "__main__":
    unittest.main(verbosity=2)
