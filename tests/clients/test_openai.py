#!/usr/bin/env python3
"""OpenAI's own Python client, unmodified, against every node of a fleet.

    FLOTILLA_MODEL=tiny FLOTILLA_URLS="http://127.0.0.1:1/v1 http://127.0.0.1:2/v1" tests/clients/test_openai.py
"""

import asyncio
import time
import unittest

import openai
from at_nodes import EMBEDDER, MODEL, URLS, at_every_node, main

MESSAGES = [
    {"role": "developer", "content": "You are a helpful assistant."},
    {"role": "user", "content": [{"type": "text", "text": "Count from one to twenty in words."}]},
]
GREEDY = {"model": MODEL, "temperature": 0, "seed": 1}
LONG_ANSWER = {"messages": [{"role": "user", "content": "Count forever."}], "max_tokens": 2000, "extra_body": {"ignore_eos": True}}


class AtOneNode:
    url = ""

    def setUp(self):
        self.client = openai.OpenAI(base_url=self.url, api_key="any", max_retries=0, timeout=300)
        self.addCleanup(self.client.close)

    def chat(self, **fields):
        return self.client.chat.completions.create(**{**GREEDY, "messages": MESSAGES, "max_tokens": 20, **fields})

    def test_the_model_is_listed_and_can_be_retrieved(self):
        listed = {model.id: model for model in self.client.models.list()}
        self.assertIn(MODEL, listed)
        self.assertEqual(self.client.models.retrieve(MODEL), listed[MODEL])
        self.assertEqual(listed[MODEL].object, "model")

    def test_a_whole_answer_has_text_finish_and_usage(self):
        answer = self.chat()
        choice = answer.choices[0]
        self.assertTrue(choice.message.content)
        self.assertEqual(choice.message.role, "assistant")
        self.assertIn(choice.finish_reason, ("stop", "length"))
        self.assertTrue(0 < answer.usage.completion_tokens <= 20)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertTrue(answer.id.startswith("chatcmpl-"))

    def test_a_stream_gives_the_same_text_piece_by_piece(self):
        whole = self.chat()
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage, whole.usage)
        self.assertEqual([c.choices[0].finish_reason for c in chunks[:-1]][-1], whole.choices[0].finish_reason)

    def test_two_choices_come_back_whole_and_streamed(self):
        answer = self.chat(n=2, temperature=1)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        finishes = {}
        for chunk in self.chat(n=2, temperature=1, stream=True):
            if chunk.choices[0].finish_reason:
                finishes[chunk.choices[0].index] = chunk.choices[0].finish_reason
        self.assertEqual(sorted(finishes), [0, 1])

    def test_logprobs_spell_the_answer(self):
        choice = self.chat(logprobs=True, top_logprobs=3, max_tokens=8).choices[0]
        entries = choice.logprobs.content
        self.assertEqual(bytes(byte for entry in entries for byte in entry.bytes).decode(errors="replace"), choice.message.content)
        for entry in entries:
            self.assertLessEqual(entry.logprob, 0)
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.top_logprobs[0].token, entry.token)  # greedy: the likeliest was taken

    def test_a_stop_string_cuts_before_itself(self):
        text = self.chat().choices[0].message.content
        stop = text[len(text) // 2:][:3]
        choice = self.chat(stop=[stop, "never said"]).choices[0]
        self.assertEqual(choice.message.content, text[:text.index(stop)])
        self.assertEqual(choice.finish_reason, "stop")

    def test_the_older_endpoint_completes_echoes_and_scores(self):
        answer = self.client.completions.create(**GREEDY, prompt="Once upon a time", max_tokens=5, logprobs=2, echo=True)
        choice = answer.choices[0]
        self.assertTrue(choice.text.startswith("Once upon a time"))
        self.assertGreater(len(choice.text), len("Once upon a time"))
        self.assertEqual(len(choice.logprobs.tokens), len(choice.logprobs.token_logprobs))
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        streamed = self.client.completions.create(**GREEDY, prompt="Once upon a time", max_tokens=5, stream=True)
        text = "".join(chunk.choices[0].text for chunk in streamed)
        self.assertEqual("Once upon a time" + text, choice.text)

    def test_an_unknown_model_raises_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.chat(model="no-such-model")
        self.assertEqual(caught.exception.code, "model_not_found")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("no/such/model")

    def test_a_bad_field_raises_bad_request_that_names_it(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(temperature=9)
        self.assertEqual(caught.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(tools=[{"type": "web_search"}])
        self.assertEqual(caught.exception.param, "tools[0].type")

    def test_a_prompt_beyond_the_context_raises_context_length_exceeded(self):
        for stream in (False, True):
            with self.assertRaises(openai.BadRequestError) as caught:
                self.chat(messages=[{"role": "user", "content": "word " * 200_000}], stream=stream)
            self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_a_stream_can_be_left_in_the_middle(self):
        started = time.monotonic()
        for _ in range(8):  # more than there are places: each must have been freed
            with self.client.chat.completions.create(**GREEDY, **LONG_ANSWER, stream=True) as stream:
                self.assertEqual(len([chunk for chunk, _ in zip(stream, range(4))]), 4)
        left = time.monotonic()
        self.assertTrue(self.chat(max_tokens=2).choices[0].message.content)
        # Eight long answers computed to their ends would take far longer than eight beginnings did.
        self.assertLess(time.monotonic() - left, 10 + (left - started))

    def test_an_awaited_stream_can_be_cancelled(self):
        async def leave():
            async with openai.AsyncOpenAI(base_url=self.url, api_key="any", max_retries=0) as client:
                async def read():
                    async for _ in await client.chat.completions.create(**GREEDY, **LONG_ANSWER, stream=True):
                        begun.set()
                begun = asyncio.Event()
                task = asyncio.create_task(read())
                await begun.wait()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                answer = await client.chat.completions.create(**GREEDY, messages=MESSAGES, max_tokens=2)
                self.assertTrue(answer.choices[0].message.content)

        asyncio.run(leave())


class AtEveryNode(unittest.TestCase):
    def test_all_nodes_give_the_same_tokens(self):
        tokens = []
        for url in URLS:
            with openai.OpenAI(base_url=url, api_key="any", max_retries=0, timeout=300) as client:
                answer = client.chat.completions.create(**GREEDY, messages=MESSAGES, max_tokens=16, extra_body={"return_token_ids": True})
                tokens.append(answer.choices[0].token_ids)
        self.assertTrue(tokens[0])
        self.assertEqual(tokens, tokens[:1] * len(URLS))


@unittest.skipUnless(EMBEDDER, "needs a model that makes vectors: FLOTILLA_EMBEDDER")
class Embeddings(unittest.TestCase):
    def test_every_node_gives_the_same_vectors_in_every_form(self):
        texts = ["a boat", "a lantern in the harbour", ""]
        for url in URLS:
            with openai.OpenAI(base_url=url, api_key="any", max_retries=0, timeout=300) as client:
                usual = client.embeddings.create(model=EMBEDDER, input=texts)  # the client asks for base64
                floats = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
                one = client.embeddings.create(model=EMBEDDER, input=texts[1])
                tokens = client.embeddings.create(model=EMBEDDER, input=[[101, 102], [101, 102]])
                self.assertEqual([each.index for each in usual.data], [0, 1, 2])
                self.assertEqual(usual.usage.total_tokens, usual.usage.prompt_tokens)
                self.assertEqual(tokens.usage.prompt_tokens, 4)
                self.assertAlmostEqual(sum(value * value for value in usual.data[0].embedding), 1, 5)
                for a, b in zip(usual.data, floats.data):
                    self.assertEqual(len(a.embedding), len(b.embedding))
                    for x, y in zip(a.embedding, b.embedding):
                        self.assertAlmostEqual(x, y, 5)
                for x, y in zip(one.data[0].embedding, usual.data[1].embedding):
                    self.assertAlmostEqual(x, y, 5)

    def test_a_chat_with_it_is_refused_and_so_are_vectors_of_a_model_that_generates(self):
        with openai.OpenAI(base_url=URLS[0], api_key="any", max_retries=0, timeout=300) as client:
            with self.assertRaises(openai.BadRequestError) as refused:
                client.chat.completions.create(model=EMBEDDER, messages=MESSAGES)
            self.assertIn("/v1/embeddings", str(refused.exception))
            with self.assertRaises(openai.BadRequestError):
                client.embeddings.create(model=MODEL, input="a boat")


load_tests = at_every_node(AtOneNode, once=[AtEveryNode, Embeddings])

if __name__ == "__main__":
    main()
