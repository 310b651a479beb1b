// OpenAI's own client for Node, unmodified, against every node of a fleet.
//
//   FLOTILLA_MODEL=tiny FLOTILLA_URLS="http://127.0.0.1:1/v1 http://127.0.0.1:2/v1" node --test tests/clients/test_openai.mjs

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI from "openai";

const model = process.env.FLOTILLA_MODEL ?? "";
const toolModel = process.env.FLOTILLA_TOOL_MODEL ?? "";
const isScripted = process.env.FLOTILLA_SCRIPTED === "1";
const urls = (process.env.FLOTILLA_URLS ?? "").split(/[\s,]+/).filter(Boolean);
if (!model || urls.length === 0) {
  throw new Error("expected FLOTILLA_MODEL and FLOTILLA_URLS in the environment; tests/clients/run sets them");
}

const messages = [
  { role: "developer", content: "You are a helpful assistant." },
  { role: "user", content: [{ type: "text", text: "Count from one to twenty in words." }] },
];
const greedy = { model, temperature: 0, seed: 1, messages, max_tokens: 20 };
const longAnswer = { ...greedy, messages: [{ role: "user", content: "Count forever." }], max_tokens: 2000, ignore_eos: true, stream: true };
const cities = ["Paris", "Rome"];
const place = { type: "object", properties: { city: { enum: cities } }, required: ["city"], additionalProperties: false };
const weather = { type: "function", function: { name: "weather", description: "says it", parameters: place } };
const call = '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>';
// A script says what it is told to; a model whatever its request's constraint makes of it.
const saying = (text) => [{ role: "user", content: isScripted ? "[say]" + text : "What is the weather like?" }];
const connect = (baseURL) => new OpenAI({ baseURL, apiKey: "any", maxRetries: 0, timeout: 300_000 });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

