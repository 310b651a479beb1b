// Tools and thoughts in OpenAI's chat dialect: on their way in, and as clients get them back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr auto path = "/v1/chat/completions";

json weather_tool() {
  return {{"type", "function"},
          {"function",
           {{"name", "weather"},
            {"description", "says it"},
            {"parameters", {{"type", "object"}, {"properties", {{"city", {{"type", "string"}}}}}}}}}};
}

// A chat whose answer is `text`, with a tool on offer.
json saying(const std::string& text, json more = json::object()) {
  more.emplace("tools", json::array({weather_tool()}));
  return chat("[say]" + text, std::move(more));
}

const std::string one_call = R"(<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>)";
const std::string two_calls = "Let me see.\n" + one_call + one_call;

std::string prompt_text(const GenerateRequest& request) { return scripted_tokenizer()->decode(request.prompt, false); }

TEST(Tools, ReachTheTemplateAsOpenAiWritesThem) {
  ServerUnderTest server;
  const auto request = seen(server, path, chat("hi", {{"tools", json::array({weather_tool()})}}));
  ASSERT_TRUE(request);
  EXPECT_THAT(prompt_text(*request),
              HasSubstr(R"(tools: [{"type":"function","function":{"name":"weather","description":"says it",)"
                        R"("parameters":{"properties":{"city":{"type":"string"}},"type":"object"}}}])"));
  const auto without =
      seen(server, path, chat("hi", {{"tools", json::array({weather_tool()})}, {"tool_choice", "none"}}));
  ASSERT_TRUE(without);
  EXPECT_THAT(prompt_text(*without), Not(HasSubstr("tools:")));
}

TEST(Tools, AWholeAnswerHasItsCallsAndSaysSo) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto choice = client.post(path, saying(one_call)).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const auto calls = choice["message"]["tool_calls"];
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_EQ(calls[0]["type"], "function");
  EXPECT_THAT(calls[0]["id"].get<std::string>(), MatchesRegex("call_[0-9a-f]{24}"));
  EXPECT_EQ(calls[0]["function"], (json{{"name", "weather"}, {"arguments", R"({"city":"Paris"})"}}));
  const auto both = client.post(path, saying(two_calls)).json()["choices"][0]["message"];
  EXPECT_EQ(both["content"], "Let me see.");
  ASSERT_EQ(both["tool_calls"].size(), 2u);
  EXPECT_NE(both["tool_calls"][0]["id"], both["tool_calls"][1]["id"]);
}

// The incompatibility that is hit most: clients join deltas by their index, and names that come twice become
// "weatherweather".
TEST(Tools, TheFirstDeltaOfACallHasEverythingButArgumentsAndLaterOnesOnlyThese) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto all = chunks(client.post(path, saying(two_calls, {{"stream", true}})));
  std::map<int, std::string> arguments;
  std::map<int, int> names;
  std::string text;
  for (const auto& chunk : all) {
    const auto& delta = chunk["choices"][0]["delta"];
    text += delta.value("content", "");
    for (const auto& call : delta.value("tool_calls", json::array())) {
      ASSERT_TRUE(call.contains("index"));
      const auto index = call["index"].get<int>();
      arguments[index] += call["function"]["arguments"].get<std::string>();
      if (names[index]++ == 0) {
        EXPECT_EQ(call["type"], "function");
        EXPECT_THAT(call["id"].get<std::string>(), MatchesRegex("call_[0-9a-f]{24}"));
        EXPECT_EQ(call["function"]["name"], "weather");
      } else {
        EXPECT_EQ(call.size(), 2u) << call;
        EXPECT_EQ(call["function"].size(), 1u) << call;
      }
    }
  }
  EXPECT_EQ(text, "Let me see.");
  EXPECT_EQ(arguments, (std::map<int, std::string>{{0, R"({"city":"Paris"})"}, {1, R"({"city":"Paris"})"}}));
  EXPECT_EQ(all.back()["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(all.back()["choices"][0]["delta"], json::object());
}

TEST(Tools, WhatIsNoCallIsContent) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::string broken = R"(<tool_call>{"name": "weather", "arguments": {"city"</tool_call>)";
  const auto choice = client.post(path, saying(broken)).json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], broken);
  EXPECT_EQ(choice["finish_reason"], "stop");
  // Without tools on offer nothing is a call.
  EXPECT_EQ(client.post(path, chat("[say]" + one_call)).json()["choices"][0]["message"]["content"], one_call);
}

TEST(Tools, OneCallIsTheEndWhereNoMoreMayRunBesideIt) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto choice = client.post(path, saying(two_calls, {{"parallel_tool_calls", false}})).json()["choices"][0];
  EXPECT_EQ(choice["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

TEST(Tools, AnAnswerCutInACallEndsWithItsLength) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto choice = client.post(path, saying(one_call, {{"max_tokens", 20}})).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["message"]["content"], one_call.substr(0, 20));
}

TEST(Tools, CallsAndTheirAnswersComeBackInLaterTurns) {
  ServerUnderTest server;
  const json call{{"id", "call_1"},
                  {"type", "function"},
                  {"function", {{"name", "weather"}, {"arguments", R"({"city": "Köln"})"}}}};
  json as_object = call;
  as_object["function"]["arguments"] = {{"city", "Köln"}};
  for (const auto& each : {call, as_object}) {
    const json body{{"model", "tiny"},
                    {"messages",
                     {{{"role", "user"}, {"content", "?"}},
                      {{"role", "assistant"}, {"content", nullptr}, {"tool_calls", {each}}},
                      {{"role", "tool"}, {"tool_call_id", "call_1"}, {"content", "rain"}}}}};
    const auto request = seen(server, path, body);
    ASSERT_TRUE(request);
    EXPECT_THAT(prompt_text(*request), MatchesRegex("user: \\?\nassistant:  call_1 weather\\{\"city\": ?\"Köln\"\\}\n"
                                                    "tool weather: rain\nassistant: "));
  }
}

TEST(Thoughts, ComeApartFromTheAnswerAndMayComeBack) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto message = client.post(path, chat("[say]<think>\nhm\n</think>\n\nYes.")).json()["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "hm");
  EXPECT_EQ(message["content"], "Yes.");
  std::string thought, said;
  for (const auto& chunk : chunks(client.post(path, chat("[say]<think>hm</think>Yes.", {{"stream", true}})))) {
    thought += chunk["choices"][0]["delta"].value("reasoning_content", "");
    said += chunk["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(thought, "hm");
  EXPECT_EQ(said, "Yes.");
}

TEST(Thoughts, BegunByThePromptAreThoughts) {
  ServerUnderTest server;
  TestClient client(server.port());
  const json more{{"chat_template_kwargs", {{"enable_thinking", true}}}};
  const auto message = client.post(path, chat("[say]hm</think>Yes.", more)).json()["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "hm");
  EXPECT_EQ(message["content"], "Yes.");
}

}  // namespace
}  // namespace flotilla
