#!/usr/bin/env python3
"""GET /metrics of real nodes, read by Prometheus's own library and by rules of our own; what deploy/ asks of it; the log.

    FLOTILLA_BINARY=build/flotilla tests/process/test_metrics.py
"""

import glob
import json
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))

from flotilla import BINARY, MODELS_FOLDER, ROOT, SMOLLM2, Fleet, wait_until  # noqa: E402

sys.path += glob.glob(os.path.join(ROOT, ".cache", "python-clients", "lib", "python3*", "site-packages"))

SAMPLE = re.compile(r'([a-z][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
OWN_NAME = re.compile(r"\b(flotilla_[a-z0-9_]+|process_[a-z0-9_]+)\b")
PIECES = ("_bucket", "_sum", "_count")


def documented():
    """The names in docs/operating.md's table, which operators build on."""
    with open(os.path.join(ROOT, "docs", "operating.md"), encoding="utf-8") as file:
        section = file.read().split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", section, re.M)
    return {"flotilla_" + name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}


class Page:
    """The text of GET /metrics, checked as strictly as `promtool check metrics` does."""

    def __init__(self, text):
        self.text, self.families, self.samples = text, {}, {}
        family = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                self.expect(family not in self.families, "one %s" % family)
                self.expect(len(line.split(" ", 3)) == 4, "a help text for %s" % family)
                self.families[family] = None
            elif line.startswith("# TYPE "):
                self.expect(line.split(" ")[2] == family, "TYPE after HELP of %s" % family)
                self.families[family] = line.split(" ")[3]
            else:
                self.take(line, family)
        self.check_names()
        self.check_histograms()

    @staticmethod
    def expect(condition, what):
        if not condition:
            raise AssertionError("expected " + what)

    def take(self, line, family):
        match = SAMPLE.fullmatch(line)
        self.expect(match, "a sample but got %r" % line)
        name, labels, value = match.groups()
        pieces = [family + piece for piece in PIECES] if self.families[family] == "histogram" else [family]
        self.expect(name in pieces, "samples of %s but got %s" % (family, name))
        key = (name, labels or "")
        self.expect(key not in self.samples, "%s once" % (key,))
        self.samples[key] = float(value)

    def check_names(self):
        for name, kind in self.families.items():
            self.expect(kind in ("counter", "gauge", "histogram"), "a known type of %s" % name)
            self.expect(name.endswith("_total") == (kind == "counter"), "_total on counters alone: %s" % name)
            self.expect(not re.search(r"milli|micro|minutes|kilo|mega|percent", name), "base units: %s" % name)

    def check_histograms(self):
        rows = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket"):
                rest = re.sub(r',?le="[^"]*"', "", labels)
                bound = float(re.search(r'le="([^"]*)"', labels)[1].replace("+Inf", "inf"))
                rows.setdefault((name[: -len("_bucket")], rest), []).append((bound, value))
        for (name, rest), row in rows.items():
            self.expect(row == sorted(row) and [v for _, v in row] == sorted(v for _, v in row), "%s to rise" % name)
            self.expect(row[-1] == (float("inf"), self.samples[(name + "_count", rest)]), "%s to end with all" % name)

    def value(self, name, **labels):
        """The sum over all samples with these labels; None where there is none."""
        wanted = ['%s="%s"' % item for item in labels.items()]
        found = [v for (n, text), v in self.samples.items() if n == name and all(w in text for w in wanted)]
        return sum(found) if found else None


def page_of(node, headers=None):
    answer = node.request("GET", "/metrics", headers=headers or {})
    assert answer.status == 200, answer
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", answer.headers
    return Page(answer.body.decode("utf-8"))


class Metrics(unittest.TestCase):
    def test_a_ring_of_two_counts_what_it_does_and_what_it_loses(self):
        with Fleet(["a", "b"], models={"a": [MODELS_FOLDER]}, flags=["--threads", "1"]) as fleet:
            fleet.wait_joined()
            a = fleet["a"]
            a.load(SMOLLM2, nodes=["a", "b"], context=512, sequences=2)
            a.complete(SMOLLM2, "Once upon a time", 12, ignore_eos=True)
            fleet["b"].complete(SMOLLM2, "Once upon a time", 5, ignore_eos=True)
            page = wait_until(lambda: self.at_rest(page_of(a), 17), 15, "the head's counters to arrive")
            self.check_counts(page, page_of(fleet["b"]))
            self.check_by_library(page)
            self.check_deployed(page)
            fleet["b"].kill()
            a.complete(SMOLLM2, "And so it went on", 3)
            page = page_of(a)
            self.assertEqual(1, page.value("flotilla_members_lost_total"))
            self.assertGreaterEqual(page.value("flotilla_failovers_total"), 1)
            self.assertGreaterEqual(page.value("flotilla_placements_begun_total"), 2)
            self.assertEqual(1, page.value("flotilla_nodes_joined"))

    @staticmethod
    def at_rest(page, tokens):
        """The page, where its model has computed so many and nothing is left to do: heads hear that once a second."""
        sampled, running = page.value("flotilla_tokens_sampled_total"), page.value("flotilla_num_requests_running")
        return page if (sampled, running) == (tokens, 0) else None

    def check_counts(self, page, other):
        named = {"model_name": SMOLLM2}
        self.assertEqual(12, page.value("flotilla_generation_tokens_total", **named))
        self.assertEqual(5, other.value("flotilla_generation_tokens_total", **named))
        self.assertEqual(1, page.value("flotilla_request_success_total", finished_reason="length"))
        self.assertEqual(1, page.value("flotilla_time_to_first_token_seconds_count", **named))
        self.assertEqual(11, page.value("flotilla_inter_token_latency_seconds_count", **named))
        self.assertEqual(1, page.value("flotilla_placements", state="ready"))
        self.assertIsNone(other.value("flotilla_placement_epoch"), "a placement is told by its head alone")
        for name in ("a", "b"):
            self.assertEqual(1, page.value("flotilla_node_up", node=name))
            self.assertGreater(page.value("flotilla_activation_bytes_total", node=name), 1000)
            self.assertGreater(page.value("flotilla_stage_compute_seconds_total", node=name), 0)
        for direction in ("sent", "received"):
            self.assertGreater(page.value("flotilla_control_bytes_total", direction=direction), 1000)
        self.assertEqual(1, page.value("flotilla_model_load_seconds_count"))
        self.assertEqual(documented(), {name for name in page.families if name.startswith("flotilla_")})

    def check_by_library(self, page):
        try:
            from prometheus_client.parser import text_string_to_metric_families
        except ImportError:
            self.fail("prometheus-client is not installed; run tests/clients/setup")
        read = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(page.text)
            for sample in family.samples
        }
        self.assertEqual(len(page.samples), len(read))
        self.assertEqual(sum(page.samples.values()), sum(read.values()))

    def check_deployed(self, page):
        """Every name that the dashboard and the alerts ask for is one that a node tells."""
        known = set(page.families)
        known |= {name + piece for name, kind in page.families.items() if kind == "histogram" for piece in PIECES}
        with open(os.path.join(ROOT, "deploy", "grafana", "flotilla.json"), encoding="utf-8") as file:
            board = json.load(file)
        queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
        queries += [variable["query"] for variable in board["templating"]["list"]]
        self.assertGreater(len(queries), 30)
        with open(os.path.join(ROOT, "deploy", "prometheus", "alerts.yml"), encoding="utf-8") as file:
            queries.append(file.read())
        asked = {name for query in queries for name in OWN_NAME.findall(query)}
        self.assertGreater(len(asked), 25)
        self.assertEqual(set(), asked - known)

    def test_a_key_for_metrics_opens_them_and_nothing_else(self):
        with Fleet(["a"]) as fleet:
            a = fleet["a"]
            page_of(a)  # no key: programs of this machine may

            def key(scope):
                made = os.popen("%s key create --home %s --scope %s --json 2>/dev/null" % (BINARY, a.home, scope)).read()
                return {"Authorization": "Bearer " + json.loads(made)["key"]}

            metrics, infer = key("metrics"), key("infer")
            self.assertEqual(401, a.get("/metrics").status)
            self.assertEqual(403, a.request("GET", "/metrics", headers=infer).status)
            page_of(a, metrics)
            for path in ("/cluster", "/placements", "/v1/models"):
                self.assertEqual(403, a.request("GET", path, headers=metrics).status, path)


