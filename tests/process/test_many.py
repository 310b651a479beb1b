#!/usr/bin/env python3
"""Many at once on one node, whose stage is a script (bench/stub_node) so that the node's own work is what is tried: a
thousand streams, more than it takes, thousands of idle connections, and clients who never finish a sentence."""

import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness"))

from crowd import Crowd, allow_descriptors, get, stream_of  # noqa: E402
from flotilla import MODELS_FOLDER, SANITIZED, SMOLLM2, descriptors, resident_bytes, wait_until  # noqa: E402
from stub_node import STUB_NODE, StubNode  # noqa: E402

SEQUENCES, CONTEXT, TOKENS = 128, 128, 48
STREAMS, TAKEN_MAX, IDLE, SLOW = 1000, 1024, 5000, 500
IDLE_BYTES_MAX = 64 << 10
PATIENCE_SECONDS = 300


@unittest.skipUnless(os.path.exists(STUB_NODE), "built without the benchmark programs")
class ManyAtOnce(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="flotilla-many-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.node = StubNode("a", cls.folder, models=[MODELS_FOLDER]).start()
        cls.addClassCleanup(cls.node.stop)
        cls.node.load(SMOLLM2, context=CONTEXT, sequences=SEQUENCES)
        cls.pid = cls.node.process.pid
        cls.answer_of(1)  # so that what is made once is there

    @classmethod
    def answer_of(cls, index):
        return cls.node.complete(SMOLLM2, cls.prompt_of(index), TOKENS, ignore_eos=True, cache_prompt=False)["token_ids"]

    @staticmethod
    def prompt_of(index):
        return [300 + index, 7]  # of 2,000 tokens; what begins alike is read once, and so sooner

    def ask(self, crowd, count):
        return [crowd.ask(stream_of(SMOLLM2, self.prompt_of(index), TOKENS)) for index in range(count)]

    def settle(self, count):
        """Until as many descriptors are open as before."""
        wait_until(
            lambda: descriptors(self.pid) <= count,
            30,
            lambda: "%d descriptors of the node but it has %d" % (count, descriptors(self.pid)),
        )

    def test_a_thousand_streams_are_each_answered_whole_and_in_turn(self):
        self.assertTrue(allow_descriptors(STREAMS + 200))
        before = descriptors(self.pid)
        sizes = []
        for _ in range(2):
            with Crowd(self.node.api_port) as crowd:
                clients = self.ask(crowd, STREAMS)
                crowd.serve(PATIENCE_SECONDS)
            sizes.append(resident_bytes(self.pid))
            for index, client in enumerate(clients):
                self.assertEqual(200, client.status, client.raw[:500])
                self.assertTrue(client.events()[1], "stream %d ends with [DONE]" % index)
                self.assertEqual(TOKENS, len(client.token_ids()), "stream %d" % index)
            for index in (0, STREAMS // 2, STREAMS - 1):
                self.assertEqual(self.answer_of(index), clients[index].token_ids(), "stream %d" % index)
            # All came in the same second. Who came two turns later is not served before, but for single ones that the
            # node's loop happens to read sooner.
            by_sent = sorted(range(STREAMS), key=lambda index: clients[index].sent_at)
            by_first = sorted(range(STREAMS), key=lambda index: clients[index].first_at)
            answered = {index: place for place, index in enumerate(by_first)}
            apart = [abs(place - answered[index]) for place, index in enumerate(by_sent)]
            self.assertLess(sum(distance >= 2 * SEQUENCES for distance in apart), STREAMS // 50, sorted(apart)[-50:])
            self.settle(before)
        if not SANITIZED:
            self.assertLess(sizes[1] - sizes[0], 16 << 20, "a second thousand takes no more memory than the first")

    def test_who_is_too_much_is_told_so_and_all_others_are_answered(self):
        self.assertTrue(allow_descriptors(2 * STREAMS))
        before = descriptors(self.pid)
        with Crowd(self.node.api_port) as crowd:
            clients = self.ask(crowd, STREAMS + 600)
            crowd.serve(PATIENCE_SECONDS)
        refused = [client for client in clients if client.status == 429]
        self.assertGreater(len(refused), 0)
        for client in refused:
            self.assertIn(int(client.header("Retry-After")), range(1, 31))
        answered = [client for client in clients if client.status == 200]
        self.assertEqual(len(clients), len(answered) + len(refused))
        self.assertGreaterEqual(len(answered), TAKEN_MAX)
        for client in answered:
            self.assertEqual(TOKENS, len(client.token_ids()))
        self.settle(before)

    def test_an_idle_connection_costs_little_and_is_given_back(self):
        if not allow_descriptors(IDLE + 200):
            self.skipTest("this process may not have %d descriptors" % IDLE)
        before, size = descriptors(self.pid), resident_bytes(self.pid)
        with Crowd(self.node.api_port) as crowd:
            for index in range(IDLE):
                crowd.ask(get("/health"))
                if index % 200 == 199:
                    crowd.serve(PATIENCE_SECONDS)
            self.assertTrue(all(client.status == 200 for client in crowd.clients))
            self.assertGreaterEqual(descriptors(self.pid), before + IDLE - 16, "all are kept")
            cost = (resident_bytes(self.pid) - size) / IDLE
            print("an idle connection takes %.1f KiB" % (cost / 1024))
            if not SANITIZED:
                self.assertLess(cost, IDLE_BYTES_MAX)
            self.assertEqual(TOKENS, len(self.answer_of(3)), "beside them others are answered")
        self.settle(before)

    def test_who_never_ends_a_sentence_holds_nobody_up(self):
        self.assertTrue(allow_descriptors(SLOW + 200))
        before = descriptors(self.pid)
        with Crowd(self.node.api_port) as crowd:
            slow = [crowd.ask(b"POST /v1/completions HTTP/1.1\r\nHost: local") for _ in range(SLOW)]
            crowd.serve(PATIENCE_SECONDS, lambda: all(not client.to_send for client in slow))
            for index in range(20):
                self.assertEqual(TOKENS, len(self.answer_of(index)))
            crowd.serve(PATIENCE_SECONDS)  # until each has been told
            self.assertEqual({408}, {client.status for client in slow})
        self.settle(before)


if __name__ == "__main__":
    unittest.main(verbosity=2)
