#!/usr/bin/env python3
"""Tools, thoughts and responses by OpenAI's client, and Anthropic's and Ollama's own clients, unmodified, against every node.

    tests/clients/run …

Where a model is scripted it answers with what stands behind "[say]": so tools are called. Of real ones one knows no tools, and
says so; the other calls what it must.
"""

import json
import unittest

import anthropic
import ollama
import openai
from at_nodes import EMBEDDER, IS_SCRIPTED, MODEL, TOOL_MODEL, at_every_node, main, only_real, only_scripted, with_tools

QUESTION = [{"role": "user", "content": "Count from one to twenty in words."}]
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>'
SAID = "[say]<think>It asks for weather.</think>Let me see.\n" + CALL
ASKING = [{"role": "user", "content": SAID}]
GREEDY = {"temperature": 0}  # of which Anthropic's client knows no more than that it may be sent
NOTHING_SAID = [{"role": "user", "content": "[say]" + CALL if IS_SCRIPTED else "What is the weather like?"}]
FORM = {
    "type": "object",
    "properties": {"sure": {"type": "boolean"}, "answer": {"enum": ["yes", "no"]}},
    "required": ["sure", "answer"],
    "additionalProperties": False,
}
IN_FORM = [{"role": "user", "content": '[say]{"sure": true, "answer": "yes"}' if IS_SCRIPTED else "Is it so?"}]


def keeps_to_form(text):
    said = json.loads(text)
    return list(said) == ["sure", "answer"] and isinstance(said["sure"], bool) and said["answer"] in ("yes", "no")



