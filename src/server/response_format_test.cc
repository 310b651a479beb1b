// What clients may say an answer is to keep to, and how what cannot be kept to is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr auto chat_path = "/v1/chat/completions";

json schema_format(json schema) {
  return {{"response_format",
           {{"type", "json_schema"},
            {"json_schema", {{"name", "answer"}, {"strict", true}, {"schema", std::move(schema)}}}}}};
}

TEST(ResponseFormat, ReachesTheRequestWithTheEndsOfTheModel) {
  ServerUnderTest server;
  const std::vector<std::pair<json, ConstraintSource>> cases{
      {json::object(), {}},
      {{{"response_format", {{"type", "text"}}}}, {}},
      {{{"response_format", {{"type", "json_object"}}}}, {ConstraintKind::json_object, ""}},
      {schema_format({{"type", "integer"}}), {ConstraintKind::json_schema, R"({"type":"integer"})"}},
      {{{"regex", "[a-z]+"}}, {ConstraintKind::regex, "[a-z]+"}},
      {{{"regex", ""}, {"grammar", "start: \"x\""}}, {ConstraintKind::lark, "start: \"x\""}}};
  for (const auto& [more, expected] : cases) {
    auto body = chat("hi", more);
    body["chat_template_kwargs"] = {{"enable_thinking", false}};  // thoughts would come before the form
    const auto request = seen(server, chat_path, body);
    ASSERT_TRUE(request) << more;
    EXPECT_EQ(request->constraint, expected);
    EXPECT_EQ(request->stop_tokens, std::vector<TokenId>{scripted_end});
  }
  const auto completion = seen(server, "/v1/completions", {{"model", "tiny"}, {"prompt", "hi"}, {"regex", "a"}});
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->constraint.text, "a");
}

TEST(ResponseFormat, ASchemaKeepsTheOrderInWhichItWasWritten) {
  ServerUnderTest server;
  std::optional<GenerateRequest> request;
  server.backend().on_generate = [&](const GenerateRequest& made) { request = made; };
  const std::string schema = R"({"type":"object","properties":{"why":{"type":"string"},"answer":{"type":"string"}}})";
  const std::string body =
      R"({"model": "tiny", "chat_template_kwargs": {"enable_thinking": false}, )"
      R"("response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": )" +
      schema + R"(}}, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4})";
  TestClient client(server.port());
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body);
  ASSERT_EQ(client.read().status, 200);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->constraint.text, schema);
}

TEST(ResponseFormat, WhatCannotBeKeptToIsRefusedWithTheReason) {
  ServerUnderTest server;
  TestClient client(server.port());
  json crowded = json::object();
  for (int i = 0; i < 5000; ++i) crowded["p" + std::to_string(i)] = true;
  const std::vector<std::tuple<json, std::string, std::string>> cases{
      {{{"response_format", "text"}}, "response_format", "an object"},
      {{{"response_format", json::object()}}, "response_format", "a string \"type\""},
      {{{"response_format", {{"type", "yaml"}}}}, "response_format", "text, json_object"},
      {{{"response_format", {{"type", "json_schema"}}}}, "response_format", "json_schema"},
      {{{"response_format", {{"type", "json_schema"}, {"json_schema", {{"schema", json::object()}}}}}},
       "response_format",
       "name"},
      {{{"response_format", {{"type", "json_schema"}, {"json_schema", {{"name", "a"}}}}}}, "response_format", "schema"},
      {{{"response_format", {{"type", "json_schema"}, {"json_schema", {{"name", "a"}, {"schema", 5}}}}}},
       "response_format.json_schema.schema",
       "an object"},
      {{{"response_format", {{"type", "json_object"}, {"schema", json::object()}}}}, "response_format", "json_schema"},
      {schema_format({{"type", "string"}, {"pattern", "(?<=a)b"}}), "response_format", "JSON schema"},
      {schema_format({{"$ref", "https://example.com/x"}}), "response_format", "JSON schema"},
      {schema_format({{"properties", crowded}}), "response_format", "4096"},
      {schema_format({{"description", std::string(limits::constraint_bytes_max, 'x')}}), "response_format", "bytes"},
      {{{"regex", "a("}}, "regex", "regular expression"},
      {{{"regex", 5}}, "regex", "a string"},
      {{{"grammar", "root ::= x"}}, "grammar", "Lark"},
      {{{"regex", "a"}, {"grammar", "start: \"a\""}}, "grammar", "without regex"},
      {{{"regex", "a"}, {"response_format", {{"type", "json_object"}}}}, "regex", "without response_format"},
      {{{"regex", "a"}, {"ignore_eos", true}}, "ignore_eos", "regex"}};
  for (const auto& [more, param, words] : cases) {
    const auto response = client.post(chat_path, chat("hi", more));
    EXPECT_EQ(response.status, 400) << param << words;
    EXPECT_EQ(response.json()["error"]["param"], param) << response.body;
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr(words));
  }
}

}  // namespace
}  // namespace flotilla
