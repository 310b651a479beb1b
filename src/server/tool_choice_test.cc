// Which tools an answer may or must call, in every dialect: what reaches the head as a grammar, and that tools and
// schemas keep the order in which the client wrote them. What the grammar allows is text/answer_constraint_test.cc's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// Fields in an order that no parser of ours would choose.
const std::string schema =
    R"({"type": "object", "required": ["z"], "properties": {"z": {"type": "string"}, "a": {"type": "null"}}})";
const std::string written =
    R"({"type":"object","required":["z"],"properties":{"z":{"type":"string"},"a":{"type":"null"}}})";

std::string openai_tool(const std::string& name, const std::string& parameters, const std::string& strict) {
  return std::format(R"({{"type": "function", "function": {{"parameters": {}, "name": "{}"{}}}}})", parameters, name,
                     strict);
}
std::string flat_tool(const std::string& name, const std::string& parameters, const std::string& strict) {
  return std::format(R"({{"type": "function", "name": "{}", "parameters": {}{}}})", name, parameters, strict);
}
std::string anthropic_tool(const std::string& name, const std::string& parameters, const std::string& strict) {
  return std::format(R"({{"name": "{}", "input_schema": {}{}}})", name, parameters, strict);
}

// A dialect's bodies, as text.
using MakeTool = std::string (*)(const std::string&, const std::string&, const std::string&);
struct Case {
  const char* path;
  MakeTool tool;
  std::string before_tools;  // of the list; it is passed over
  std::string must, named, only_one;
  std::string form;  // fields that ask for `schema`
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"/v1/chat/completions", openai_tool, "", R"("tool_choice": "required")",
       R"("tool_choice": {"type": "function", "function": {"name": "sun"}})",
       R"("tool_choice": "required", "parallel_tool_calls": false)",
       R"("response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": )" + schema + "}}"},
      {"/v1/responses", flat_tool, R"({"type": "web_search"}, )", R"("tool_choice": "required")",
       R"("tool_choice": {"type": "function", "name": "sun"})",
       R"("tool_choice": "required", "parallel_tool_calls": false)",
       R"("text": {"format": {"type": "json_schema", "name": "a", "schema": )" + schema + "}}"},
      {"/v1/messages", anthropic_tool, "", R"("tool_choice": {"type": "any"})",
       R"("tool_choice": {"type": "tool", "name": "sun"})",
       R"("tool_choice": {"type": "any", "disable_parallel_tool_use": true})",
       R"("output_config": {"format": {"type": "json_schema", "schema": )" + schema + "}}"},
  };
  return all;
}

std::string body_of(const Case& dialect, const std::string& tools, const std::string& more) {
  const std::string asked = dialect.path == std::string("/v1/responses")
                                ? R"("input": "hi")"
                                : R"("messages": [{"role": "user", "content": "hi"}])";
  return std::format(R"({{"model": "tiny", "max_tokens": 4, "stream": false, {}{}{}}})", asked,
                     tools.empty() ? "" : ", \"tools\": [" + tools + "]", more.empty() ? "" : ", " + more);
}

std::string both_tools(const Case& dialect, bool strict) {
  return dialect.before_tools + dialect.tool("rain", "{}", "") + ", " +
         dialect.tool("sun", schema, strict ? R"(, "strict": true)" : "");
}

// What reaches the backend, and the answer.
struct Outcome {
  std::optional<GenerateRequest> request;
  Response response;
  std::string prompt() const { return request ? scripted_tokenizer()->decode(request->prompt, false) : ""; }
  std::string grammar() const { return request ? request->constraint.text : ""; }
};

Outcome posted(ServerUnderTest& server, const char* path, const std::string& body) {
  Outcome outcome;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest& made) { outcome.request = made; }; });
  TestClient client(server.port());
  client.send(post_request(path, body));
  outcome.response = client.read();
  server.on_loop([&] { server.backend().on_generate = nullptr; });
  return outcome;
}