class OpenAiAtNode:
    url = ""

    def setUp(self):
        self.client = openai.OpenAI(base_url=self.url, api_key="any", max_retries=0, timeout=300)
        self.addCleanup(self.client.close)
        self.tools = [{"type": "function", "function": {"name": "weather", "description": "says it", "parameters": SCHEMA}}]
        self.flat_tools = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}, {"type": "web_search"}]

    @only_scripted
    def test_a_tool_is_called_whole_and_streamed_and_its_answer_goes_back(self):
        choice = self.client.chat.completions.create(model=MODEL, messages=ASKING, tools=self.tools).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertEqual(choice.message.reasoning_content, "It asks for weather.")
        call = choice.message.tool_calls[0]
        self.assertEqual((call.type, call.function.name, call.function.arguments), ("function", "weather", '{"city":"Paris"}'))
        with self.client.chat.completions.stream(model=MODEL, messages=ASKING, tools=self.tools) as stream:
            for _ in stream:
                pass
            message = stream.get_final_completion().choices[0].message
        self.assertEqual(message.content, "Let me see.")
        self.assertEqual(message.tool_calls[0].function.name, "weather")  # and not "weatherweather"
        self.assertEqual(message.tool_calls[0].function.arguments, '{"city":"Paris"}')
        later = [*ASKING, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        answer = self.client.chat.completions.create(model=MODEL, messages=later, tools=self.tools, max_tokens=5)
        self.assertTrue(answer.choices[0].message)

    @with_tools
    def test_a_tool_that_must_be_called_is(self):
        named = {"type": "function", "function": {"name": "weather"}}
        for choice in ("required", named):
            answer = self.client.chat.completions.create(model=TOOL_MODEL, messages=NOTHING_SAID, tools=self.tools, tool_choice=choice, parallel_tool_calls=False)
            self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
            [call] = answer.choices[0].message.tool_calls
            self.assertEqual(call.function.name, "weather")
            self.assertIn(json.loads(call.function.arguments), ({"city": "Paris"}, {"city": "Rome"}))
        response = self.client.responses.create(model=TOOL_MODEL, input=NOTHING_SAID, tools=self.flat_tools, tool_choice={"type": "function", "name": "weather"})
        self.assertEqual([item.type for item in response.output], ["function_call"])
        self.assertIn(json.loads(response.output[0].arguments)["city"], ("Paris", "Rome"))

    def test_a_response_keeps_to_a_form(self):
        form = {"format": {"type": "json_schema", "name": "answer", "schema": FORM, "strict": True}}
        response = self.client.responses.create(model=MODEL, input=IN_FORM, text=form)
        self.assertTrue(keeps_to_form(response.output_text), response.output_text)

    @only_real
    def test_a_model_without_tools_says_so(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model=MODEL, messages=QUESTION, tools=self.tools)
        self.assertEqual((caught.exception.param, caught.exception.code), ("tools", "unsupported"))
        answer = self.client.chat.completions.create(model=MODEL, messages=QUESTION, tools=self.tools, tool_choice="none", max_tokens=5)
        self.assertTrue(answer.choices[0].message.content)

    def test_a_response_has_text_and_goes_on_by_its_id(self):
        first = self.client.responses.create(model=MODEL, input="Count.", instructions="Be brief.", max_output_tokens=20, temperature=0)
        self.assertTrue(first.output_text)
        self.assertIn(first.status, ("completed", "incomplete"))
        self.assertEqual(first.usage.total_tokens, first.usage.input_tokens + first.usage.output_tokens)
        second = self.client.responses.create(model=MODEL, input="Go on.", previous_response_id=first.id, max_output_tokens=5)
        self.assertGreater(second.usage.input_tokens, first.usage.output_tokens)
        self.assertEqual(second.previous_response_id, first.id)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.responses.create(model=MODEL, input="Go on.", previous_response_id="resp_none")
        self.assertEqual(caught.exception.code, "previous_response_not_found")

    def test_a_streamed_response_is_the_same(self):
        whole = self.client.responses.create(model=MODEL, input="Count.", max_output_tokens=20, temperature=0)
        with self.client.responses.stream(model=MODEL, input="Count.", max_output_tokens=20, temperature=0) as stream:
            events = list(stream)
        final = events[-1].response  # cut by its length: the SDK's get_final_response() knows complete ones alone
        self.assertEqual(final.output_text, whole.output_text)
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        self.assertEqual(text, whole.output_text)
        numbers = [event.sequence_number for event in events if hasattr(event, "sequence_number")]
        self.assertEqual(numbers, list(range(len(numbers))))

    @only_scripted
    def test_a_response_calls_functions_and_leaves_other_tools_out(self):
        answer = self.client.responses.create(model=MODEL, input=SAID, tools=self.flat_tools)
        self.assertEqual([item.type for item in answer.output], ["reasoning", "message", "function_call"])
        self.assertEqual(answer.output[2].arguments, '{"city":"Paris"}')
        self.assertEqual([tool.name for tool in answer.tools], ["weather"])
        result = {"type": "function_call_output", "call_id": answer.output[2].call_id, "output": "rain"}
        later = self.client.responses.create(model=MODEL, input=[{"role": "user", "content": SAID}, *answer.output, result], max_output_tokens=5)
        self.assertTrue(later.output)


class AnthropicAtNode:
    url = ""

    def setUp(self):
        self.client = anthropic.Anthropic(base_url=self.url.removesuffix("/v1"), api_key="any", max_retries=0, timeout=300)
        self.addCleanup(self.client.close)
        self.tools = [{"name": "weather", "description": "says it", "input_schema": SCHEMA}]

    def create(self, **fields):
        return self.client.messages.create(**{"model": MODEL, "max_tokens": 20, "messages": QUESTION, "extra_body": GREEDY, **fields})

    def test_a_message_has_text_and_usage(self):
        message = self.create(system=[{"type": "text", "text": "Be brief."}])
        self.assertTrue(message.content[0].text)
        self.assertIn(message.stop_reason, ("end_turn", "max_tokens"))
        self.assertTrue(0 < message.usage.output_tokens <= 20)

    def test_the_clients_own_stream_assembles_the_same(self):
        whole = self.create()
        with self.client.messages.stream(model=MODEL, max_tokens=20, messages=QUESTION, extra_body=GREEDY) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.content[0].text, text)
        self.assertEqual(final.stop_reason, whole.stop_reason)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)

    def test_tokens_are_counted(self):
        counted = self.client.messages.count_tokens(model=MODEL, messages=QUESTION)
        usage = self.create().usage
        self.assertEqual(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens)

    def test_errors_are_raised_as_what_they_are(self):
        with self.assertRaises(anthropic.NotFoundError):
            self.create(model="no-such-model")
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.create(messages=[{"role": "user", "content": "word " * 200_000}])
        self.assertIn("prompt is too long", str(caught.exception))

    @only_scripted
    def test_thoughts_and_calls_are_blocks(self):
        asked = {"model": MODEL, "max_tokens": 500, "messages": ASKING, "tools": self.tools}
        with self.client.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        for message in (self.create(**asked), streamed):
            self.assertEqual([block.type for block in message.content], ["thinking", "text", "tool_use"])
            self.assertEqual((message.content[2].name, message.content[2].input), ("weather", {"city": "Paris"}))
            self.assertEqual(message.stop_reason, "tool_use")
        result = {"type": "tool_result", "tool_use_id": streamed.content[2].id, "content": "rain"}
        later = [*ASKING, {"role": "assistant", "content": streamed.content}, {"role": "user", "content": [result]}]
        self.assertTrue(self.create(messages=later, tools=self.tools).content)

    @with_tools
    def test_a_tool_that_must_be_called_is(self):
        for choice in ({"type": "any", "disable_parallel_tool_use": True}, {"type": "tool", "name": "weather"}):
            message = self.create(model=TOOL_MODEL, max_tokens=500, messages=NOTHING_SAID, tools=self.tools, tool_choice=choice)
            self.assertEqual(message.stop_reason, "tool_use")
            self.assertEqual({block.type for block in message.content}, {"tool_use"})
            self.assertIn(message.content[0].input, ({"city": "Paris"}, {"city": "Rome"}))

    def test_a_message_keeps_to_a_form(self):
        form = {"format": {"type": "json_schema", "schema": FORM}}
        message = self.create(max_tokens=200, messages=IN_FORM, extra_body={"output_config": form})
        self.assertTrue(keeps_to_form(message.content[0].text), message)

    @only_real
    def test_a_model_without_tools_says_so(self):
        with self.assertRaises(anthropic.BadRequestError):
            self.create(tools=self.tools)


