// Anthropic's dialect: bodies as its clients send them, answers and events as they read them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr auto path = "/v1/messages";
constexpr auto answer_text = "one two three four five";

json message(json content, json more = json::object()) {
  json body{
      {"model", "tiny"}, {"max_tokens", 1000}, {"messages", {{{"role", "user"}, {"content", std::move(content)}}}}};
  body.update(more);
  return body;
}

json weather_tool() {
  return {{"name", "weather"}, {"description", "says it"}, {"input_schema", {{"type", "object"}}}};
}

const std::string thought_and_call =
    "[say]<think>hm</think>Let me see.\n"
    R"(<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>)";

// Each event has the name of its type on the line before.
std::vector<json> named_events(const Response& response) {
  std::vector<json> events;
  for (const auto& event : response.events()) {
    events.push_back(json::parse(event));
    EXPECT_THAT(response.body, HasSubstr("event: " + events.back()["type"].get<std::string>() + "\ndata: " + event));
  }
  return events;
}

std::vector<std::string> types(const std::vector<json>& events) {
  std::vector<std::string> types;
  for (const auto& event : events) {
    const auto type = event["type"].get<std::string>();
    if (types.empty() || types.back() != type) types.push_back(type);  // deltas of one block are as many as tokens
  }
  return types;
}

TEST(Anthropic, AWholeAnswerHasItsForm) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(path, message("hi").dump(), "application/json",
                           "x-api-key: any\r\nanthropic-version: 2023-06-01\r\nanthropic-beta: a,b\r\n"));
  const auto body = client.read().json();
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("msg_"));
  EXPECT_EQ(body["type"], "message");
  EXPECT_EQ(body["role"], "assistant");
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_EQ(body["content"], json::array({{{"type", "text"}, {"text", answer_text}}}));
  EXPECT_EQ(body["stop_reason"], "end_turn");
  EXPECT_TRUE(body["stop_sequence"].is_null());
  EXPECT_EQ(body["usage"]["input_tokens"], 21);
  EXPECT_EQ(body["usage"]["output_tokens"], 23);
}

TEST(Anthropic, EveryKindOfBlockReachesTheTemplate) {
  ServerUnderTest server;
  json body{{"model", "tiny"},
            {"max_tokens", 5},
            {"system",
             {{{"type", "text"}, {"text", "x-anthropic-billing-header: cc_version=2; cch=fa690;"}},
              {{"type", "text"}, {"text", "be"}, {"cache_control", {{"type", "ephemeral"}}}},
              {{"type", "text"}, {"text", "brief"}}}},
            {"tools", {weather_tool()}},
            {"messages",
             {{{"role", "user"}, {"content", "a"}},
              {{"role", "user"}, {"content", {{{"type", "text"}, {"text", "b"}}}}},
              {{"role", "assistant"},
               {"content",
                {{{"type", "thinking"}, {"thinking", "hm"}, {"signature", "x"}},
                 {{"type", "redacted_thinking"}, {"data", "y"}},
                 {{"type", "text"}, {"text", "well"}},
                 {{"type", "tool_use"}, {"id", "t1"}, {"name", "weather"}, {"input", {{"city", "Paris"}}}}}}},
              {{"role", "user"},
               {"content",
                {{{"type", "tool_result"}, {"tool_use_id", "t1"}, {"content", {{{"type", "text"}, {"text", "rain"}}}}},
                 {{"type", "tool_result"}, {"tool_use_id", "t2"}, {"is_error", true}, {"content", "no"}},
                 {{"type", "text"}, {"text", "and?"}}}}}}}};
  const auto request = seen(server, path, body);
  ASSERT_TRUE(request);
  EXPECT_EQ(scripted_tokenizer()->decode(request->prompt, false),
            R"(tools: [{"type":"function","function":{"name":"weather","description":"says it",)"
            R"("parameters":{"type":"object"}}}])"
            "\nsystem: be\n\nbrief\nuser: a\nb\nassistant: well (hm) t1 weather{\"city\":\"Paris\"}\n"
            "tool weather: rain\ntool: Error: no\nuser: and?\nassistant: ");
  EXPECT_EQ(request->tokens_max, 5u);
}

TEST(Anthropic, AStreamIsNamedEventsInOrder) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto events = named_events(client.post(path, message("hi", {{"stream", true}})));
  EXPECT_THAT(types(events), ElementsAre("message_start", "content_block_start", "content_block_delta",
                                         "content_block_stop", "message_delta", "message_stop"));
  EXPECT_EQ(events.front()["message"]["usage"]["input_tokens"], 21);
  EXPECT_EQ(events[1]["content_block"], (json{{"type", "text"}, {"text", ""}}));
  std::string text;
  for (const auto& event : events) {
    if (event["type"] == "content_block_delta") text += event["delta"]["text"].get<std::string>();
  }
  EXPECT_EQ(text, answer_text);
  const auto& end = events[events.size() - 2];
  EXPECT_EQ(end["delta"]["stop_reason"], "end_turn");
  EXPECT_EQ(end["usage"]["output_tokens"], 23);
}