TEST(ToolChoice, ACallThatMustBeIsAGrammarInEveryDialect) {
  ServerUnderTest server;
  for (const auto& dialect : cases()) {
    SCOPED_TRACE(dialect.path);
    const auto must = posted(server, dialect.path, body_of(dialect, both_tools(dialect, false), dialect.must));
    ASSERT_TRUE(must.request) << must.response.body;
    EXPECT_EQ(must.request->constraint.kind, ConstraintKind::lark);
    EXPECT_EQ(must.request->stop_tokens, std::vector<TokenId>{scripted_end});
    EXPECT_THAT(must.grammar(), HasSubstr("rain"));
    EXPECT_THAT(must.grammar(), HasSubstr("sun"));
    EXPECT_THAT(must.grammar(), HasSubstr("{0,15}"));
    EXPECT_THAT(must.grammar(), HasSubstr("thoughts?")) << "the scripted model thinks";
    const auto named = posted(server, dialect.path, body_of(dialect, both_tools(dialect, false), dialect.named));
    EXPECT_THAT(named.prompt(), HasSubstr("rain")) << "the prompt is that of any other turn";
    EXPECT_THAT(named.grammar(), Not(HasSubstr("rain")));
    EXPECT_THAT(named.grammar(), HasSubstr("sun"));
    EXPECT_THAT(named.grammar(), Not(HasSubstr("{0,15}")));
    const auto one = posted(server, dialect.path, body_of(dialect, both_tools(dialect, false), dialect.only_one));
    EXPECT_THAT(one.grammar(), HasSubstr("rain"));
    EXPECT_THAT(one.grammar(), Not(HasSubstr("{0,15}")));
  }
}

TEST(ToolChoice, ACallThatMayBeIsFreeUnlessItsToolIsStrict) {
  ServerUnderTest server;
  for (const auto& dialect : cases()) {
    SCOPED_TRACE(dialect.path);
    const auto loose = posted(server, dialect.path, body_of(dialect, both_tools(dialect, false), ""));
    ASSERT_TRUE(loose.request) << loose.response.body;
    EXPECT_FALSE(loose.request->constraint.any());
    const auto strict = posted(server, dialect.path, body_of(dialect, both_tools(dialect, true), ""));
    ASSERT_TRUE(strict.request) << strict.response.body;
    EXPECT_THAT(strict.grammar(), HasSubstr("talk"));
    EXPECT_THAT(strict.grammar(), HasSubstr(written.substr(0, written.size() - 1)));
    EXPECT_THAT(strict.grammar(), HasSubstr(R"("lenient":false)"));
  }
}

TEST(ToolChoice, ToolsAndSchemasKeepTheOrderInWhichTheyWereWritten) {
  ServerUnderTest server;
  for (const auto& dialect : cases()) {
    SCOPED_TRACE(dialect.path);
    const auto made = posted(server, dialect.path, body_of(dialect, both_tools(dialect, false), dialect.must));
    EXPECT_THAT(made.prompt(), HasSubstr(written));
    EXPECT_THAT(made.grammar(), HasSubstr(written.substr(0, written.size() - 1)));
    const auto form = posted(server, dialect.path, body_of(dialect, "", dialect.form));
    ASSERT_TRUE(form.request) << form.response.body;
    EXPECT_THAT(form.grammar(), HasSubstr(written.substr(0, written.size() - 1)));
  }
  const std::string ollama_chat =
                        R"({"model": "tiny", "stream": false, "messages": [{"role": "user", "content": "hi"}], )",
                    ollama_prompt = R"({"model": "tiny", "stream": false, "think": false, "prompt": "hi", )";
  const auto tools = posted(server, "/api/chat", ollama_chat + "\"tools\": [" + openai_tool("sun", schema, "") + "]}");
  EXPECT_THAT(tools.prompt(), HasSubstr(written));
  const auto chat = posted(server, "/api/chat", ollama_chat + "\"think\": false, \"format\": " + schema + "}");
  ASSERT_TRUE(chat.request) << chat.response.body;
  EXPECT_EQ(chat.request->constraint, (ConstraintSource{ConstraintKind::json_schema, written}));
  const auto generated = posted(server, "/api/generate", ollama_prompt + "\"format\": " + schema + "}");
  ASSERT_TRUE(generated.request) << generated.response.body;
  EXPECT_EQ(generated.request->constraint, (ConstraintSource{ConstraintKind::json_schema, written}));
  const auto any = posted(server, "/api/generate", ollama_prompt + R"("format": "json"})");
  ASSERT_TRUE(any.request) << any.response.body;
  EXPECT_EQ(any.request->constraint.kind, ConstraintKind::json_object);
}

