#!/usr/bin/env python3
"""Answers that keep to a schema, a pattern or a grammar, and calls of tools that must be made: of a real model at temperature
1, checked by a validator that knows nothing of us; on one machine, in a ring and in a tensor group, through the loss of a
runner; and what is refused.

    FLOTILLA_BINARY=build/flotilla tests/process/test_structured.py [TEST...]
    FLOTILLA_BINARY=build/flotilla tests/process/test_structured.py --schemas 300 [--seed 1]
"""

import concurrent.futures
import glob
import json
import os
import re
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "harness"))
sys.path += glob.glob(os.path.join(HERE, "..", "..", ".cache", "python-clients", "lib", "python3*", "site-packages"))

try:
    import jsonschema  # noqa: E402
except ImportError:
    jsonschema = None

from flotilla import MODELS_FOLDER, SMOLLM2, Fleet  # noqa: E402
from schemas import SchemaMaker  # noqa: E402
from tool_model import TOOL_MODEL, make_tool_model  # noqa: E402

CONTEXT_TOKENS = 2048
ANSWER_TOKENS_MAX = 1200
ANSWER_SECONDS = 300  # of so many tokens, three others beside it on a slow core
SCHEMAS_IN_SUITE = 12
FINISHED_LEAST = 0.95  # of answers; the others wrote strings and lists until max_tokens
REFUSED_SECONDS = 5  # limits::constraint_compile_time_max is 0.9 s of processor time, and machines are busy


