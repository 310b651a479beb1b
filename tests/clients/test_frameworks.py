#!/usr/bin/env python3
"""LangChain's OpenAI client and LiteLLM, unmodified, against one of the nodes: what programs that know no server's name use.

    tests/clients/run …
"""

import asyncio
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a list of prices from the network

import litellm  # noqa: E402
import openai  # noqa: E402
from at_nodes import IS_SCRIPTED, MODEL, TOOL_MODEL, URLS, at_every_node, main, with_tools  # noqa: E402
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402

litellm.telemetry = False
litellm.suppress_debug_info = True

QUESTION = "Count from one to twenty in words."
LONG_QUESTION = "Count forever."
CITIES = {"Paris", "Rome"}
PLACE = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "says it", "parameters": PLACE}}
FORM = {"title": "answer", "description": "of the question", **PLACE}
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>'


def said(text):
    return "[say]" + text if IS_SCRIPTED else "What is the weather like?"


class LangChainAtNode:
    url = ""

    def model(self, name=MODEL, **fields):
        settings = {"temperature": 0, "seed": 1, "max_tokens": 20, "max_retries": 0, "timeout": 300, **fields}
        return ChatOpenAI(model=name, base_url=self.url, api_key="any", **settings)

    def test_a_chat_is_the_same_whole_and_streamed(self):
        messages = [SystemMessage("You are a helpful assistant."), HumanMessage(QUESTION)]
        whole = self.model().invoke(messages)
        self.assertTrue(whole.content)
        chunks = list(self.model(stream_usage=True).stream(messages))
        self.assertEqual("".join(chunk.content for chunk in chunks), whole.content)
        told = [chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata]
        self.assertEqual(told, [whole.usage_metadata["total_tokens"]])

    @with_tools
    def test_tools_are_called_and_their_answers_go_back(self):
        tools = [WEATHER]
        for choice in ("required", "weather"):
            bound = self.model(TOOL_MODEL, max_tokens=500).bind_tools(tools, tool_choice=choice, parallel_tool_calls=False)
            asked = HumanMessage(said(CALL))
            message = bound.invoke([asked])
            [call] = message.tool_calls
            self.assertEqual(call["name"], "weather")
            self.assertIn(call["args"]["city"], CITIES)
            merged = None
            for chunk in bound.stream([asked]):
                merged = chunk if merged is None else merged + chunk
            self.assertEqual([(call["name"], call["args"]) for call in merged.tool_calls], [("weather", call["args"])])
        later = [asked, message, ToolMessage("rain", tool_call_id=call["id"])]
        self.assertTrue(self.model(TOOL_MODEL, max_tokens=5).bind_tools(tools).invoke(later))

    @with_tools
    def test_answers_have_the_structure_that_was_asked_for(self):
        json_answer = said('{"city": "Paris"}')
        for method, model, question in (("json_schema", MODEL, json_answer), ("function_calling", TOOL_MODEL, said(CALL.replace("weather", "answer")))):
            answer = self.model(model, max_tokens=500).with_structured_output(FORM, method=method).invoke(question)
            self.assertIn(answer["city"], CITIES, method)

    def test_errors_are_those_of_openais_client(self):
        with self.assertRaises(openai.NotFoundError):
            self.model("no-such-model").invoke(QUESTION)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.model().invoke("word " * 200_000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_a_stream_can_be_left_in_the_middle(self):
        async def leave():
            model = self.model(max_tokens=2000, extra_body={"ignore_eos": True})
            for _ in range(8):  # more than there are places: each must have been freed
                stream = model.astream(LONG_QUESTION)
                await anext(stream)
                await stream.aclose()
            self.assertTrue((await self.model(max_tokens=2).ainvoke(QUESTION)).content)

        asyncio.run(leave())


class LiteLlmAtNode:
    url = ""

    def complete(self, content=QUESTION, model=MODEL, provider="openai", **fields):
        base = self.url if provider == "openai" else self.url.removesuffix("/v1")
        settings = {"max_tokens": 20, "temperature": 0, "num_retries": 0, "max_retries": 0, "timeout": 300, **fields}
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        return litellm.completion(model=provider + "/" + model, api_base=base, api_key="any", messages=messages, **settings)

    def test_a_chat_in_every_dialect_that_it_speaks(self):
        for provider in ("openai", "anthropic", "ollama_chat"):
            whole = self.complete(provider=provider)
            text = whole.choices[0].message.content
            self.assertTrue(text, provider)
            self.assertGreater(whole.usage.completion_tokens, 0)
            chunks = list(self.complete(provider=provider, stream=True))
            self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks), text, provider)

    @with_tools
    def test_tools_are_called_in_every_dialect_that_has_a_choice(self):
        for provider in ("openai", "anthropic"):
            fields = {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False, "max_tokens": 500}
            choice = self.complete(said(CALL), TOOL_MODEL, provider, **fields).choices[0]
            self.assertEqual(choice.finish_reason, "tool_calls")
            [call] = choice.message.tool_calls
            self.assertEqual(call.function.name, "weather")
            self.assertTrue(any(city in call.function.arguments for city in CITIES), call)
            later = [{"role": "user", "content": said(CALL)}, choice.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
            self.assertTrue(self.complete(later, TOOL_MODEL, provider, tools=[WEATHER], max_tokens=5).choices)

    def test_answers_keep_to_a_schema(self):
        form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": PLACE}}
        for provider in ("openai", "ollama_chat"):
            text = self.complete(said('{"city": "Paris"}'), provider=provider, response_format=form, max_tokens=200).choices[0].message.content
            self.assertTrue(any('"%s"' % city in text for city in CITIES), (provider, text))

    def test_errors_have_its_classes(self):
        with self.assertRaises(litellm.NotFoundError):
            self.complete(model="no-such-model")
        with self.assertRaises(litellm.ContextWindowExceededError):
            self.complete("word " * 200_000)
        with self.assertRaises(litellm.BadRequestError):
            self.complete(temperature=9)

    def test_a_stream_can_be_left_in_the_middle(self):
        for _ in range(8):  # more than there are places: each must have been freed
            stream = self.complete(LONG_QUESTION, stream=True, max_tokens=2000, extra_body={"ignore_eos": True})
            self.assertEqual(len([chunk for chunk, _ in zip(stream, range(3))]), 3)
            stream.completion_stream.close()
        self.assertTrue(self.complete(max_tokens=2).choices[0].message.content)


# The dialects that they speak are tried at every node by the makers' own clients.
load_tests = at_every_node(LangChainAtNode, LiteLlmAtNode, urls=URLS[-1:])

if __name__ == "__main__":
    main()
