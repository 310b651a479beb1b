// Claims about answers that must think, call or say in a given way: texts that models write are within the grammar,
// others leave it where they go wrong.
#include "text/answer_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "text/constraint.h"
#include "text/test_vocabulary.h"

namespace flotilla {
namespace {

using Instead = AnswerRules::Instead;
using Thoughts = AnswerRules::Thoughts;

constexpr AnswerFormat hermes{.calls = CallFormat::hermes};

// Marks are text for it.
std::shared_ptr<const Tokenizer> plain_tokenizer() {
  VocabularyData data = small_bpe("gpt-2", {"t r"}, {"<|end|>"});
  data.special["eos"] = static_cast<TokenId>(data.tokens.size()) - 1;
  return Tokenizer::create(std::move(data)).value();
}

// Marks are control tokens of it.
std::shared_ptr<const Tokenizer> marking_tokenizer() {
  VocabularyData data = small_bpe(
      "gpt-2", {"t r"}, {"<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|end|>"});
  data.special["eos"] = static_cast<TokenId>(data.tokens.size()) - 1;
  return Tokenizer::create(std::move(data)).value();
}

std::vector<ToolSignature> tools() {
  return {{"weather",
           R"({"type":"object","properties":{"place":{"$ref":"#/$defs/place"}, "days": {"type": "integer"}},)"
           R"("required":["place"],"additionalProperties":false,"$defs":{"place":{"enum":["Rome","Oslo"]}}})",
           true},
          {"stop \"now\"", ""}};
}

struct Rules {
  Rules(AnswerRules what, AnswerFormat how = hermes, std::shared_ptr<const Tokenizer> whose = plain_tokenizer())
      : rules(std::move(what)), format(how), tokenizer(std::move(whose)) {}
  AnswerRules rules;
  AnswerFormat format;
  std::shared_ptr<const Tokenizer> tokenizer;
};

// How much of the text may be written, and whether the answer may end there.
struct Read {
  std::string text;
  bool may_end = false;
  bool operator==(const Read&) const = default;
};
void PrintTo(const Read& read, std::ostream* out) { *out << read.text << (read.may_end ? " [end]" : " [no end]"); }

Read read(const Rules& given, const std::string& text) {
  const auto source = answer_constraint(given.rules, given.format, *given.tokenizer);
  const auto checked = check_constraint(source, *given.tokenizer);
  EXPECT_TRUE(checked) << checked.error().message << "\n" << source.text;
  const auto vocabulary = ConstraintVocabulary::of(*given.tokenizer);
  auto constraint = Constraint::compile(**vocabulary, source);
  if (!constraint) return {constraint.error().message};
  auto tokens = given.tokenizer->encode(text, false, true);
  tokens.resize(constraint->allowed(tokens));
  EXPECT_TRUE(constraint->follow(tokens));
  const auto mask = constraint->mask();
  return {given.tokenizer->decode(tokens, true), mask && mask->contains(given.tokenizer->eos())};
}

void expect_whole(const Rules& rules, const std::string& text) { EXPECT_EQ(read(rules, text), (Read{text, true})); }
void expect_up_to(const Rules& rules, const std::string& good, const std::string& bad) {
  EXPECT_EQ(read(rules, good + bad), (Read{good, false}));
}

const std::string oslo =
    "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"Oslo\", \"days\": 3}}\n</tool_call>";
const std::string stop = "<tool_call>\n{\"name\": \"stop \\\"now\\\"\", \"arguments\": {}}\n</tool_call>";

TEST(AnswerConstraint, OneCallOrMoreAndNothingElse) {
  const Rules one{{.tools = tools()}}, two{{.tools = tools(), .calls_max = 2}};
  expect_whole(one, oslo);
  expect_whole(one, stop);
  expect_up_to(one, "", "I cannot");
  expect_up_to(one, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"", "Bonn");
  EXPECT_EQ(read(one, oslo + "\n" + stop).text, oslo);
  expect_whole(two, oslo);
  expect_whole(two, oslo + "\n" + stop);
  EXPECT_EQ(read(two, oslo + "\n" + oslo + "\n" + stop).text, oslo + "\n" + oslo);
}

TEST(AnswerConstraint, MarksThatAreControlTokensAreNoText) {
  const Rules rules{{.tools = tools(), .thoughts = Thoughts::may_come}, hermes, marking_tokenizer()};
  expect_whole(rules, "<think>\nhm\n</think>\n\n" + oslo);
  expect_whole(rules, oslo);
  expect_up_to(rules, "<think>", "<tool_call>");
}

TEST(AnswerConstraint, ThoughtsComeFirstWhereTheModelThinks) {
  const Rules may{{.tools = tools(), .thoughts = Thoughts::may_come}};
  expect_whole(may, "<think>\nwhat? </thin </think>\n\n" + oslo);
  expect_whole(may, oslo);
  const Rules begun{{.tools = tools(), .thoughts = Thoughts::begun}};
  expect_whole(begun, "hm\n</think>" + oslo);
  expect_up_to(begun, "hm\n</think>\n\n", "No");
  EXPECT_FALSE(read(begun, oslo).may_end) << "it is a thought still";
}

TEST(AnswerConstraint, EveryFamilyWritesItsOwnWay) {
  const Rules llama{{.tools = tools()}, {.calls = CallFormat::llama}};
  expect_whole(llama, R"({"name": "weather", "parameters": {"place": "Rome"}})");
  const Rules list{{.tools = tools(), .calls_max = 3}, {.calls = CallFormat::mistral}, marking_tokenizer()};
  expect_whole(list, R"([TOOL_CALLS][{"name": "weather", "arguments": {"place": "Rome"}}])");
  expect_whole(
      list,
      R"([TOOL_CALLS][{"name": "stop \"now\"", "arguments": {}}, {"name": "weather", "arguments": {"place": "Oslo"}}])");
  const Rules named{{.tools = {{"f", ""}}, .calls_max = 3},
                    {.calls = CallFormat::mistral, .name_before_arguments = true},
                    marking_tokenizer()};
  expect_whole(named, "[TOOL_CALLS]f[ARGS]{}");
  expect_whole(named, "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]f[ARGS]{}");
  expect_up_to(named, "", "f");
}

