// The dialect: OpenAI's wire form, field by field, and what clients of other servers stumble over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <string>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr auto chat_path = "/v1/chat/completions", completions_path = "/v1/completions";
constexpr auto answer_text = "one two three four five";

std::vector<json> chunks(const Response& response) {
  std::vector<json> chunks;
  for (const auto& event : response.events()) {
    if (event != "[DONE]") chunks.push_back(json::parse(event));
  }
  return chunks;
}

// What reaches the backend for a body; nothing where the request was refused.
std::optional<GenerateRequest> seen(ServerUnderTest& server, const json& body, const char* path = chat_path) {
  std::optional<GenerateRequest> request;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest& r) { request = r; }; });
  TestClient client(server.port());
  client.post(path, body);
  server.on_loop([&] { server.backend().on_generate = nullptr; });
  return request;
}

std::string prompt_text(const GenerateRequest& request) { return scripted_tokenizer()->decode(request.prompt, false); }

TEST(Chat, AWholeAnswerHasOpenAisForm) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(chat_path, chat("hi"));
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  EXPECT_THAT(response.headers.at("x-request-id"), StartsWith("req_"));
  const auto body = response.json();
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("chatcmpl-"));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_GT(body["created"], 1'600'000'000);
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_THAT(body["system_fingerprint"].get<std::string>(), StartsWith("fp_"));
  const json choice = {{"index", 0},
                       {"message", {{"role", "assistant"}, {"content", answer_text}, {"refusal", nullptr}}},
                       {"logprobs", nullptr},
                       {"finish_reason", "stop"}};
  EXPECT_EQ(body["choices"], json::array({choice}));
  // "user: hi\nassistant: " and the BOS.
  EXPECT_EQ(body["usage"], (json{{"prompt_tokens", 21}, {"completion_tokens", 23}, {"total_tokens", 44}}));
}

TEST(Chat, AStreamBeginsWithTheRoleAndEndsWithAFinishOfItsOwn) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(chat_path, chat("hi", {{"stream", true}}));
  EXPECT_THAT(response.headers.at("content-type"), StartsWith("text/event-stream"));
  EXPECT_EQ(response.events().back(), "[DONE]");
  const auto all = chunks(response);
  ASSERT_GE(all.size(), 3u);
  EXPECT_EQ(all.front()["choices"][0]["delta"], (json{{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}));
  std::string text;
  for (const auto& chunk : all) {
    EXPECT_EQ(chunk["id"], all.front()["id"]);
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_FALSE(chunk.contains("usage"));
    const auto& choice = chunk["choices"][0];
    text += choice["delta"].value("content", "");
    EXPECT_EQ(choice["finish_reason"].is_null(), &chunk != &all.back());
  }
  EXPECT_EQ(text, answer_text);
  EXPECT_EQ(all.back()["choices"][0]["delta"], json::object());
  EXPECT_EQ(all.back()["choices"][0]["finish_reason"], "stop");
}

TEST(Chat, UsageComesInAChunkOfItsOwnBeforeDone) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto all =
      chunks(client.post(chat_path, chat("hi", {{"stream", true}, {"stream_options", {{"include_usage", true}}}})));
  EXPECT_EQ(all.back()["choices"], json::array());
  EXPECT_EQ(all.back()["usage"]["completion_tokens"], 23);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    ASSERT_TRUE(all[i].contains("usage"));
    EXPECT_TRUE(all[i]["usage"].is_null());
  }
}

TEST(Chat, SeveralChoicesAreCountedOnceEachInWholeAndStream) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto whole = client.post(chat_path, chat("hi", {{"n", 3}})).json();
  ASSERT_EQ(whole["choices"].size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(whole["choices"][i]["index"], i);
  EXPECT_EQ(whole["usage"]["prompt_tokens"], 21);
  EXPECT_EQ(whole["usage"]["completion_tokens"], 69);
  std::map<int, std::string> texts;
  std::map<int, int> roles, finishes;
  for (const auto& chunk : chunks(client.post(chat_path, chat("hi", {{"n", 2}, {"stream", true}})))) {
    const auto& choice = chunk["choices"][0];
    texts[choice["index"]] += choice["delta"].value("content", "");
    roles[choice["index"]] += choice["delta"].contains("role");
    finishes[choice["index"]] += !choice["finish_reason"].is_null();
  }
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, answer_text}, {1, answer_text}}));
  EXPECT_EQ(roles, (std::map<int, int>{{0, 1}, {1, 1}}));
  EXPECT_EQ(finishes, roles);
}