class Log(unittest.TestCase):
    MARK = "Xylograph-4711"

    def answers_and_log(self, *flags):
        """A prompt with the mark in it, also where it is refused, over a node that tells everything it can tell."""
        headers = {"Content-Type": "application/json", "X-Request-Id": "test-1", "Authorization": "Bearer sk-" + self.MARK}
        flags = ["--threads", "1", "--log-level", "debug", *flags]
        with Fleet(["a"], models={"a": [MODELS_FOLDER]}, flags=flags) as fleet:
            a = fleet["a"]
            ids = []
            for body in (
                {"model": SMOLLM2, "messages": [{"role": "user", "content": self.MARK}], "max_tokens": 3},
                {"model": self.MARK, "messages": [{"role": "user", "content": self.MARK}]},
                {"model": SMOLLM2, "messages": [{"role": self.MARK, "content": self.MARK}]},
                {"model": SMOLLM2, "messages": [{"role": "user", "content": self.MARK}], "user": self.MARK, "stop": [self.MARK], "max_tokens": 3},
            ):
                ids.append(a.request("POST", "/v1/chat/completions", json.dumps(body), headers).headers["X-Request-Id"])
            a.get("/v1/models/%s?%s" % (self.MARK, self.MARK))
            self.assertEqual(["test-1"] * 4, ids)
            a.stop()
            return a.log()

    def test_json_lines_carry_the_request_and_none_of_its_words(self):
        log = self.answers_and_log()
        self.assertNotIn(self.MARK, log)
        lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        ours = [line for line in lines if line.get("request") == "test-1"]
        self.assertEqual(4, len(ours), ours)
        self.assertRegex(ours[0]["message"], r"^/v1/chat/completions 200 in \d+\.\d{3} s: %s, \d+ tokens in, 3 out$" % SMOLLM2)
        self.assertRegex(ours[1]["message"], r"^/v1/chat/completions 404 in ")

    def test_text_lines_do_too(self):
        log = self.answers_and_log("--log-format", "text")
        self.assertNotIn(self.MARK, log)
        self.assertRegex(log, r"info \[server\] test-1 /v1/chat/completions 200 in ")
        self.assertNotIn("\x1b", log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