// A reader of ordered fields may take as long as the square of how many come: those that a parser folds into one are
// not let through.
TEST(ToolChoice, ASchemaWithANameTwiceIsTakenAsItWasParsed) {
  ServerUnderTest server;
  const auto& chat = cases().front();
  const std::string twice = R"({"type": "object", "b": 1, "a": 1, "b": 2})";
  const auto made = posted(server, chat.path, body_of(chat, chat.tool("sun", twice, ""), ""));
  EXPECT_THAT(made.prompt(), HasSubstr(R"("parameters":{"a":1,"b":2,"type":"object"})"));
}

TEST(ToolChoice, AToolWithoutParametersTakesNone) {
  ServerUnderTest server;
  for (const auto& dialect : cases()) {
    SCOPED_TRACE(dialect.path);
    const auto made = posted(server, dialect.path, body_of(dialect, dialect.tool("sun", "null", ""), dialect.must));
    ASSERT_TRUE(made.request) << made.response.body;
    EXPECT_THAT(made.grammar(), HasSubstr(R"("additionalProperties":false)"));
    EXPECT_THAT(made.prompt(), HasSubstr(R"("parameters":{"type":"object","properties":{}})"));
  }
}

TEST(ToolChoice, AllowedToolsAreThoseThatMayBeCalled) {
  ServerUnderTest server;
  const auto& chat = cases()[0];
  const auto& responses = cases()[1];
  const std::string allowed =
      R"("tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "sun"}]})";
  EXPECT_THAT(posted(server, responses.path, body_of(responses, both_tools(responses, false), allowed)).grammar(),
              Not(HasSubstr("rain")));
  const std::string inside =
      R"("tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "sun"}}]}})";
  const auto made = posted(server, chat.path, body_of(chat, both_tools(chat, false), inside));
  EXPECT_FALSE(made.request->constraint.any());
  EXPECT_THAT(made.prompt(), Not(HasSubstr("rain")));
  EXPECT_THAT(made.prompt(), HasSubstr("sun"));
}

TEST(ToolChoice, AFormAndToolsAreACallOrTheForm) {
  ServerUnderTest server;
  const auto& chat = cases().front();
  const auto made = posted(server, chat.path, body_of(chat, both_tools(chat, false), chat.form));
  EXPECT_THAT(made.grammar(), HasSubstr("| value"));
  EXPECT_THAT(made.grammar(), HasSubstr("rain"));
  const auto must = posted(server, chat.path, body_of(chat, both_tools(chat, false), chat.form + ", " + chat.must));
  EXPECT_THAT(must.grammar(), Not(HasSubstr("value")));
}

// What a pattern matches is the whole answer, whatever it looks like.
TEST(ToolChoice, APatternIsTheWholeAnswer) {
  ServerUnderTest server;
  TestClient client(server.port());
  const json more{{"regex", ".*"}, {"chat_template_kwargs", {{"enable_thinking", true}}}};
  const auto message =
      client.post("/v1/chat/completions", chat("[say]<think>a</think>b", more)).json()["choices"][0]["message"];
  EXPECT_EQ(message["content"], "<think>a</think>b");
}

TEST(ToolChoice, WhatCannotBeCalledIsRefusedByName) {
  ServerUnderTest server;
  const auto& chat = cases().front();
  const auto both = both_tools(chat, false);
  const std::string unkept =
      chat.tool("sun", R"({"type": "object", "not": {"required": ["a"]}})", R"(, "strict": true)");
  for (const auto& [tools, more, param, words] :
       std::vector<std::tuple<std::string, std::string, std::string, std::string>>{
           {"", chat.must, "tool_choice", "tools on offer"},
           {both, R"("tool_choice": {"type": "function", "function": {"name": "snow"}})", "tool_choice", "snow"},
           {both, R"("tool_choice": {"type": "web_search"})", "tool_choice", "allowed_tools"},
           {both, R"("tool_choice": "always")", "tool_choice", "required"},
           {both, R"("tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []})", "tool_choice", "mode"},
           {both, chat.must + R"(, "regex": "a")", "tool_choice", "regex"},
           {both, chat.must + R"(, "ignore_eos": true)", "ignore_eos", "complete"},
           {unkept, "", "tools", "schemas"}}) {
    const auto made = posted(server, chat.path, body_of(chat, tools, more));
    EXPECT_EQ(made.response.status, 400) << more;
    EXPECT_EQ(made.response.json()["error"]["param"], param) << made.response.body;
    EXPECT_THAT(made.response.json()["error"]["message"].get<std::string>(), HasSubstr(words));
  }
}

}  // namespace
}  // namespace flotilla