TEST(Chat, ChoicesOfARequestShareItsSeedAndDifferInTheirNumber) {
  ServerUnderTest server;
  std::vector<GenerateRequest> requests;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest& r) { requests.push_back(r); }; });
  TestClient client(server.port());
  client.post(chat_path, chat("hi", {{"n", 2}}));
  client.post(chat_path, chat("hi"));
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].sampling.seed, requests[1].sampling.seed);
  EXPECT_EQ(requests[1].choice, 1u);
  EXPECT_NE(requests[0].id, requests[1].id);
  EXPECT_NE(requests[0].sampling.seed, requests[2].sampling.seed);
}

TEST(Chat, LogprobsHaveTokensBytesAndTheBest) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body =
      client.post(chat_path, chat("hi", {{"logprobs", true}, {"top_logprobs", 2}, {"max_tokens", 3}})).json();
  const auto& logprobs = body["choices"][0]["logprobs"];
  EXPECT_TRUE(logprobs["refusal"].is_null());
  ASSERT_EQ(logprobs["content"].size(), 3u);
  EXPECT_EQ(logprobs["content"][0], (json{{"token", "o"},
                                          {"logprob", -0.25},
                                          {"bytes", {'o'}},
                                          {"top_logprobs",
                                           {{{"token", "o"}, {"logprob", -0.25}, {"bytes", {'o'}}},
                                            {{"token", "p"}, {"logprob", -1.25}, {"bytes", {'p'}}}}}}));
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  const auto plain = client.post(chat_path, chat("hi", {{"logprobs", true}, {"max_tokens", 1}})).json();
  EXPECT_EQ(plain["choices"][0]["logprobs"]["content"][0]["top_logprobs"], json::array());
  std::size_t streamed = 0;
  for (const auto& chunk :
       chunks(client.post(chat_path, chat("hi", {{"logprobs", true}, {"max_tokens", 5}, {"stream", true}})))) {
    const auto& piece = chunk["choices"][0]["logprobs"];
    if (piece.is_object()) streamed += piece["content"].size();
  }
  EXPECT_EQ(streamed, 5u);
}

TEST(Chat, AStopStringAcrossTokensEndsTheAnswerAndTheComputing) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto more = json{{"stop", {"zebra", "three"}}, {"logprobs", true}, {"return_token_ids", true}};
  const auto choice = client.post(chat_path, chat("forever", more)).json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "one two ");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["logprobs"]["content"].size(), 8u);  // the stop string's own tokens are not part of the text
  EXPECT_EQ(choice["token_ids"].size(), 13u);           // but they were generated
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
  const auto text = client.post(chat_path, chat("hi", {{"stop", "two"}})).json()["choices"][0]["message"]["content"];
  EXPECT_EQ(text, "one ");
}

TEST(Chat, HalfACharacterIsNeverSent) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(chat_path, chat("[manual]", {{"stream", true}, {"logprobs", true}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    server.backend().emit(held, "a\xE2\x82\xAC\xF0\x9F");
    server.backend().end(held, FinishReason::length);
  });
  const auto all = chunks(client.read());
  ASSERT_EQ(all.size(), 5u);  // role, a, the euro sign, the broken rest, finish
  EXPECT_EQ(all[2]["choices"][0]["delta"]["content"], "€");
  EXPECT_EQ(all[2]["choices"][0]["logprobs"]["content"].size(), 3u);
  EXPECT_EQ(all[2]["choices"][0]["logprobs"]["content"][0]["bytes"], json::array({0xE2}));
  EXPECT_EQ(all[3]["choices"][0]["delta"]["content"], "\uFFFD");
  EXPECT_EQ(all[4]["choices"][0]["finish_reason"], "length");
}