def wants(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def ask(node, seed=0, **fields):
    body = {
        "model": SMOLLM2,
        "messages": [{"role": "user", "content": "Write some JSON about a person called Ann."}],
        "temperature": 1,
        "seed": seed,
        "max_tokens": ANSWER_TOKENS_MAX,
    }
    return node.post("/v1/chat/completions", dict(body, **fields), timeout=ANSWER_SECONDS)


SCHEMAS = {
    "weather": {
        "type": "object",
        "properties": {"place": {"enum": ["Rome", "Oslo"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["place", "days"],
        "additionalProperties": False,
    },
    "note": {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 12}, "about": {"$ref": "#/$defs/kind"}},
        "required": ["text", "about"],
        "additionalProperties": False,
        "$defs": {"kind": {"enum": ["work", "home"]}},
    },
}


def call_tools(node, seed=0, strict=False, **fields):
    tools = [{"type": "function", "function": {"name": name, "parameters": schema, "strict": strict}} for name, schema in SCHEMAS.items()]
    fields = {"tools": tools, "max_tokens": 400, "temperature": 1, "seed": seed, "model": TOOL_MODEL, **fields}
    return node.post("/v1/chat/completions", dict({"messages": [{"role": "user", "content": "What is the weather like?"}]}, **fields))


def content(answer):
    choice = answer.json()["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def fault_of(text, schema):
    """Why the text is no JSON that the schema accepts, or None."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return "no JSON: %s" % error
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    errors = [error.message for error in validator.iter_errors(value)]
    return "; ".join(errors) or None


class Structured(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if jsonschema is None:
            raise AssertionError("the validator is not installed; run tests/clients/setup")
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        make_tool_model(folder)
        cls.fleet = Fleet(["a", "b"], models={"a": [MODELS_FOLDER, folder]}, flags=["--threads", "1"])
        cls.enterClassContext(cls.fleet)
        cls.fleet.wait_joined()
        cls.a = cls.fleet["a"]
        cls.load(nodes=["a"])

    @classmethod
    def load(cls, model=SMOLLM2, **wishes):
        cls.a.load(model, context=CONTEXT_TOKENS, sequences=4, **wishes)

    def expect_calls(self, answer, names=SCHEMAS):
        """Every choice calls, as the schemas say, and says nothing beside; how many calls there were."""
        self.assertEqual(200, answer.status, answer)
        count = 0
        for choice in answer.json()["choices"]:
            self.assertEqual("tool_calls", choice["finish_reason"], choice)
            self.assertIsNone(choice["message"]["content"])
            for call in choice["message"]["tool_calls"]:
                count += 1
                name, arguments = call["function"]["name"], call["function"]["arguments"]
                self.assertIn(name, names)
                self.assertIsNone(fault_of(arguments, SCHEMAS[name]), arguments)
                self.assertEqual(SCHEMAS[name]["required"], list(json.loads(arguments)))
        return count

    def expect_valid(self, answer, schema):
        self.assertEqual(200, answer.status, "%s\n%s" % (answer, json.dumps(schema)))
        text, finish = content(answer)
        if finish == "length":
            return False
        self.assertEqual("stop", finish)
        self.assertIsNone(fault_of(text, schema), "%s\n%s" % (text, json.dumps(schema)))
        return True

    def check_schemas(self, seeds, node):
        schemas = [SchemaMaker(seed).make() for seed in seeds]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda pair: ask(node, pair[0], response_format=wants(pair[1])), zip(seeds, schemas)))
        finished = sum(self.expect_valid(answer, schema) for answer, schema in zip(answers, schemas))
        print("%d of %d answers came to their end and were valid" % (finished, len(schemas)))
        self.assertGreaterEqual(finished, FINISHED_LEAST * len(schemas) - 1)

    def test_schemas_of_every_shape(self):
        self.check_schemas(range(1, 1 + SCHEMAS_IN_SUITE), self.a)

    def test_json_patterns_and_grammars(self):
        text, finish = content(ask(self.a, 1, response_format={"type": "json_object"}, max_tokens=1500))
        if finish == "stop":
            self.assertIsInstance(json.loads(text), dict)
        for seed in range(4):
            text, finish = content(ask(self.a, seed, regex="[A-Z][a-z]{2,8} is (1?[0-9]|20) years old\\."))
            self.assertEqual("stop", finish)
            self.assertRegex(text, "^[A-Z][a-z]{2,8} is (1?[0-9]|20) years old\\.$")
            text, finish = content(ask(self.a, seed, grammar='start: sum ("," sum)~2\nsum: NUMBER "+" NUMBER\nNUMBER: /[1-9][0-9]?/'))
            self.assertEqual("stop", finish)
            self.assertRegex(text, r"^[0-9]+\+[0-9]+(,[0-9]+\+[0-9]+){2}$")

    def test_greedy_with_choices_streamed_and_in_completions(self):
        schema = {"enum": ["yes, of course", "no, never", "perhaps"]}
        answer = ask(self.a, 3, response_format=wants(schema), n=4)
        for choice in answer.json()["choices"]:
            self.assertIn(json.loads(choice["message"]["content"]), schema["enum"])
        answer = ask(self.a, 3, response_format=wants(schema), temperature=0, logprobs=True, top_logprobs=5)
        self.assertIn(json.loads(content(answer)[0]), schema["enum"])
        with_stream = {"model": SMOLLM2, "prompt": "Is it so?", "max_tokens": 50, "stream": True, "regex": "yes|no|(may|should)be"}
        text = "".join(event["choices"][0]["text"] for event in self.a.stream("/v1/completions", with_stream))
        self.assertIn(text, ("yes", "no", "maybe", "shouldbe"))

    def test_properties_come_in_the_order_of_the_schema(self):
        schema = {
            "type": "object",
            "properties": {"why": {"type": "string", "maxLength": 20}, "answer": {"type": "boolean"}, "again": {"type": "null"}},
            "required": ["why", "answer", "again"],
            "additionalProperties": False,
        }
        text, finish = content(ask(self.a, 5, response_format=wants(schema)))
        self.assertEqual("stop", finish)
        self.assertEqual(["why", "answer", "again"], list(json.loads(text)))

    def test_white_space_never_goes_on_for_ever(self):
        text, _ = content(ask(self.a, 1, response_format={"type": "json_object"}, temperature=2, max_tokens=300, logit_bias={"198": 100}))
        self.assertIsNone(re.search(r"\s{60}", text), text)

    def test_in_a_ring_and_in_a_tensor_group(self):
        schema = SchemaMaker(4).make()
        regex = "[a-z]{3}( [a-z]{3}){5}"
        try:
            for mode in ("pipeline", "tensor"):
                self.load(nodes=["a", "b"], mode=mode)
                self.expect_valid(ask(self.fleet["b"], 7, response_format=wants(schema)), schema)
                for temperature in (0, 1):
                    text, finish = content(ask(self.a, 7, regex=regex, temperature=temperature))
                    self.assertRegex(text, "^" + regex + "$")
                    self.assertEqual("stop", finish)
        finally:
            self.load(nodes=["a"])

    def test_tools_that_must_be_called_are_on_one_machine_and_in_a_ring(self):
        try:
            for nodes in (["a"], ["a", "b"]):
                self.load(TOOL_MODEL, nodes=nodes)
                for node in (self.a, self.fleet["b"]):
                    one = call_tools(node, 1, tool_choice="required", parallel_tool_calls=False, n=4)
                    self.assertEqual(4, self.expect_calls(one))
                    named = {"type": "function", "function": {"name": "note"}}
                    self.assertEqual(1, self.expect_calls(call_tools(node, 2, tool_choice=named), ["note"]))
                guessed, slow = (call_tools(self.a, tool_choice="required", temperature=0, speculate=each, parallel_tool_calls=False) for each in (True, False))
                self.assertEqual(1, self.expect_calls(slow))
                self.assertEqual(1, self.expect_calls(guessed))
        finally:
            self.a.post("/unload", {"model": TOOL_MODEL})

    def test_calls_of_strict_tools_keep_to_their_schemas_where_none_must_be(self):
        self.load(TOOL_MODEL, nodes=["a"])
        try:
            # A model of this size does what was done before, and more so where it has nothing else to say; what it would copy
            # is not as the schema says.
            mark = self.a.post("/tokenize", {"model": TOOL_MODEL, "content": "<tool_call>"}).json()["tokens"]
            copied = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": {"place": "Bonn", "days": 12}}}
            asked = {"role": "user", "content": "What is the weather like?"}
            turns = [asked, {"role": "assistant", "content": "", "tool_calls": [copied]}] * 4 + [asked]
            called = 0
            for seed in range(3):
                answer = call_tools(self.a, seed, strict=True, temperature=0.2, messages=turns, max_tokens=120, logit_bias=dict.fromkeys(map(str, mark), 100))
                self.assertEqual(200, answer.status, answer)
                for call in answer.json()["choices"][0]["message"].get("tool_calls", []):
                    called += 1
                    self.assertIsNone(fault_of(call["function"]["arguments"], SCHEMAS[call["function"]["name"]]), call)
            self.assertGreater(called, 0)
            free = call_tools(self.a, 1, strict=True, max_tokens=20)
            self.assertTrue(free.json()["choices"][0]["message"]["content"])
        finally:
            self.a.post("/unload", {"model": TOOL_MODEL})

    def test_goes_on_after_its_runner_was_killed(self):
        schema = {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 60, "maxItems": 60}
        body = {
            "model": SMOLLM2,
            "messages": [{"role": "user", "content": "Colours, please."}],
            "response_format": wants(schema),
            "max_tokens": ANSWER_TOKENS_MAX,
            "stream": True,
            "seed": 11,
        }
        unbroken = "".join(self.deltas(self.a.stream("/v1/chat/completions", body)))
        self.assertIsNone(fault_of(unbroken, schema))
        pieces, killed = [], False
        for piece in self.deltas(self.a.stream("/v1/chat/completions", body)):
            pieces.append(piece)
            if len(pieces) == 20 and not killed:
                killed = True
                for pid in self.a.runner_pids():
                    os.kill(pid, signal.SIGKILL)
        self.assertTrue(killed)
        self.assertEqual(unbroken[:40], "".join(pieces)[:40])  # later the rounding of another batch shape may tell
        self.assertIsNone(fault_of("".join(pieces), schema))

    @staticmethod
    def deltas(stream):
        for event in stream:
            text = event["choices"][0]["delta"].get("content")
            if text:
                yield text

    def test_what_cannot_be_kept_to_is_refused_soon_and_by_name(self):
        slowest = 0
        pair = {"anyOf": [{"pattern": "^(a|b)*a(a|b){12}$"}, {"pattern": "^(b|c)*b(b|c){11}$"}]}
        for fields, param in (
            ({"response_format": wants({"type": "string", "pattern": "(?<!a)b"})}, "response_format"),
            ({"response_format": wants({"$ref": "http://127.0.0.1/x"})}, "response_format"),
            ({"response_format": wants({"type": "string", "allOf": [pair] * 16})}, "response_format"),
            ({"response_format": wants({"type": "string", "minLength": 2, "maxLength": 1})}, "response_format"),
            ({"response_format": wants({"description": "x" * (256 << 10)})}, "response_format"),
            ({"regex": "(" * 100_000}, "regex"),
            ({"regex": "a{2,1}"}, "regex"),
            ({"grammar": "start: " + "(" * 100_000}, "grammar"),
            ({"grammar": "start: x\nx: " + "y|" * 60_000 + '"b"\ny: "a"'}, "grammar"),
            ({"grammar": 'start: "a"', "regex": "a"}, "grammar"),
        ):
            begun = time.monotonic()
            answer = ask(self.a, **fields)
            took = time.monotonic() - begun
            self.assertEqual(400, answer.status, answer)
            self.assertEqual(param, answer.error()["param"])
            self.assertLess(took, REFUSED_SECONDS, answer)
            slowest = max(slowest, took)
        print("the slowest refusal took %.2f s" % slowest)
        text, _ = content(ask(self.a, regex="fine"))
        self.assertEqual("fine", text)


def many(count, seed):
    if jsonschema is None:
        raise SystemExit("the validator is not installed; run tests/clients/setup")
    Structured.setUpClass()
    try:
        Structured("check_schemas").check_schemas(range(seed, seed + count), Structured.a)
    finally:
        Structured.doClassCleanups()


if __name__ == "__main__":
    if "--schemas" in sys.argv:
        place = sys.argv.index("--schemas")
        first = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 1
        many(int(sys.argv[place + 1]), first)
    else:
        unittest.main(verbosity=2)
