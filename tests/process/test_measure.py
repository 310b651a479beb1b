#!/usr/bin/env python3
"""What nodes measure: themselves and the links between them, told to each other, kept for the next start.

    FLOTILLA_BINARY=build/flotilla tests/process/test_measure.py [TEST...]
"""

import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "harness")]

from cpu_quota import CpuQuota  # noqa: E402
from flotilla import BINARY, MODELS_FOLDER, SMOLLM2, Fleet, Node, wait_until  # noqa: E402

MEASURED_SECONDS = 120  # two nodes take turns, some seconds each on an idle machine
LINK_SECONDS = 90  # a measurement of kernels that began goes first
THROTTLED_SECONDS = 30
QUOTA = 0.2  # cores, of which 20 ms are granted at a time: less than some samples take
COUNTED_ONCE = 0.35  # of what is expected: half of it where a neighbour shares the core meanwhile; counted twice it is 0.2
COMMON_TYPES = {"Q4_0", "Q4_K", "Q6_K"}


def fleet_that_measures(names, flags=(), **options):
    fleet = Fleet(names, flags=["--threads", "1", *flags], start=False, **options)
    for node in fleet:
        node.measures = True
        node.launch()
    for node in fleet:
        node.wait_healthy()
    return fleet


def rates_of(node, name):
    return node.members()[name].get("rates")


class Measuring(unittest.TestCase):
    def test_nodes_measure_themselves_and_their_links_once(self):
        names = ["a", "b"]
        with fleet_that_measures(names) as fleet:
            fleet.wait_joined()
            for node in fleet:
                wait_until(
                    lambda: all(node.members()[name].get("links") for name in names), LINK_SECONDS, "links between all"
                )
            for node in fleet:
                wait_until(lambda: all(rates_of(node, name) for name in names), MEASURED_SECONDS, "rates of both nodes")
            seen = fleet["a"].members()
            self.check_rates(seen["b"]["rates"])
            [link] = seen["b"]["links"]
            self.assertEqual("a", link["node"])
            self.assertLess(link["latency_seconds"], 0.1)
            self.assertGreater(link["bytes_per_second"], 1e6)
            self.assertEqual([], self.scratch_files(fleet["a"]))
            self.restarted_has_them_at_once(fleet)

    def check_rates(self, rates):
        self.assertEqual((1, 1), (rates["shards"], rates["threads_per_shard"]))
        kernels = {kernel["type"]: kernel["seconds_per_gib"] for kernel in rates["kernels"]}
        self.assertLessEqual(COMMON_TYPES, set(kernels))
        for seconds in kernels.values():
            self.assertEqual(len(rates["kernel_rows"]), len(seconds))
            self.assertGreater(min(seconds), 0)
        for rate in ("memory_bytes_per_second", "attention_bytes_per_second", "layer_seconds"):
            self.assertGreater(rates[rate], 0, rate)

    def restarted_has_them_at_once(self, fleet):
        known = rates_of(fleet["b"], "b")
        fleet["b"].terminate()
        fleet["b"].start()
        self.assertEqual(known, rates_of(fleet["b"], "b"), "kept in the home, and there from the first moment")
        table = subprocess.run(
            [BINARY, "measure", "--json", "--api", "http://127.0.0.1:%d" % fleet["b"].api_port],
            capture_output=True, text=True, timeout=60,
        )
        self.assertEqual(known, json.loads(table.stdout), table.stderr)

    def test_a_modelled_link_is_said_to_be_what_rings_get(self):
        with fleet_that_measures(["a", "b"], flags=["--link-model", "delay=30ms,rate=8m"]) as fleet:
            fleet.wait_joined()
            [link] = wait_until(lambda: fleet["a"].members()["a"].get("links"), LINK_SECONDS, "the link")
            self.assertGreaterEqual(link["latency_seconds"], 0.03)
            self.assertLessEqual(link["bytes_per_second"], 1e6)

    def test_a_model_brings_its_types_and_loading_goes_first(self):
        with fleet_that_measures(["a"], models={"a": [MODELS_FOLDER]}) as fleet:
            node = fleet["a"]
            wait_until(node.runner_pids, MEASURED_SECONDS, "the measuring process")
            node.load(SMOLLM2, context=512, sequences=1)
            self.assertTrue(node.complete(SMOLLM2, "Once", 4)["text"])
            # The measurement that the loading ended begins anew once nothing is computed, beside the idle model.
            rates = wait_until(lambda: rates_of(node, "a"), MEASURED_SECONDS, "rates")
            self.assertLessEqual(COMMON_TYPES | {"Q4_1", "Q8_0"}, {kernel["type"] for kernel in rates["kernels"]})
            self.assertEqual([], self.scratch_files(node), "nor does the measurement that was ended leave any")

    def scratch_files(self, node):
        return [name for name in os.listdir(node.home) if name.startswith("measure")]

    def test_switched_off_nothing_is_measured_unless_asked(self):
        with Fleet(["a"]) as fleet:
            self.assertFalse(Node.measures)
            self.assertEqual([], fleet["a"].runner_pids())
            self.assertIsNone(rates_of(fleet["a"], "a"))
            answer = fleet["a"].post("/measure", {})
            self.assertIn("rates", answer.lines()[-1], answer)
            self.assertEqual(answer.lines()[-1]["rates"], rates_of(fleet["a"], "a"))


class Throttled(unittest.TestCase):
    def test_a_quota_in_mid_service_is_noticed_and_so_is_its_end(self):
        quota = CpuQuota()
        self.addCleanup(quota.remove)
        with fleet_that_measures(["a"], models={"a": [MODELS_FOLDER]}) as fleet:
            node = fleet["a"]
            quota.take(node.process.pid)
            usual = wait_until(lambda: rates_of(node, "a"), MEASURED_SECONDS, "rates")
            node.load(SMOLLM2, context=4096, sequences=1)
            stream = node.stream("/v1/completions", {"model": SMOLLM2, "prompt": "Once", "max_tokens": 4000,
                                                     "ignore_eos": True})
            for pid in node.runner_pids():
                quota.take(pid)
            next(iter(stream))
            quota.set_cores(0.25)
            memory = "memory_bytes_per_second"
            wait_until(lambda: rates_of(node, "a")[memory] < usual[memory] / 2, THROTTLED_SECONDS, "slower rates")
            quota.set_cores(4)
            wait_until(lambda: rates_of(node, "a")[memory] > usual[memory] / 2, THROTTLED_SECONDS, "the usual rates")
            stream.close()

    def test_what_a_quota_withholds_is_counted_once(self):
        """In the quota's share, not in what is measured as well, however long one sample takes."""
        quota = CpuQuota()
        self.addCleanup(quota.remove)
        with fleet_that_measures(["a"]) as fleet:
            node = fleet["a"]
            quota.take(node.process.pid)
            usual = wait_until(lambda: rates_of(node, "a"), MEASURED_SECONDS, "rates")
            quota.set_cores(QUOTA)
            node.measure(again=True)
            throttled = rates_of(node, "a")
            shares = {
                figure: throttled[figure] / usual[figure]
                for figure in ("attention_bytes_per_second", "attention_prompt_bytes_per_second")
            }
            for before, now in zip(usual["kernels"], throttled["kernels"], strict=True):
                shares[before["type"]] = before["seconds_per_gib"][-1] / now["seconds_per_gib"][-1]
            for figure, share in shares.items():
                self.assertGreater(share / QUOTA, COUNTED_ONCE, figure)


if __name__ == "__main__":
    unittest.main()