TEST(Chat, ATokenWithoutTextKeepsItsLogprobs) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(chat_path, chat("[manual]", {{"logprobs", true}, {"return_token_ids", true}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    held.on_token({.id = held.request.id, .has_token = true, .token = scripted_bos, .top = {}, .error = {}});
    server.backend().end(held, FinishReason::stop);
  });
  const auto choice = client.read().json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "");
  EXPECT_EQ(choice["logprobs"]["content"][0]["token"], "<s>");
  EXPECT_EQ(choice["token_ids"], json::array({scripted_bos}));
}

TEST(Chat, MessagesComeInEveryFormClientsSend) {
  ServerUnderTest server;
  const json body{
      {"model", "tiny"},
      {"messages",
       {{{"role", "developer"}, {"content", "be brief"}},
        {{"role", "user"}, {"content", {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}}}},
        {{"role", "assistant"},
         {"content", nullptr},
         {"tool_calls", {{{"id", "1"}, {"type", "function"}, {"function", {{"name", "f"}, {"arguments", "{}"}}}}}}},
        {{"role", "tool"}, {"tool_call_id", "1"}, {"content", "42"}},
        {{"role", "assistant"}, {"content", ""}, {"reasoning_content", "hm"}}}}};
  const auto request = seen(server, body);
  ASSERT_TRUE(request);
  EXPECT_EQ(prompt_text(*request),
            "system: be brief\nuser: ab\nassistant: {\"arguments\":\"{}\",\"name\":\"f\"}\ntool: 42\nassistant: "
            "\nassistant: ");
}

TEST(Chat, FieldsReachTheSampler) {
  ServerUnderTest server;
  const auto request = seen(server, chat("hi", {{"temperature", 0.5},
                                                {"top_p", 0.9},
                                                {"top_k", 40},
                                                {"min_p", 0.05},
                                                {"repeat_penalty", 1.1},
                                                {"repeat_last_n", -1},
                                                {"presence_penalty", -1},
                                                {"frequency_penalty", 2},
                                                {"logit_bias", {{"104", -100}, {"105", 5.5}}},
                                                {"seed", 7},
                                                {"max_completion_tokens", 5},
                                                {"logprobs", true},
                                                {"top_logprobs", 20}}));
  ASSERT_TRUE(request);
  const SamplingParams expected{.temperature = 0.5f,
                                .top_k = 40,
                                .top_p = 0.9f,
                                .min_p = 0.05f,
                                .repetition_penalty = 1.1f,
                                .presence_penalty = -1,
                                .frequency_penalty = 2,
                                .repetition_window = -1,
                                .seed = 7,
                                .logit_bias = {{104, -100.0f}, {105, 5.5f}}};
  EXPECT_EQ(request->sampling, expected);
  EXPECT_EQ(request->tokens_max, 5u);
  EXPECT_EQ(request->top_logprobs, 20);
  EXPECT_EQ(request->stop_tokens, std::vector<TokenId>{scripted_end});
  const auto plain = seen(server, chat("hi", {{"ignore_eos", true}, {"max_tokens", 3}}));
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->stop_tokens.empty());
  EXPECT_EQ(plain->top_logprobs, -1);
  EXPECT_EQ(plain->sampling.temperature, 1.0f);
}

TEST(Chat, TheDefaultBudgetIsWhatTheContextLeaves) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 100; });
  EXPECT_EQ(seen(server, chat("hi"))->tokens_max, 79u);
  EXPECT_EQ(seen(server, chat("hi", {{"max_tokens", 5000}}))->tokens_max, 79u);
}

