#!/usr/bin/env python3
"""Requests of the shapes that agents and user interfaces send (tests/data/clients, each with where its shape is known from),
byte for byte as they stand there, to every node; and their answers, event by event.

    tests/clients/run …
"""

import glob
import http.client
import json
import os
import urllib.parse

from at_nodes import MODEL, TOOL_MODEL, at_every_node, main

SHAPES = sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "clients", "*.json")))


def send(url, request):
    """Status, type and text of the answer. "MODEL" and "TOOL_MODEL" stand for what the nodes have."""
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=300)
    body = request.get("body")
    if body is not None:
        body = dict(body, model={"MODEL": MODEL, "TOOL_MODEL": TOOL_MODEL}[body["model"]])
    try:
        headers = dict(request["headers"], **{"content-type": "application/json"})
        connection.request(request.get("method", "POST"), request["path"], body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read().decode()
    finally:
        connection.close()


def events_of(text):
    """(name or None, data) of each event; comments, which say nothing, are left out."""
    events = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            events.append((fields.get("event"), fields["data"]))
    return events


class Reader:
    """Checks answers of one shape; `test` is who fails."""

    def __init__(self, test):
        self.test = test

    def models(self, text):
        listed = json.loads(text)
        self.test.assertEqual("list", listed["object"])
        for model in listed["data"]:
            self.test.assertEqual("model", model["object"])
            self.test.assertLessEqual({"id", "created", "owned_by"}, set(model))

    # --- OpenAI's chats and completions

    def chat(self, text):
        answer = json.loads(text)
        [choice] = answer["choices"]
        self.test.assertEqual("chat.completion", answer["object"])
        self.test.assertIn(choice["finish_reason"], ("stop", "length"))
        self.test.assertIsInstance(choice["message"]["content"], str)
        self.test.assertGreater(answer["usage"]["completion_tokens"], 0)

    def chat_stream(self, text, body):
        *chunks, (_, end) = events_of(text)
        self.test.assertEqual("[DONE]", end)
        chunks = [json.loads(data) for _, data in chunks]
        if body.get("stream_options", {}).get("include_usage"):
            last = chunks.pop()
            self.test.assertEqual([], last["choices"])
            self.test.assertGreater(last["usage"]["total_tokens"], last["usage"]["prompt_tokens"])
        self.test.assertEqual(1, len({chunk["id"] for chunk in chunks}))
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        self.test.assertEqual("assistant", choices[0]["delta"]["role"])
        self.test.assertEqual([None] * (len(choices) - 1), [choice["finish_reason"] for choice in choices[:-1]])
        self.test.assertIn(choices[-1]["finish_reason"], ("stop", "length", "tool_calls"))
        begun = set()
        for choice in choices:
            for call in choice["delta"].get("tool_calls", []):
                first = call["index"] not in begun
                begun.add(call["index"])
                self.test.assertEqual(first, "id" in call and call.get("type") == "function" and "name" in call["function"], call)

    def completion_stream(self, text, body):
        *chunks, (_, end) = events_of(text)
        self.test.assertEqual("[DONE]", end)
        choices = [choice for _, data in chunks for choice in json.loads(data)["choices"]]
        for choice in choices:
            self.test.assertIsInstance(choice["text"], str)
        self.test.assertIn(choices[-1]["finish_reason"], ("stop", "length"))

    # --- OpenAI's responses

    def responses_stream(self, text, body):
        events = events_of(text)
        data = [json.loads(each) for _, each in events]
        self.test.assertEqual([name for name, _ in events], [each["type"] for each in data])
        self.test.assertEqual(list(range(len(data))), [each["sequence_number"] for each in data])
        self.test.assertEqual(["response.created", "response.in_progress"], [each["type"] for each in data[:2]])
        self.test.assertIn(data[-1]["type"], ("response.completed", "response.incomplete"))
        final = data[-1]["response"]
        items = [each["item"] for each in data if each["type"] == "response.output_item.done"]
        self.test.assertEqual(items, final["output"])
        self.test.assertGreater(final["usage"]["total_tokens"], final["usage"]["input_tokens"])
        functions = [tool for tool in body["tools"] if tool["type"] == "function"]
        self.test.assertEqual(functions, final["tools"])  # and nothing is said against the others
        opened = None
        for each in data[2:-1]:
            if each["type"] == "response.output_item.added":
                self.test.assertIsNone(opened)
                opened = each["item"]["id"]
            elif each["type"] == "response.output_item.done":
                self.test.assertEqual(opened, each["item"]["id"])
                opened = None
            else:
                self.test.assertEqual(opened, each["item_id"])
        self.test.assertIsNone(opened)
        if "format" in body.get("text", {}) and final["status"] == "completed":
            said = "".join(each["delta"] for each in data if each["type"] == "response.output_text.delta")
            self.keeps_to(body["text"]["format"]["schema"], said)

    # --- Anthropic's messages

    def anthropic(self, text):
        message = json.loads(text)
        self.test.assertEqual(("message", "assistant"), (message["type"], message["role"]))
        self.test.assertIn(message["stop_reason"], ("end_turn", "max_tokens"))
        self.test.assertGreater(message["usage"]["output_tokens"], 0)

    def anthropic_count(self, text):
        self.test.assertGreater(json.loads(text)["input_tokens"], 0)

    def anthropic_stream(self, text, body):
        events = [(name, json.loads(data)) for name, data in events_of(text)]
        for name, data in events:
            self.test.assertEqual(name, data["type"])
        events = [data for name, data in events if name != "ping"]
        self.test.assertEqual("message_start", events[0]["type"])
        self.test.assertEqual(["message_delta", "message_stop"], [event["type"] for event in events[-2:]])
        self.test.assertIn(events[-2]["delta"]["stop_reason"], ("end_turn", "max_tokens", "tool_use"))
        self.test.assertGreater(events[-2]["usage"]["output_tokens"], 0)
        opened, blocks, said = None, 0, ""
        for event in events[1:-2]:
            if event["type"] == "content_block_start":
                self.test.assertEqual((None, blocks), (opened, event["index"]))
                opened, blocks = event["content_block"]["type"], blocks + 1
            elif event["type"] == "content_block_stop":
                opened = None
            else:
                kinds = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
                self.test.assertEqual((kinds[opened], blocks - 1), (event["delta"]["type"], event["index"]))
                said += event["delta"].get("text", "")
        self.test.assertIsNone(opened)
        form = body.get("output_config", {}).get("format")
        if form and events[-2]["delta"]["stop_reason"] == "end_turn":
            self.keeps_to(form["schema"], said)

    def keeps_to(self, schema, text):
        if text.startswith("one two"):
            return  # of the script, which keeps to nothing
        self.test.assertEqual(schema["required"], list(json.loads(text)))


class ShapesAtNode:
    url = ""

    def test_every_request_is_answered_in_its_shape(self):
        self.assertTrue(SHAPES)
        for path in SHAPES:
            with open(path, encoding="utf-8") as file:
                requests = json.load(file)["requests"]
            for request in requests:
                body = request.get("body", {})
                if body.get("model") == "TOOL_MODEL" and not TOOL_MODEL:
                    continue
                with self.subTest(client=os.path.basename(path), request=request["name"]):
                    status, kind, text = send(self.url, request)
                    self.assertEqual(200, status, text)
                    is_stream = request["answer"].endswith("_stream")
                    self.assertTrue(kind.startswith("text/event-stream" if is_stream else "application/json"), kind)
                    read = getattr(Reader(self), request["answer"])
                    read(text, body) if is_stream else read(text)


load_tests = at_every_node(ShapesAtNode)

if __name__ == "__main__":
    main()