class OllamaAtNode:
    url = ""

    def setUp(self):
        self.client = ollama.Client(host=self.url.removesuffix("/v1"), timeout=300)
        self.options = {"temperature": 0, "num_predict": 20, "seed": 1}
        self.tools = [{"type": "function", "function": {"name": "weather", "description": "says it", "parameters": SCHEMA}}]

    def test_a_chat_is_the_same_whole_and_streamed(self):
        whole = self.client.chat(model=MODEL, messages=QUESTION, options=self.options)
        self.assertTrue(whole.message.content)
        self.assertTrue(whole.done)
        for duration in (whole.total_duration, whole.prompt_eval_duration, whole.eval_duration):
            self.assertGreater(duration, 0)
        parts = list(self.client.chat(model=MODEL, messages=QUESTION, options=self.options, stream=True))
        self.assertEqual("".join(part.message.content for part in parts), whole.message.content)
        self.assertEqual([part.done for part in parts], [False] * (len(parts) - 1) + [True])
        self.assertEqual(parts[-1].eval_count, whole.eval_count)

    def test_a_prompt_is_generated_from(self):
        answer = self.client.generate(model=MODEL + ":latest", prompt="Count.", system="Be brief.", options=self.options, keep_alive="5m")
        self.assertTrue(answer.response)
        self.assertEqual(self.client.generate(model=MODEL).done_reason, "load")

    def test_an_answer_keeps_to_a_form(self):
        for temperature in (0, 1):
            options = {"temperature": temperature, "num_predict": 300}
            answer = self.client.chat(model=MODEL, messages=IN_FORM, format=FORM, options=options)
            self.assertTrue(keeps_to_form(answer.message.content), answer)
            answer = self.client.generate(model=MODEL, prompt=IN_FORM[0]["content"], format=FORM, options=options)
            self.assertTrue(keeps_to_form(answer.response), answer)
        answer = self.client.generate(model=MODEL, prompt=IN_FORM[0]["content"], format="json", options={"num_predict": 400})
        self.assertTrue(answer.response.lstrip().startswith("{"))

    def test_models_are_listed_shown_and_running(self):
        self.assertIn(MODEL, [model.model for model in self.client.list().models])
        self.assertIn(MODEL, [model.model for model in self.client.ps().models])
        if not IS_SCRIPTED:
            self.assertIn("completion", self.client.show(MODEL).capabilities)

    def test_errors_say_what_is_wrong(self):
        with self.assertRaises(ollama.ResponseError) as caught:
            self.client.chat(model="no-such-model", messages=QUESTION)
        self.assertEqual(caught.exception.status_code, 404)
        self.assertIn("no-such-model", caught.exception.error)
        with self.assertRaises(ollama.ResponseError) as caught:
            self.client.embed(model=MODEL, input="x")
        self.assertIn("generates text", caught.exception.error)

    @only_scripted
    def test_tools_are_called(self):
        message = self.client.chat(model=MODEL, messages=ASKING, tools=self.tools, think=False).message
        self.assertEqual(message.thinking, "It asks for weather.")
        self.assertEqual(message.tool_calls[0].function.name, "weather")
        self.assertEqual(message.tool_calls[0].function.arguments, {"city": "Paris"})
        later = [*ASKING, message, {"role": "tool", "tool_name": "weather", "content": "rain"}]
        self.assertTrue(self.client.chat(model=MODEL, messages=later, tools=self.tools, options=self.options).message)


@unittest.skipUnless(EMBEDDER, "needs a model that makes vectors: FLOTILLA_EMBEDDER")
class OllamaEmbeddingsAtNode:
    url = ""

    def test_texts_become_vectors_in_both_of_its_ways(self):
        client = ollama.Client(host=self.url.removesuffix("/v1"), timeout=300)
        answer = client.embed(model=EMBEDDER, input=["a boat", "a lantern"])
        self.assertEqual(2, len(answer.embeddings))
        self.assertGreater(answer.total_duration, 0)
        self.assertGreater(answer.prompt_eval_count, 4)
        old = client.embeddings(model=EMBEDDER, prompt="a boat")
        self.assertEqual(len(old.embedding), len(answer.embeddings[0]))
        for one, other in zip(old.embedding, answer.embeddings[0]):
            self.assertAlmostEqual(one, other, 5)
        with self.assertRaises(ollama.ResponseError) as refused:
            client.embed(model=MODEL, input="a boat")
        self.assertIn("generates text", refused.exception.error)


load_tests = at_every_node(OpenAiAtNode, AnthropicAtNode, OllamaAtNode, OllamaEmbeddingsAtNode)

if __name__ == "__main__":
    main()