TEST(Chat, HarmlessFieldsAreIgnored) {
  ServerUnderTest server;
  TestClient client(server.port());
  const json more{{"store", true},
                  {"metadata", {{"a", "b"}}},
                  {"service_tier", "auto"},
                  {"user", "me"},
                  {"parallel_tool_calls", true},
                  {"tools", json::array()},
                  {"tool_choice", "auto"},
                  {"response_format", {{"type", "text"}}},
                  {"modalities", {"text"}},
                  {"reasoning_effort", "low"},
                  {"stop", nullptr},
                  {"seed", nullptr},
                  {"audio", nullptr},
                  {"typical_p", 1},
                  {"mirostat", 0},
                  {"temperature", nullptr},
                  {"unheard_of", {1, 2, 3}},
                  {"logit_bias", json::object()}};
  EXPECT_EQ(client.post(chat_path, chat("hi", more)).status, 200);
}

struct Bad {
  json more;
  const char* param;
  const char* words;
};

TEST(Chat, EveryBadFieldIsNamedWithWhatWasExpectedAndWhatCame) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::vector<Bad> cases{
      {{{"model", nullptr}}, "model", "a model's name"},
      {{{"model", 3}}, "model", "a string but got 3"},
      {{{"messages", nullptr}}, "messages", "at least one message"},
      {{{"messages", json::array()}}, "messages", "at least one message"},
      {{{"messages", "hi"}}, "messages", "an array"},
      {{{"messages", {1}}}, "messages[0]", "an object but got 1"},
      {{{"messages", {{{"role", "user"}}}}}, "messages[0].content", "content"},
      {{{"messages", {{{"content", "x"}}}}}, "messages[0].role", "system, developer, user"},
      {{{"messages", {{{"role", "king"}, {"content", "x"}}}}}, "messages[0].role", "system, developer, user"},
      {{{"messages", {{{"role", "user"}, {"content", 5}}}}}, "messages[0].content", "got 5"},
      {{{"messages", {{{"role", "user"}, {"content", {{{"type", "image_url"}}}}}}}},
       "messages[0].content",
       "image_url"},
      {{{"messages", {{{"role", "user"}, {"content", {{{"type", "text"}}}}}}}}, "messages[0].content", "\"text\""},
      {{{"messages", {{{"role", "user"}, {"content", {"x"}}}}}}, "messages[0].content", "got a string"},
      {{{"temperature", 2.5}}, "temperature", "from 0 to 2 but got 2.5"},
      {{{"temperature", "hot"}}, "temperature", "got a string"},
      {{{"top_p", -0.1}}, "top_p", "from 0 to 1"},
      {{{"top_k", 1.5}}, "top_k", "an integer"},
      {{{"min_p", true}}, "min_p", "got true"},
      {{{"n", 0}}, "n", "from 1 to 16 but got 0"},
      {{{"n", 17}}, "n", "from 1 to 16 but got 17"},
      {{{"max_tokens", 0}}, "max_tokens", "got 0"},
      {{{"max_tokens", -1}}, "max_tokens", "got -1"},
      {{{"max_completion_tokens", "many"}}, "max_completion_tokens", "got a string"},
      {{{"stream", "yes"}}, "stream", "true or false but got a string"},
      {{{"stream_options", {{"include_usage", true}}}}, "stream_options", "only where stream is true"},
      {{{"stream", true}, {"stream_options", {{"include_usage", 1}}}}, "stream_options", "include_usage"},
      {{{"stop", 5}}, "stop", "got 5"},
      {{{"stop", {1}}}, "stop", "got 1"},
      {{{"stop", std::vector<std::string>(17, "x")}}, "stop", "at most 16"},
      {{{"stop", std::string(513, 'x')}}, "stop", "512"},
      {{{"presence_penalty", 2.1}}, "presence_penalty", "from -2 to 2"},
      {{{"frequency_penalty", -3}}, "frequency_penalty", "from -2 to 2"},
      {{{"repetition_penalty", 0}}, "repetition_penalty", "got 0"},
      {{{"logit_bias", {{"x", 1}}}}, "logit_bias", "token ids"},
      {{{"logit_bias", {{"-1", 1}}}}, "logit_bias", "token ids"},
      {{{"logit_bias", {{"5", 101}}}}, "logit_bias", "-100 to 100"},
      {{{"logit_bias", {{"258", 1}}}}, "logit_bias", "below 258 but got 258"},
      {{{"logit_bias", {1, 2}}}, "logit_bias", "an object"},
      {{{"seed", 1.5}}, "seed", "an integer"},
      {{{"logprobs", 3}}, "logprobs", "true or false"},
      {{{"top_logprobs", 3}}, "top_logprobs", "logprobs"},
      {{{"logprobs", true}, {"top_logprobs", 21}}, "top_logprobs", "from 0 to 20"},
      {{{"tools", {{{"type", "function"}}}}}, "tools", "not supported"},
      {{{"functions", {{{"name", "f"}}}}}, "functions", "not supported"},
      {{{"tool_choice", "required"}}, "tool_choice", "not supported"},
      {{{"response_format", {{"type", "json_object"}}}}, "response_format", "not supported"},
      {{{"response_format", {{"type", "yaml"}}}}, "response_format", "text, json_object"},
      {{{"response_format", "text"}}, "response_format", "an object"},
      {{{"audio", {{"voice", "x"}}}}, "audio", "not supported"},
      {{{"modalities", {"text", "audio"}}}, "modalities", "not supported"},
      {{{"grammar", "root ::= x"}}, "grammar", "not supported"},
      {{{"mirostat", 2}}, "mirostat", "expected 0"},
  };
  for (const auto& bad : cases) {
    const auto response = client.post(chat_path, chat("hi", bad.more));
    const auto error = response.json()["error"];
    EXPECT_EQ(response.status, 400) << bad.more;
    EXPECT_EQ(error["param"], bad.param) << bad.more;
    EXPECT_EQ(error["type"], "invalid_request_error") << bad.more;
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(bad.words)) << bad.more;
    EXPECT_TRUE(error["code"].is_string()) << bad.more;
  }
}

