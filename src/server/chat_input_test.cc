// What chat requests may say: every form that clients send, and every fault named.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr auto path = "/v1/chat/completions";

std::string prompt_text(const GenerateRequest& request) { return scripted_tokenizer()->decode(request.prompt, false); }

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
  const auto request = seen(server, path, body);
  ASSERT_TRUE(request);
  EXPECT_EQ(prompt_text(*request),
            "system: be brief\nuser: ab\nassistant:  1 f{}\ntool f: 42\nassistant:  (hm)\nassistant: ");
}

TEST(Chat, FieldsReachTheSampler) {
  ServerUnderTest server;
  const auto request = seen(server, path,
                            chat("hi", {{"temperature", 0.5},
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
  const auto plain = seen(server, path, chat("hi", {{"ignore_eos", true}, {"max_tokens", 3}}));
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->stop_tokens.empty());
  EXPECT_EQ(plain->top_logprobs, -1);
  EXPECT_EQ(plain->sampling.temperature, 1.0f);
}

TEST(Chat, PrefixesAreSharedOnlyByTheSameKeyAndSalt) {
  ServerUnderTest server;
  const auto scope = [&](const json& more, std::string_view headers) {
    const auto request = seen(server, path, chat("hi", more), headers);
    return request ? request->cache_scope : 0;
  };
  const auto nobody = scope(json::object(), ""), ann = scope(json::object(), "Authorization: Bearer ann\r\n");
  EXPECT_NE(nobody, 0u);
  EXPECT_EQ(nobody, scope({{"user", "x"}}, ""));
  EXPECT_EQ(ann, scope(json::object(), "Authorization: Bearer ann\r\n"));
  EXPECT_NE(ann, nobody);
  EXPECT_NE(ann, scope(json::object(), "Authorization: Bearer bob\r\n"));
  EXPECT_NE(nobody, scope({{"cache_salt", "s"}}, ""));
  EXPECT_NE(scope({{"cache_salt", "n"}}, "Authorization: an\r\n"),
            scope({{"cache_salt", "nn"}}, "Authorization: a\r\n"));
  EXPECT_EQ(scope({{"cache_prompt", false}}, ""), 0u);
}

TEST(Chat, TheDefaultBudgetIsWhatTheContextLeaves) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 100; });
  EXPECT_EQ(seen(server, path, chat("hi"))->tokens_max, 79u);
  EXPECT_EQ(seen(server, path, chat("hi", {{"max_tokens", 5000}}))->tokens_max, 79u);
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
  EXPECT_EQ(client.post(path, chat("hi", more)).status, 200);
}

json tool_of(const std::string& description, std::size_t fields) {
  json parameters = json::object();
  for (std::size_t i = 0; i < fields; ++i) parameters[std::to_string(i)] = true;
  return {{"type", "function"},
          {"function", {{"name", "f"}, {"description", description}, {"parameters", parameters}}}};
}

TEST(Chat, EveryBadFieldIsNamedWithWhatWasExpectedAndWhatCame) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::vector<BadFields> cases{
      {{{"model", nullptr}}, "model", "a model's name"},
      {{{"model", 3}}, "model", "a string but got 3"},
      {{{"model", std::string(2000, 'x')}}, "model", "at most 1024 bytes"},
      {{{"messages", nullptr}}, "messages", "at least one message"},
      {{{"messages", json::array()}}, "messages", "at least one message"},
      {{{"messages", "hi"}}, "messages", "an array"},
      {{{"messages", std::vector<json>(4097, {{"role", "user"}, {"content", "x"}})}}, "messages", "at most 4096"},
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
      {{{"cache_salt", std::string(257, 'x')}}, "cache_salt", "256"},
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
      {{{"tools", {{{"type", "function"}}}}}, "tools[0].function", "each tool to be"},
      {{{"tools", {{{"type", "web_search"}}}}}, "tools[0].type", "only one that is supported"},
      {{{"tools", {5}}}, "tools[0]", "got 5"},
      {{{"tools", {{{"type", "function"}, {"function", {{"name", ""}}}}}}}, "tools[0].function.name", "1 to 256 bytes"},
      {{{"tools", {{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", 1}}}}}}},
       "tools[0].function.parameters",
       "an object but got 1"},
      {{{"tools", std::vector<json>(257, json::object())}}, "tools", "at most 256"},
      {{{"tools", {tool_of(std::string(9u << 20, 'x'), 1)}}}, "tools", "bytes of tools"},
      {{{"tools", {tool_of("", 257)}}}, "tools[0].function.name", "at most 256 fields"},
      {{{"tool_choice", {{"type", "function"}, {"function", {{"name", "f"}}}}}}, "tool_choice", "tools on offer"},
      {{{"tool_choice", "perhaps"}}, "tool_choice", "auto"},
      {{{"parallel_tool_calls", 1}}, "parallel_tool_calls", "got 1"},
      {{{"chat_template_kwargs", {{"a", 1}}}}, "chat_template_kwargs.a", "enable_thinking"},
      {{{"messages", {{{"role", "assistant"}, {"tool_calls", {5}}}}}}, "messages[0].tool_calls[0]", "got 5"},
      {{{"messages", {{{"role", "assistant"}, {"tool_calls", {{{"id", "1"}}}}}}}},
       "messages[0].tool_calls[0].function",
       "a function"},
      {{{"messages", {{{"role", "assistant"}, {"tool_calls", {{{"function", {{"name", "f"}, {"arguments", 5}}}}}}}}}},
       "messages[0].tool_calls[0].function.arguments",
       "got 5"},
      {{{"functions", {{{"name", "f"}}}}}, "functions", "not supported"},
      {{{"tool_choice", "required"}}, "tool_choice", "tools on offer"},
      {{{"audio", {{"voice", "x"}}}}, "audio", "not supported"},
      {{{"modalities", {"text", "audio"}}}, "modalities", "not supported"},
      {{{"mirostat", 2}}, "mirostat", "expected 0"},
  };
  for (const auto& bad : cases) {
    const auto response = client.post(path, chat("hi", bad.more));
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
    client.send(post_request(path, bad));
    const auto response = client.read();
    EXPECT_EQ(response.status, 400) << bad;
    EXPECT_EQ(response.json()["error"]["type"], "invalid_request_error") << bad;
  }
  client.send(post_request(path, std::string(100'000, '[')));
  EXPECT_EQ(client.read().status, 400);
}

TEST(Chat, AnUnknownModelIs404) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const bool stream : {false, true}) {
    const auto response = client.post(path, chat("hi", {{"model", "gpt-4"}, {"stream", stream}}));
    EXPECT_EQ(response.status, 404);
    EXPECT_EQ(response.json()["error"]["code"], "model_not_found");
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr("gpt-4"));
  }
}

TEST(Chat, APromptLongerThanTheContextIsRefusedNotCut) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 100; });
  TestClient client(server.port());
  const auto response = client.post(path, chat(std::string(200, 'x'), {{"stream", true}, {"max_tokens", 7}}));
  EXPECT_EQ(response.status, 400);
  const auto error = response.json()["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "messages");
  for (const auto* figure : {"100 tokens", "219 tokens", "for 7"})
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(figure));
  // One token of room is enough, none is not.
  EXPECT_EQ(client.post(path, chat(std::string(80, 'x'))).json()["usage"]["total_tokens"], 100);
  EXPECT_EQ(client.post(path, chat(std::string(81, 'x'))).status, 400);
}
}  // namespace
}  // namespace flotilla