TEST(AnswerConstraint, TextMayHaveCallsInItThatKeepToTheirSchemas) {
  for (const auto& tokenizer : {plain_tokenizer(), marking_tokenizer()}) {
    const Rules rules{{.tools = tools(), .instead = Instead::text, .thoughts = Thoughts::may_come}, hermes, tokenizer};
    expect_whole(rules, "");
    expect_whole(rules, "It is <b> {\"name\": 1} and so on.\n");
    expect_whole(rules, "Let me see.\n" + oslo + "\n" + stop + "\nThere.");
    expect_whole(rules, "<think>hm</think>\n\nLet me see. " + oslo);
    expect_up_to(rules, "So: <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"place\": \"", "Bonn");
    expect_up_to(rules, "So: <tool_call>\n{\"name\": \"", "rain");
  }
  const Rules llama{{.tools = tools(), .instead = Instead::text}, {.calls = CallFormat::llama}};
  expect_whole(llama, "No {\"name\": 1}.");
  expect_whole(llama, R"({"name": "weather", "parameters": {"place": "Rome"}})");
  expect_up_to(llama, "{\"name\": \"", "other");
}

TEST(AnswerConstraint, AnAnswerInAFormMayBeThoughtOverAndCallsComeBeforeIt) {
  const std::string schema =
      R"({"type":"object","properties":{"z":{"type":"integer"},"a":{"type":"null"}},"required":["z","a"],"additionalProperties":false})";
  const Rules rules{{.tools = tools(), .instead = Instead::json, .schema = schema, .thoughts = Thoughts::may_come}};
  expect_whole(rules, R"({"z": 1, "a": null})");
  expect_whole(rules, "<think>hm</think>\n" + oslo);
  expect_whole(rules, "<think>hm</think>\n{\"z\": 1, \"a\": null}");
  expect_up_to(rules, "{\"", "a");
  const Rules alone{{.instead = Instead::json, .schema = schema, .thoughts = Thoughts::begun}};
  expect_whole(alone, "hm</think>\n\n{\"z\":1,\"a\":null}");
}

// Which is none of them: neither may the schema's own options bring it back.
TEST(AnswerConstraint, WhiteSpaceIsBoundedInsideCalls) {
  const Rules rules{
      {.tools = {{"f", R"({"properties":{"a":{"type":"null"}},"x-guidance":{"whitespace_flexible":true}})"}}}};
  expect_up_to(rules, "<tool_call>\n{\"name\": \"f\", \"arguments\": { ", "  \"a\"");
}

TEST(AnswerConstraint, WhatCannotBeKeptToIsPassedOverUnlessTheToolIsStrict) {
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"array","uniqueItems":true}},"not":{"required":["b"]}})";
  const Rules loose{{.tools = {{"f", schema}}}};
  expect_whole(loose, "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1]}}\n</tool_call>");
  const auto strict = answer_constraint({.tools = {{"f", schema, true}}}, hermes, *plain_tokenizer());
  EXPECT_FALSE(check_constraint(strict, *plain_tokenizer()));
}

TEST(AnswerConstraint, ARealVocabularyWritesACall) {
  const auto tokenizer = test_tokenizer(smollm2_file);
  ASSERT_TRUE(tokenizer);
  expect_whole({{.tools = tools(), .calls_max = 2, .thoughts = Thoughts::may_come}, hermes, tokenizer},
               "<think>hm</think>\n" + oslo + "\n" + stop);
}

}  // namespace
}  // namespace flotilla