TEST(Chat, MalformedJsonIs400) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const std::string bad : {"", "{", "[]", "\"x\"", "{\"model\": tiny}", "\xff\xfe"}) {
    client.send(post_request(chat_path, bad));
    const auto response = client.read();
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_EQ(response.json()["error"]["type"], "invalid_request_error") << bad;
  }
  client.send(post_request(chat_path, std::string(100'000, '[')));
  EXPECT_EQ(client.read().status, 400);
}

TEST(Chat, AnUnknownModelIs404) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const bool stream : {false, true}) {
    const auto response = client.post(chat_path, chat("hi", {{"model", "gpt-4"}, {"stream", stream}}));
    EXPECT_EQ(response.status, 404);
    EXPECT_EQ(response.json()["error"]["code"], "model_not_found");
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr("gpt-4"));
  }
}

TEST(Chat, APromptLongerThanTheContextIsRefusedNotCut) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 100; });
  TestClient client(server.port());
  const auto response = client.post(chat_path, chat(std::string(200, 'x'), {{"stream", true}, {"max_tokens", 7}}));
  EXPECT_EQ(response.status, 400);
  const auto error = response.json()["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "messages");
  for (const auto* figure : {"100 tokens", "219 tokens", "for 7"})
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(figure));
  // One token of room is enough, none is not.
  EXPECT_EQ(client.post(chat_path, chat(std::string(80, 'x'))).json()["usage"]["total_tokens"], 100);
  EXPECT_EQ(client.post(chat_path, chat(std::string(81, 'x'))).status, 400);
}

TEST(Chat, ATemplateThatRefusesIsTheClientsFault) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(chat_path, chat("refuse me"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.json()["error"]["param"], "messages");
}

TEST(Chat, OverloadIs429WithRetryAfterAlsoForAStream) {
  ServerUnderTest server({.choices_running_max = 2, .stream_grace = 10s});
  TestClient client(server.port());
  const auto refused = client.post(chat_path, chat("hi", {{"n", 3}}));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(refused.json()["error"]["code"], "rate_limit_exceeded");
  // Refused by the queue behind us, before a token came.
  EXPECT_EQ(client.post(chat_path, chat("[full]", {{"stream", true}})).status, 429);
  // What has ended counts no more.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.post(chat_path, chat("hi", {{"n", 2}})).status, 200);
}