TEST(Anthropic, ThoughtsTextAndCallsAreBlocksOfTheirOwn) {
  ServerUnderTest server;
  TestClient client(server.port());
  const json more{{"tools", {weather_tool()}}, {"tool_choice", {{"type", "auto"}}}};
  const auto body = client.post(path, message(thought_and_call, more)).json();
  ASSERT_EQ(body["content"].size(), 3u);
  EXPECT_EQ(body["content"][0], (json{{"type", "thinking"}, {"thinking", "hm"}, {"signature", ""}}));
  EXPECT_EQ(body["content"][1]["text"], "Let me see.");
  EXPECT_EQ(body["content"][2]["name"], "weather");
  EXPECT_EQ(body["content"][2]["input"], (json{{"city", "Paris"}}));
  EXPECT_EQ(body["stop_reason"], "tool_use");

  auto streamed = more;
  streamed["stream"] = true;
  std::vector<std::string> begun;
  std::string input;
  std::size_t open = 0;
  const auto events = named_events(client.post(path, message(thought_and_call, streamed)));
  for (const auto& event : events) {
    if (event["type"] == "content_block_start") {
      EXPECT_EQ(event["index"], begun.size());
      begun.push_back(event["content_block"]["type"].get<std::string>());
      EXPECT_EQ(open++, 0u);
    } else if (event["type"] == "content_block_stop") {
      --open;
    } else if (event["type"] == "content_block_delta" && event["delta"]["type"] == "input_json_delta") {
      input += event["delta"]["partial_json"].get<std::string>();
    }
  }
  EXPECT_THAT(begun, ElementsAre("thinking", "text", "tool_use"));
  EXPECT_EQ(json::parse(input), (json{{"city", "Paris"}}));
  EXPECT_EQ(events[events.size() - 2]["delta"]["stop_reason"], "tool_use");
}

TEST(Anthropic, WhatEndedAnAnswerIsSaid) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto stopped = client.post(path, message("hi", {{"stop_sequences", {"zebra", "three"}}})).json();
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "three");
  EXPECT_EQ(client.post(path, message("hi", {{"max_tokens", 3}})).json()["stop_reason"], "max_tokens");
}

TEST(Anthropic, TokensAreCountedWithoutComputing) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().on_generate = [](const GenerateRequest&) { FAIL(); }; });
  TestClient client(server.port());
  const auto counted = client.post("/v1/messages/count_tokens", message("hi"));
  EXPECT_EQ(counted.status, 200);
  EXPECT_EQ(counted.json(), (json{{"input_tokens", 21}}));
}

TEST(Anthropic, ErrorsHaveItsForm) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 100; });
  TestClient client(server.port());
  const auto unknown = client.post(path, message("hi", {{"model", "claude"}}));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(unknown.json()["type"], "error");
  EXPECT_EQ(unknown.json()["error"]["type"], "not_found_error");
  const auto long_one = client.post(path, message(std::string(200, 'x')));
  EXPECT_EQ(long_one.status, 400);
  EXPECT_EQ(long_one.json()["error"]["type"], "invalid_request_error");
  EXPECT_THAT(long_one.json()["error"]["message"].get<std::string>(), StartsWith("prompt is too long"));
  EXPECT_EQ(client.post(path, message("[full]")).json()["error"]["type"], "rate_limit_error");
  const std::vector<BadFields> cases{
      {{{"messages", json::array()}}, "messages", "at least one"},
      {{{"messages", {{{"role", "king"}, {"content", "x"}}}}}, "messages[0].role", "user or assistant"},
      {{{"messages", {{{"role", "user"}, {"content", {{{"type", "image"}}}}}}}},
       "messages[0].content[0].type",
       "image"},
      {{{"messages", {{{"role", "user"}, {"content", {{{"type", "text"}}}}}}}}, "messages[0].content[0].text", "text"},
      {{{"messages", {{{"role", "assistant"}, {"content", "x"}}}}}, "messages", "not supported"},
      {{{"tools", {{{"type", "web_search_20250305"}, {"name", "w"}}}}}, "tools[0].type", "web_search"},
      {{{"tools", {{{"name", ""}}}}}, "tools[0].name", "1 to 256"},
      {{{"tool_choice", {{"type", "any"}}}}, "tool_choice", "tools on offer"},
      {{{"tool_choice", {{"type", "tool"}, {"name", "x"}}}, {"tools", {weather_tool()}}}, "tool_choice", "\"x\""},
      {{{"tool_choice", {{"type", "tool"}}}}, "tool_choice.name", "a string"},
      {{{"tool_choice", {{"type", "must"}}}}, "tool_choice", "auto, any, tool or none"},
      {{{"output_config", {{"format", {{"type", "json_schema"}}}}}}, "output_config.format", "schema"},
      {{{"thinking", {{"type", "deep"}}}}, "thinking", "enabled"},
      {{{"max_tokens", 0}}, "max_tokens", "got 0"},
      {{{"mcp_servers", {1}}}, "mcp_servers", "not supported"},
  };
  for (const auto& bad : cases) {
    const auto response = client.post(path, message("hi", bad.more));
    EXPECT_EQ(response.status, 400) << bad.more;
    EXPECT_EQ(response.json()["error"]["param"], bad.param) << bad.more;
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr(bad.words)) << bad.more;
  }
}

TEST(Anthropic, ASilentStreamPingsAndABrokenOneSaysSo) {
  ServerUnderTest server({.stream_keepalive = 10ms, .stream_grace = 1ms});
  TestClient client(server.port());
  client.send(post_request(path, message("[manual]", {{"stream", true}}).dump()));
  client.read_until("event: ping\ndata: {\"type\":\"ping\"}\n\n");
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    server.backend().emit(held, "x");
    server.backend().end(held, FinishReason::failed, Error{Code::unavailable, "[pipeline] a stage was lost"});
  });
  EXPECT_THAT(client.read_until("event: error\ndata: "), HasSubstr("text_delta"));
  EXPECT_THAT(client.read_until("\n\n"), HasSubstr("\"type\":\"overloaded_error\""));
}

}  // namespace
}  // namespace flotilla