for (const url of urls) {
  describe(`at ${url}`, () => {
    const client = connect(url);
    const chat = (fields = {}) => client.chat.completions.create({ ...greedy, ...fields });

    test("the model is listed and can be retrieved", async () => {
      const listed = [];
      for await (const entry of client.models.list()) listed.push(entry);
      const found = listed.find((entry) => entry.id === model);
      assert.ok(found);
      assert.deepEqual(await client.models.retrieve(model), found);
    });

    test("a whole answer has text, finish and usage", async () => {
      const answer = await chat();
      assert.ok(answer.choices[0].message.content);
      assert.ok(["stop", "length"].includes(answer.choices[0].finish_reason));
      assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    });

    test("a stream gives the same text piece by piece", async () => {
      const whole = await chat();
      const chunks = await collect(await chat({ stream: true, stream_options: { include_usage: true } }));
      assert.equal(chunks[0].choices[0].delta.role, "assistant");
      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
      assert.equal(text, whole.choices[0].message.content);
      assert.deepEqual(chunks.at(-1).choices, []);
      assert.deepEqual(chunks.at(-1).usage, whole.usage);
      assert.equal(chunks.at(-2).choices[0].finish_reason, whole.choices[0].finish_reason);
    });

    test("the client's own stream helper assembles the answer", async () => {
      const whole = await chat();
      const answer = await client.chat.completions.stream(greedy).finalChatCompletion();
      assert.equal(answer.choices[0].message.content, whole.choices[0].message.content);
      assert.equal(answer.choices[0].finish_reason, whole.choices[0].finish_reason);
    });

    test("two choices come back, whole and streamed", async () => {
      const answer = await chat({ n: 2, temperature: 1 });
      assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
      const finished = new Set();
      for (const chunk of await collect(await chat({ n: 2, temperature: 1, stream: true }))) {
        if (chunk.choices[0].finish_reason) finished.add(chunk.choices[0].index);
      }
      assert.deepEqual([...finished].sort(), [0, 1]);
    });

    test("logprobs spell the answer", async () => {
      const [choice] = (await chat({ logprobs: true, top_logprobs: 3, max_tokens: 8 })).choices;
      const bytes = choice.logprobs.content.flatMap((entry) => entry.bytes);
      assert.equal(new TextDecoder().decode(Uint8Array.from(bytes)), choice.message.content);
      for (const entry of choice.logprobs.content) {
        assert.ok(entry.logprob <= 0);
        assert.equal(entry.top_logprobs.length, 3);
      }
    });

    test("a stop string cuts before itself", async () => {
      const text = (await chat()).choices[0].message.content;
      const half = Math.floor(text.length / 2);
      const stop = text.slice(half, half + 3);
      const [choice] = (await chat({ stop })).choices;
      assert.equal(choice.message.content, text.slice(0, text.indexOf(stop)));
      assert.equal(choice.finish_reason, "stop");
    });

    test("the older endpoint completes and streams", async () => {
      const fields = { model, temperature: 0, prompt: "Once upon a time", max_tokens: 5 };
      const whole = await client.completions.create(fields);
      const chunks = await collect(await client.completions.create({ ...fields, stream: true }));
      assert.ok(whole.choices[0].text);
      assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), whole.choices[0].text);
    });

    test("errors have their classes and codes", async () => {
      await assert.rejects(chat({ model: "no-such-model" }), (error) => {
        return error instanceof OpenAI.NotFoundError && error.code === "model_not_found";
      });
      await assert.rejects(client.models.retrieve("no/such/model"), OpenAI.NotFoundError);
      await assert.rejects(chat({ temperature: 9 }), (error) => {
        return error instanceof OpenAI.BadRequestError && error.param === "temperature";
      });
      const long = [{ role: "user", content: "word ".repeat(200_000) }];
      for (const stream of [false, true]) {
        await assert.rejects(chat({ messages: long, stream }), (error) => {
          return error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded";
        });
      }
    });

    test("a tool that must be called is, whole and streamed", { skip: !toolModel }, async () => {
      const named = { type: "function", function: { name: "weather" } };
      for (const tool_choice of ["required", named]) {
        const asked = { model: toolModel, messages: saying(call), tools: [weather], tool_choice, parallel_tool_calls: false, max_tokens: 500 };
        const whole = await client.chat.completions.create(asked);
        const streamed = await client.chat.completions.stream(asked).finalChatCompletion();
        for (const { choices } of [whole, streamed]) {
          assert.equal(choices[0].finish_reason, "tool_calls");
          const [made, ...others] = choices[0].message.tool_calls;
          assert.deepEqual(others, []);
          assert.equal(made.function.name, "weather");
          assert.ok(cities.includes(JSON.parse(made.function.arguments).city));
        }
        const later = [...asked.messages, whole.choices[0].message, { role: "tool", tool_call_id: whole.choices[0].message.tool_calls[0].id, content: "rain" }];
        assert.ok(await client.chat.completions.create({ model: toolModel, messages: later, tools: [weather], max_tokens: 5 }));
      }
    });

    test("answers and responses keep to a schema", async () => {
      const form = { type: "json_schema", name: "answer", schema: place, strict: true };
      const messages = saying('{"city": "Paris"}');
      const answer = await chat({ messages, max_tokens: 200, response_format: { type: "json_schema", json_schema: { name: form.name, schema: place, strict: true } } });
      assert.ok(cities.includes(JSON.parse(answer.choices[0].message.content).city));
      const response = await client.responses.create({ model, input: messages, text: { format: form } });
      assert.ok(cities.includes(JSON.parse(response.output_text).city));
    });

    test("a response is the same whole and streamed, and can be aborted", async () => {
      const asked = { model, input: "Count.", max_output_tokens: 20, temperature: 0 };
      const whole = await client.responses.create(asked);
      const events = await collect(await client.responses.create({ ...asked, stream: true }));
      const text = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta).join("");
      assert.equal(text, whole.output_text);
      assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, index) => index));
      const stream = await client.responses.create({ ...asked, input: "Count forever.", max_output_tokens: 2000, stream: true });
      for await (const _ of stream) stream.controller.abort();
      assert.ok((await chat({ max_tokens: 2 })).choices[0].message.content);
    });

    test("a stream can be aborted in the middle, again and again", async () => {
      for (let round = 0; round < 8; ++round) {
        const stream = await client.chat.completions.create(longAnswer);
        let chunks = 0;
        for await (const _ of stream) {
          if (++chunks === 4) stream.controller.abort();
        }
        assert.ok(chunks >= 4 && chunks < 1000);
      }
      assert.ok((await chat({ max_tokens: 2 })).choices[0].message.content);
    });

    test("a whole answer can be aborted before it is there", async () => {
      const controller = new AbortController();
      const answer = client.chat.completions.create({ ...longAnswer, stream: false }, { signal: controller.signal });
      controller.abort();
      await assert.rejects(answer, OpenAI.APIUserAbortError);
      assert.ok((await chat({ max_tokens: 2 })).choices[0].message.content);
    });
  });
}

test("all nodes give the same tokens", async () => {
  const tokens = [];
  for (const url of urls) {
    const answer = await connect(url).chat.completions.create({ ...greedy, max_tokens: 16, return_token_ids: true });
    tokens.push(answer.choices[0].token_ids);
  }
  assert.ok(tokens[0].length > 0);
  for (const other of tokens) assert.deepEqual(other, tokens[0]);
});