TEST(Chat, AFailureInMidStreamIsAnErrorEventAndTheEnd) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(chat_path, chat("[broken]", {{"stream", true}}));
  EXPECT_EQ(response.status, 200);
  const auto events = response.events();
  const auto error = json::parse(events.back())["error"];
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("a stage was lost"));
  EXPECT_EQ(error["type"], "server_error");
  EXPECT_EQ(error["code"], "unavailable");
  EXPECT_TRUE(client.ended());
  TestClient other(server.port());
  const auto whole = other.post(chat_path, chat("[broken]", {{"n", 2}}));
  EXPECT_EQ(whole.status, 503);
  EXPECT_TRUE(whole.headers.contains("retry-after"));
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));  // the other choice
}

TEST(Chat, HeadersGoOutBeforeTheFirstTokenAndCommentsWhileSilent) {
  ServerUnderTest server({.stream_keepalive = 10ms, .stream_grace = 1ms});
  TestClient client(server.port());
  client.send(post_request(chat_path, chat("[manual]", {{"stream", true}}).dump()));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("200 OK"));
  client.read_until(": keep-alive\n\n");
  client.read_until(": keep-alive\n\n");
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    server.backend().emit(held, "x");
    server.backend().end(held, FinishReason::stop);
  });
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("\"content\":\"x\""));
}

TEST(Chat, AStreamThatWaitsForItsModelStaysAlive) {
  ServerUnderTest server({.stream_keepalive = 10ms});
  TestClient client(server.port());
  client.send(post_request(chat_path, chat("hi", {{"model", "slow-loading"}, {"stream", true}}).dump()));
  client.read_until(": keep-alive\n\n");
  server.on_loop([&] { server.backend().finish_opening({}); });
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("chat.completion.chunk"));

  client.send(post_request(chat_path, chat("hi", {{"model", "slow-loading"}, {"stream", true}}).dump()));
  client.read_until(": keep-alive\n\n");
  server.on_loop([&] { server.backend().finish_opening(fail(Code::no_memory, "[planner] 3 GiB are missing")); });
  EXPECT_THAT(client.read_until("}}\n\n"), HasSubstr("3 GiB are missing"));
}

TEST(Completions, AWholeAnswerHasOpenAisForm) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = client.post(completions_path, completion("hi")).json();
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("cmpl-"));
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"],
            json::array({{{"index", 0}, {"text", answer_text}, {"logprobs", nullptr}, {"finish_reason", "stop"}}}));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
}

TEST(Completions, AStreamHasTextAndThenAFinish) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(completions_path, completion("hi", {{"stream", true}, {"max_tokens", 7}}));
  const auto all = chunks(response);
  std::string text;
  for (const auto& chunk : all) {
    EXPECT_EQ(chunk["object"], "text_completion");
    text += chunk["choices"][0]["text"].get<std::string>();
    EXPECT_EQ(chunk["choices"][0]["finish_reason"].is_null(), &chunk != &all.back());
  }
  EXPECT_EQ(text, "one two");
  EXPECT_EQ(all.back()["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(response.events().back(), "[DONE]");
}

TEST(Completions, PromptsComeAsTextTokensOrArraysOfEither) {
  ServerUnderTest server;
  EXPECT_EQ(seen(server, completion("hi"), completions_path)->prompt, (std::vector<TokenId>{scripted_bos, 'h', 'i'}));
  EXPECT_EQ(seen(server, completion({104, 105}), completions_path)->prompt, (std::vector<TokenId>{104, 105}));
  EXPECT_EQ(seen(server, completion(""), completions_path)->prompt, (std::vector<TokenId>{scripted_bos}));
  TestClient client(server.port());
  for (const json& prompts : {json{"a", "b"}, json{{97}, {98}}}) {
    const auto body =
        client.post(completions_path, completion(prompts, {{"n", 2}, {"echo", true}, {"max_tokens", 1}})).json();
    ASSERT_EQ(body["choices"].size(), 4u);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(body["choices"][i]["index"], i);
      EXPECT_EQ(body["choices"][i]["text"], i < 2 ? "ao" : "bo");
    }
  }
}

