#include "text/answer_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace flotilla {
namespace {

using Kind = AnswerPart::Kind;
using testing::ElementsAre;

AnswerPart said(std::string text) { return {.kind = Kind::content, .text = std::move(text)}; }
AnswerPart thought(std::string text) { return {.kind = Kind::reasoning, .text = std::move(text)}; }
AnswerPart call(std::string name, std::string arguments) {
  return {.kind = Kind::call, .text = std::move(arguments), .name = std::move(name)};
}

// However the tokens cut the text, the parts are the same: read in pieces of every length up to nine bytes and whole.
AnswerParts read(const AnswerReading& reading, const std::string& text) {
  std::vector<AnswerParts> all;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{9}, text.size() + 1}) {
    AnswerParser parser(reading);
    AnswerParts parts;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      for (auto& part : parser.add(text.substr(at, piece))) append(parts, std::move(part));
    }
    for (auto& part : parser.finish()) append(parts, std::move(part));
    all.push_back(std::move(parts));
  }
  for (const auto& parts : all) EXPECT_EQ(parts, all.front()) << text;
  return all.front();
}

const AnswerReading hermes{.calls = CallFormat::hermes};
const AnswerReading llama{.calls = CallFormat::llama, .tools = {"weather", "add"}};
const AnswerReading mistral{.calls = CallFormat::mistral};
const AnswerReading thinking{.thinks = true};

TEST(AnswerFormat, IsToldFromTheTemplatesText) {
  EXPECT_EQ(answer_format_of("{{ messages }}"), AnswerFormat{});
  EXPECT_EQ(answer_format_of("<tool_call> … </think>"), (AnswerFormat{.calls = CallFormat::hermes, .thinks = true}));
  EXPECT_EQ(answer_format_of("<tool_call>\\n<function=f>"), AnswerFormat{});  // another language within the same marks
  EXPECT_EQ(answer_format_of("\"parameters\": dictionary of argument name and its value").calls, CallFormat::llama);
  EXPECT_EQ(answer_format_of("'<|python_tag|>' ~").calls, CallFormat::llama);
  EXPECT_EQ(answer_format_of("[AVAILABLE_TOOLS] [TOOL_CALLS]").calls, CallFormat::mistral);
}

TEST(AnswerParser, WithoutMarksToFindTextPassesAsItComes) {
  AnswerParser parser{AnswerReading{}};
  EXPECT_THAT(parser.add("  <tool_call>"), ElementsAre(said("  <tool_call>")));
  EXPECT_THAT(parser.finish(), ElementsAre());
}

TEST(AnswerParser, HermesCallsAreTakenOutOfTheText) {
  EXPECT_THAT(read(hermes,
                   "Let me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\"}}\n"
                   "</tool_call>\n<tool_call>{\"name\":\"now\"}</tool_call>\n"),
              ElementsAre(said("Let me look."), call("weather", R"({"city":"Köln"})"), call("now", "{}")));
  // Arguments written as text; marks and brackets within strings.
  EXPECT_THAT(read(hermes, R"(<tool_call>{"name": "f", "arguments": "{\"a\": \"} </tool_call> {\"}"}</tool_call>bye)"),
              ElementsAre(call("f", R"({"a":"} </tool_call> {"})"), said("bye")));
  EXPECT_THAT(read(hermes, R"(<tool_call>{"name": "f", "arguments": {"z": 1, "a": 2}})"),  // broken off before the mark
              ElementsAre(call("f", R"({"z":1,"a":2})")));
}

TEST(AnswerParser, WhatIsNoCallIsGivenBackWhole) {
  for (const std::string text : {
           "a <tool_call> b",
           "  <tool_call>\n{\"name\": 5}\n</tool_call>",
           "<tool_call>{\"name\": \"f\", \"arguments\": [1]}</tool_call> x",
           "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": tru",
           "<tool_call>{\"name\" \"f\"}</tool_call>",
           "<tool_call>",
           "<tool_cal",
           "say <tool",
           "trailing space \n",
           " \n ",
           "",
       })
    EXPECT_EQ(read(hermes, text), text.empty() ? AnswerParts{} : AnswerParts{said(text)}) << text;
  const auto deep = "<tool_call>" + std::string(100, '[') + "x";
  EXPECT_EQ(read(hermes, deep), AnswerParts{said(deep)});
  EXPECT_THAT(read(hermes, "<tool_call>no<tool_call>{\"name\":\"f\"}</tool_call>"),
              ElementsAre(said("<tool_call>no"), call("f", "{}")));
}

