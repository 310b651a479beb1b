"""A node whose stage is a script (bench/stub_node), so that the node's own work is what is tried."""

import os

from flotilla import BINARY, Node

STUB_NODE = os.path.join(os.path.dirname(os.path.realpath(BINARY)), "bench", "stub_node")


class StubNode(Node):
    step_us = 2000

    def command(self):
        return [STUB_NODE, *super().command()[1:], "--step-us", str(self.step_us)]