TEST(Completions, LogprobsAreParallelArrays) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = client.post(completions_path, completion("hi", {{"logprobs", 2}, {"max_tokens", 3}})).json();
  EXPECT_EQ(body["choices"][0]["logprobs"],
            (json{{"tokens", {"o", "n", "e"}},
                  {"token_logprobs", {-0.25, -0.25, -0.25}},
                  {"top_logprobs",
                   {{{"o", -0.25}, {"p", -1.25}}, {{"n", -0.25}, {"o", -1.25}}, {{"e", -0.25}, {"f", -1.25}}}},
                  {"text_offset", {0, 1, 2}}}));
  const auto none = client.post(completions_path, completion("hi", {{"logprobs", 0}, {"max_tokens", 1}})).json();
  EXPECT_TRUE(none["choices"][0]["logprobs"]["top_logprobs"].is_null());
  EXPECT_EQ(none["choices"][0]["logprobs"]["token_logprobs"], json::array({-0.25}));
}

TEST(Completions, AnEchoedPromptCanBeScoredWithoutAnAnswer) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto scoring = completion("h\u20AC!", {{"echo", true}, {"logprobs", 1}, {"max_tokens", 0}});
  const auto body = client.post(completions_path, scoring).json();
  const auto& choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "h€!");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"].size(), 6u);
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], json::array({nullptr, -0.25, -0.25, -0.25, -0.25, -0.25}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], json::array({0, 0, 1, 2, 2, 2}));
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
  const auto more =
      client.post(completions_path, completion("hi", {{"echo", true}, {"logprobs", 1}, {"max_tokens", 2}})).json();
  EXPECT_EQ(more["choices"][0]["text"], "hion");
  EXPECT_EQ(more["choices"][0]["logprobs"]["text_offset"], json::array({0, 0, 1, 2, 3}));
}

TEST(Completions, BadFieldsAreNamed) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::vector<Bad> cases{
      {{{"prompt", nullptr}}, "prompt", "a string"},
      {{{"prompt", 5}}, "prompt", "got 5"},
      {{{"prompt", json::array()}}, "prompt", "got an array of 0 items"},
      {{{"prompt", {"a", 1}}}, "prompt", "one of its items is 1"},
      {{{"prompt", {1, "a"}}}, "prompt", "one is a string"},
      {{{"prompt", {-1}}}, "prompt", "one is -1"},
      {{{"prompt", {1.5}}}, "prompt", "one is 1.5"},
      {{{"prompt", {258}}}, "prompt", "below 258"},
      {{{"prompt", {{1}, json::array()}}}, "prompt", "items"},
      {{{"prompt", std::vector<std::string>(65, "x")}}, "prompt", "at most 64"},
      {{{"suffix", "x"}}, "suffix", "not supported"},
      {{{"best_of", 3}}, "best_of", "equal n"},
      {{{"max_tokens", 0}}, "max_tokens", "got 0"},
      {{{"logprobs", true}}, "logprobs", "an integer"},
      {{{"logprobs", 21}}, "logprobs", "from 0 to 20"},
      {{{"echo", "yes"}}, "echo", "true or false"},
      {{{"model", nullptr}}, "model", "a model's name"},
  };
  for (const auto& bad : cases) {
    const auto response = client.post(completions_path, completion("hi", bad.more));
    EXPECT_EQ(response.status, 400) << bad.more;
    EXPECT_EQ(response.json()["error"]["param"], bad.param) << bad.more << response.body;
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr(bad.words)) << bad.more;
  }
  server.on_loop([&] { server.backend().context_tokens = 10; });
  const auto error = client.post(completions_path, completion("0123456789")).json()["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "prompt");
}

}  // namespace
}  // namespace flotilla
