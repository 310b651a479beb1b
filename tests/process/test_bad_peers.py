#!/usr/bin/env python3
"""What may arrive at a node's cluster and discovery ports from machines that are not what they should be: the node
lives on, says what it saw, and goes on answering.

    FLOTILLA_BINARY=build/flotilla tests/process/test_bad_peers.py [TEST...]
"""

import os
import random
import shutil
import socket
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness"), os.path.join(HERE, "..", "hostile")]

import wire_tools  # noqa: E402
from flotilla import Node, free_port, wait_until  # noqa: E402
from node_test import NodeTest  # noqa: E402


class BadPeers(NodeTest):
    """What may arrive at the cluster port and the discovery port from machines that are not what they should be."""

    @classmethod
    def make_fleet(cls):
        cls.discovery_port = free_port()
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.device = wire_tools.Device(cls.scratch.name)
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
        for raw in (
            dice.randbytes(1 << 16),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + bytes(64),
            b"FLOT" + dice.randbytes(60),
            bytes(200),
            b"\x16\x03\x01" + dice.randbytes(500),
        ):
            self.send(raw)
        self.assertEqual(["a"], self.a.joined())

    def test_frames_that_lie(self):
        sound = wire_tools.hello()
        for raw in (
            wire_tools.frame(wire_tools.HELLO, sound, body_bytes=0xFFFFFFFF),
            wire_tools.frame(wire_tools.HELLO, sound, body_checksum=1),
            wire_tools.frame(wire_tools.HELLO, sound[:-5]),
            wire_tools.frame(wire_tools.HELLO, b"\xbf" * 1000),
            wire_tools.frame(wire_tools.PING, b""),
            wire_tools.frame(9999, b"x"),
            wire_tools.frame(wire_tools.PROOF, bytes(100)),
            wire_tools.frame(wire_tools.HELLO, wire_tools.cbor({"node": 5, "name": {}})),
            wire_tools.frame(wire_tools.HELLO, b"\x9b" + b"\xff" * 8),
            wire_tools.frame(wire_tools.HELLO, b"\x81" * 16000),
        ):
            self.send(raw)
            self.device.exchange(self.a.cluster_port, raw)
        self.assertEqual(["a"], self.a.joined())

    def test_a_stranger_with_a_key_of_another_kind_is_turned_away(self):
        with tempfile.TemporaryDirectory() as folder:
            other = wire_tools.Device(folder, ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"))
            said = other.exchange(self.a.cluster_port, wire_tools.frame(wire_tools.HELLO, wire_tools.hello()))
        self.assertEqual(b"", said)
        self.assertEqual(["a"], self.a.joined())

    def test_an_identity_without_its_key_is_refused(self):
        lie = wire_tools.hello(name="thief")
        [(kind, _, body)] = wire_tools.parse_frames(
            self.device.exchange(self.a.cluster_port, wire_tools.frame(wire_tools.HELLO, lie))
        )
        self.assertEqual(wire_tools.REFUSED, kind)
        self.assertIn(b"the key of its identity", body)

    def test_whoever_talks_in_the_clear_is_refused(self):
        [(kind, _, body)] = wire_tools.parse_frames(
            self.send(wire_tools.frame(wire_tools.HELLO, wire_tools.hello(name="plain")))
        )
        self.assertEqual(wire_tools.REFUSED, kind)
        self.assertIn(b"in the clear", body)

    def test_a_peer_of_another_version_learns_both_versions(self):
        hello = wire_tools.frame(wire_tools.HELLO, wire_tools.hello(name="from-the-future"), version=99)
        old = wire_tools.frame(wire_tools.HELLO, wire_tools.hello(name="from-the-past", release="0.1.0"), version=1)
        for said, version, words in (
            (self.device.exchange(self.a.cluster_port, hello), 99, b"update flotilla on a"),
            (self.send(hello), 99, b"update flotilla on a"),
            (self.send(old), 1, b"update flotilla on from-the-past"),
        ):
            [(kind, own, body)] = wire_tools.parse_frames(said)
            self.assertEqual((wire_tools.REFUSED, 2), (kind, own))
            for word in (b"version_mismatch", b"protocol version 2", b"protocol version %d" % version, words):
                self.assertIn(word, body)
        node = wait_until(lambda: self.seen("from-the-future"), 5, "the stranger to be shown as seen")
        self.assertIn("protocol version 99", node["reason"])

    def test_a_peer_that_cannot_prove_itself_is_seen_but_not_joined(self):
        with self.device.connect(self.a.cluster_port) as peer:
            hello = wire_tools.hello(name="impostor", node=self.device.node)
            peer.sendall(wire_tools.frame(wire_tools.HELLO, hello))
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
                reasons = wait_until(
                    lambda: [n["reason"] for n in late.get("/cluster").json()["nodes"] if n["state"] == "seen"],
                    20,
                    "the newcomer to be refused",
                )
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
            shutil.copytree(os.path.join(self.a.home, "trust"), os.path.join(twin.home, "trust"))
            twin.start()
            try:
                wait_until(
                    lambda: "one identity" in twin.log() + self.a.log(), 20, "the log to say that a home was copied"
                )
                self.assertEqual(["a"], self.a.joined())
            finally:
                twin.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