TEST(AnswerParser, TextIsHeldNoLongerThanItMayBeAMark) {
  AnswerParser parser(hermes);
  EXPECT_THAT(parser.add("one <"), ElementsAre(said("one")));
  EXPECT_THAT(parser.add("two "), ElementsAre(said(" <two")));
  EXPECT_THAT(parser.add("<tool_call"), ElementsAre());
  EXPECT_THAT(parser.add("> {\"name\": \"f\""), ElementsAre());
  EXPECT_THAT(parser.add("}"), ElementsAre(call("f", "{}")));
}

TEST(AnswerParser, LlamaCallsAreTheWholeAnswer) {
  EXPECT_THAT(read(llama, " {\"name\": \"weather\", \"parameters\": {\"city\": \"Paris\"}}"),
              ElementsAre(call("weather", R"({"city":"Paris"})")));
  EXPECT_THAT(read(llama,
                   "<|python_tag|>{\"type\": \"function\", \"name\": \"add\", \"parameters\": {}}; {\"name\": "
                   "\"weather\", \"parameters\": {\"city\": 1}}"),
              ElementsAre(call("add", "{}"), call("weather", R"({"city":1})")));
  for (const std::string text : {
           R"({"name": "Ann", "parameters": {}} is JSON)",  // of no tool: the answer is JSON
           R"({"answer": 42})",
           R"(So: {"name": "add", "parameters": {}})",
           R"(<|python_tag|>weather.call(city="Paris"))",
       })
    EXPECT_EQ(read(llama, text), AnswerParts{said(text)}) << text;
}

TEST(AnswerParser, MistralCallsComeAsAListOrByName) {
  EXPECT_THAT(read(mistral, R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}])"),
              ElementsAre(call("f", R"({"a":1})"), call("g", "{}")));
  EXPECT_THAT(read(mistral, R"(Well.[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[CALL_ID]abc123def[ARGS]{})"),
              ElementsAre(said("Well."), call("f", R"({"a":1})"), call("g", "{}")));
  EXPECT_THAT(read(mistral, R"([TOOL_CALLS]f{"a": {"b": []}})"), ElementsAre(call("f", R"({"a":{"b":[]}})")));
  for (const std::string text : {"[TOOL_CALLS] [1, 2]", "[TOOL_CALLS] not a name {}", "[TOOL_CALLS] []", "[TOOL"})
    EXPECT_EQ(read(mistral, text), AnswerParts{said(text)}) << text;
}

TEST(AnswerParser, ThoughtsEndWhereTheySayAndBeginOnlyAtTheStart) {
  EXPECT_THAT(read(thinking, "<think>\nhm, 2 < 3\n</think>\n\nYes."), ElementsAre(thought("hm, 2 < 3"), said("Yes.")));
  EXPECT_THAT(read(thinking, "\n<think>\n\n</think>\n\nYes."), ElementsAre(said("Yes.")));
  EXPECT_THAT(read(thinking, "The <think> tag </think>"), ElementsAre(said("The <think> tag </think>")));
  EXPECT_THAT(read(thinking, "<think>broken off </thi"), ElementsAre(thought("broken off </thi")));
  auto begun = thinking;
  begun.begun_thinking = true;
  EXPECT_THAT(read(begun, "I was told.\n</think>Yes."), ElementsAre(thought("I was told."), said("Yes.")));
}

TEST(AnswerParser, CallsComeAfterThoughtsAndNotWithinThem) {
  auto both = hermes;
  both.thinks = true;
  EXPECT_THAT(read(both, "<think>I could <tool_call> now</think>\n<tool_call>{\"name\":\"f\"}</tool_call>"),
              ElementsAre(thought("I could <tool_call> now"), call("f", "{}")));
}

}  // namespace
}  // namespace flotilla
