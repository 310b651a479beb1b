// OpenAI's responses: items in and out, numbered events, conversations that go on by an id.
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

constexpr auto path = "/v1/responses";
constexpr auto answer_text = "one two three four five";

json asking(json input, json more = json::object()) {
  json body{{"model", "tiny"}, {"input", std::move(input)}};
  body.update(more);
  return body;
}

json weather_tool() {
  return {{"type", "function"}, {"name", "weather"}, {"parameters", {{"type", "object"}}}, {"strict", false}};
}

const std::string thought_and_call =
    "[say]<think>hm</think>Let me see.\n"
    R"(<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>)";

std::string prompt_text(const GenerateRequest& request) { return scripted_tokenizer()->decode(request.prompt, false); }

TEST(Responses, AWholeAnswerIsItems) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = client.post(path, asking("hi", {{"instructions", "be brief"}})).json();
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("resp_"));
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["status"], "completed");
  EXPECT_EQ(body["instructions"], "be brief");
  ASSERT_EQ(body["output"].size(), 1u);
  EXPECT_EQ(body["output"][0]["type"], "message");
  EXPECT_EQ(body["output"][0]["content"][0]["type"], "output_text");
  EXPECT_EQ(body["output"][0]["content"][0]["text"], answer_text);
  EXPECT_EQ(body["usage"]["output_tokens"], 23);
  const auto cut = client.post(path, asking("hi", {{"max_output_tokens", 3}})).json();
  EXPECT_EQ(cut["status"], "incomplete");
  EXPECT_EQ(cut["incomplete_details"]["reason"], "max_output_tokens");
}

TEST(Responses, ItemsOfEveryKindReachTheTemplate) {
  ServerUnderTest server;
  const json input{
      {{"role", "developer"}, {"content", "be brief"}},
      {{"type", "message"}, {"role", "user"}, {"content", {{{"type", "input_text"}, {"text", "a"}}}}},
      {{"type", "reasoning"}, {"id", "rs_1"}, {"summary", {{{"type", "summary_text"}, {"text", "hm"}}}}},
      {{"type", "message"}, {"role", "assistant"}, {"content", {{{"type", "output_text"}, {"text", "b"}}}}},
      {{"type", "function_call"}, {"call_id", "c1"}, {"name", "weather"}, {"arguments", "{}"}},
      {{"type", "function_call_output"}, {"call_id", "c1"}, {"output", "rain"}}};
  const auto request = seen(server, path, asking(input));
  ASSERT_TRUE(request);
  EXPECT_EQ(prompt_text(*request),
            "system: be brief\nuser: a\nassistant: b (hm) c1 weather{}\ntool weather: rain\nassistant: ");
}

TEST(Responses, AStreamIsNumberedEventsAroundItems) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(path, asking(thought_and_call, {{"tools", {weather_tool()}}, {"stream", true}}));
  std::vector<std::string> types;
  std::string text, thought, arguments;
  json last;
  int sequence = 0;
  for (const auto& event : response.events()) {
    last = json::parse(event);
    const auto type = last["type"].get<std::string>();
    EXPECT_THAT(response.body, HasSubstr("event: " + type + "\ndata: " + event));
    EXPECT_EQ(last["sequence_number"], sequence++);
    if (types.empty() || types.back() != type) types.push_back(type);
    if (type == "response.output_text.delta") text += last["delta"].get<std::string>();
    if (type == "response.reasoning_text.delta") thought += last["delta"].get<std::string>();
    if (type == "response.function_call_arguments.delta") arguments += last["delta"].get<std::string>();
  }
  EXPECT_THAT(types,
              ElementsAre("response.created", "response.in_progress",  //
                          "response.output_item.added", "response.reasoning_text.delta", "response.reasoning_text.done",
                          "response.output_item.done",  //
                          "response.output_item.added", "response.content_part.added", "response.output_text.delta",
                          "response.output_text.done", "response.content_part.done", "response.output_item.done",  //
                          "response.output_item.added", "response.function_call_arguments.delta",
                          "response.function_call_arguments.done", "response.output_item.done", "response.completed"));
  EXPECT_EQ(thought, "hm");
  EXPECT_EQ(text, "Let me see.");
  EXPECT_EQ(json::parse(arguments), (json{{"city", "Paris"}}));
  const auto& output = last["response"]["output"];
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(output[0]["content"][0], (json{{"type", "reasoning_text"}, {"text", "hm"}}));
  EXPECT_EQ(output[1]["content"][0]["text"], "Let me see.");
  EXPECT_EQ(output[2]["name"], "weather");
  EXPECT_THAT(output[2]["call_id"].get<std::string>(), StartsWith("call_"));
}

// As an agent sends them that brings tools of OpenAI's servers along.
TEST(Responses, ToolsOfOtherKindsAreLeftOutAndTheAnswerSaysWhichWereTaken) {
  ServerUnderTest server;
  TestClient client(server.port());
  const json tools{{{"type", "web_search"}}, weather_tool(), {{"type", "custom"}, {"name", "apply_patch"}}};
  const auto body = client.post(path, asking("hi", {{"tools", tools}})).json();
  EXPECT_EQ(body["tools"], json::array({weather_tool()}));
  const auto request = seen(server, path, asking("hi", {{"tools", tools}}));
  EXPECT_THAT(prompt_text(*request), testing::Not(HasSubstr("apply_patch")));
}

// It is said three times in a stream, and what we do not read has no bound.
TEST(Responses, OnlyWhatWasReadIsSaidAgain) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::string junk(1000, 'j');
  json tool = weather_tool(), choice{{"type", "function"}, {"name", "weather"}};
  json format{{"type", "json_schema"}, {"name", "a"}, {"schema", {{"type", "object"}}}};
  json asked{{"tools", {tool}}, {"tool_choice", choice}, {"text", {{"format", format}}}, {"stream", true}};
  for (auto* place : {&asked["tools"][0], &asked["tool_choice"], &asked["text"]["format"]}) (*place)["junk"] = junk;
  const auto events = client.post(path, asking("hi", asked));
  EXPECT_THAT(events.body, testing::Not(HasSubstr(junk)));
  const auto said = json::parse(events.events().front())["response"];
  EXPECT_EQ(said["tools"], json::array({tool}));
  EXPECT_EQ(said["tool_choice"], choice);
  EXPECT_EQ(said["text"]["format"], format);
  choice = {{"type", "allowed_tools"}, {"mode", "required"}, {"tools", {choice}}};
  EXPECT_EQ(client.post(path, asking("hi", {{"tools", {tool}}, {"tool_choice", choice}})).json()["tool_choice"],
            choice);
  EXPECT_EQ(client.post(path, asking("hi", {{"tool_choice", "none"}})).json()["tool_choice"], "none");
}

TEST(Responses, AConversationGoesOnByItsIdForTheSameKey) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto first = client.post(path, asking("hi", {{"instructions", "be brief"}})).json();
  const json next{{"previous_response_id", first["id"]}, {"instructions", "be long"}};
  const auto request = seen(server, path, asking("more", next));
  ASSERT_TRUE(request);
  EXPECT_EQ(prompt_text(*request),
            "system: be long\nuser: hi\nassistant: one two three four five\nuser: more\nassistant: ");
  EXPECT_FALSE(seen(server, path, asking("more", next), "Authorization: Bearer another\r\n"));
  const auto forgotten = client.post(path, asking("more", {{"previous_response_id", "resp_0"}}));
  EXPECT_EQ(forgotten.status, 400);
  EXPECT_EQ(forgotten.json()["error"]["code"], "previous_response_not_found");
  const auto loose = client.post(path, asking("hi", {{"store", false}})).json();
  EXPECT_EQ(client.post(path, asking("more", {{"previous_response_id", loose["id"]}})).status, 400);
}

TEST(Responses, WhatIsNotDoneIsRefusedByName) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::vector<BadFields> cases{
      {{{"input", nullptr}}, "input", "text or an array"},
      {{{"input", json::array()}}, "input", "at least one item"},
      {{{"input", {5}}}, "input[0]", "got 5"},
      {{{"input", {{{"type", "item_reference"}, {"id", "x"}}}}}, "input[0].type", "item_reference"},
      {{{"input", {{{"role", "king"}, {"content", "x"}}}}}, "input[0].role", "user, assistant"},
      {{{"input", {{{"role", "user"}, {"content", {{{"type", "input_image"}}}}}}}},
       "input[0].content[0].type",
       "input_image"},
      {{{"tool_choice", "required"}}, "tool_choice", "tools on offer"},
      {{{"tool_choice", {{"type", "web_search"}}}}, "tool_choice", "allowed_tools"},
      {{{"text", {{"format", {{"type", "json_schema"}}}}}}, "text.format", "schema"},
      {{{"background", true}}, "background", "not supported"},
      {{{"conversation", "c"}}, "conversation", "not supported"},
  };
  for (const auto& bad : cases) {
    const auto response = client.post(path, asking("hi", bad.more));
    EXPECT_EQ(response.status, 400) << bad.more;
    EXPECT_EQ(response.json()["error"]["param"], bad.param) << bad.more;
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr(bad.words)) << bad.more;
  }
  const json harmless{{"include", {"reasoning.encrypted_content"}},
                      {"truncation", "auto"},
                      {"metadata", {{"a", "b"}}},
                      {"reasoning", {{"effort", "low"}, {"summary", "auto"}}},
                      {"prompt_cache_key", "k"},
                      {"text", {{"verbosity", "low"}}}};
  EXPECT_EQ(client.post(path, asking("hi", harmless)).status, 200);
}

TEST(Responses, ABrokenStreamEndsWithAFailedResponse) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto last = json::parse(client.post(path, asking("[broken]", {{"stream", true}})).events().back());
  EXPECT_EQ(last["type"], "response.failed");
  EXPECT_EQ(last["response"]["status"], "failed");
  EXPECT_THAT(last["response"]["error"]["message"].get<std::string>(), HasSubstr("a stage was lost"));
}

}  // namespace
}  // namespace flotilla
