// Claims about constraints: with a vocabulary of bytes, where every step can be told by hand, and with a real one.
#include "text/constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

#include "base/limits.h"
#include "text/test_vocabulary.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const Tokenizer> byte_tokenizer() {
  VocabularyData data = small_bpe("gpt-2", {"t r", "u e", "tr ue"}, {"<|end|>", "<|tool|>"});
  data.special["eos"] = static_cast<TokenId>(data.tokens.size()) - 2;
  return Tokenizer::create(std::move(data)).value();
}

Constraint compiled(const Tokenizer& tokenizer, ConstraintKind kind, std::string text) {
  const auto vocabulary = ConstraintVocabulary::of(tokenizer);
  EXPECT_TRUE(vocabulary) << vocabulary.error().message;
  auto made = Constraint::compile(**vocabulary, {kind, std::move(text)});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(made).value();
}

// Texts of the tokens that may come next; "END" for those that end the answer.
std::vector<std::string> next_of(Constraint& constraint, const Tokenizer& tokenizer) {
  const auto mask = constraint.mask();
  EXPECT_TRUE(mask) << mask.error().message;
  std::vector<std::string> texts;
  for (TokenId token = 0; std::cmp_less(token, tokenizer.size()); ++token)
    if (mask && mask->contains(token))
      texts.push_back(std::ranges::contains(tokenizer.end_of_generation(), token) ? "END"
                                                                                  : tokenizer.piece(token, true));
  std::ranges::sort(texts);
  return texts;
}

// The answer that draws evenly among what is allowed, and whether it ended by itself.
std::pair<std::string, bool> random_answer(Constraint& constraint, const Tokenizer& tokenizer, unsigned seed,
                                           std::size_t tokens_max) {
  std::mt19937 random(seed);
  std::vector<TokenId> answer;
  while (answer.size() < tokens_max) {
    EXPECT_TRUE(constraint.follow(answer));
    const auto mask = constraint.mask();
    if (!mask) return {mask.error().message, false};
    std::vector<TokenId> allowed;
    for (TokenId token = 0; std::cmp_less(token, tokenizer.size()); ++token)
      if (mask->contains(token)) allowed.push_back(token);
    const TokenId chosen = allowed.at(random() % allowed.size());
    if (std::ranges::contains(tokenizer.end_of_generation(), chosen)) return {tokenizer.decode(answer, true), true};
    answer.push_back(chosen);
  }
  return {tokenizer.decode(answer, true), false};
}

TEST(Constraint, ARegexAllowsWhatMayFollowAndAtItsEndOnlyTheEnd) {
  const auto tokenizer = byte_tokenizer();
  auto constraint = compiled(*tokenizer, ConstraintKind::regex, "true!|two?");
  EXPECT_THAT(next_of(constraint, *tokenizer), ElementsAre("t", "tr", "true"));
  ASSERT_TRUE(constraint.follow(tokenizer->encode("tw", false, false)));
  EXPECT_THAT(next_of(constraint, *tokenizer), ElementsAre("END", "o"));
  ASSERT_TRUE(constraint.follow(tokenizer->encode("true!", false, false)));
  EXPECT_THAT(next_of(constraint, *tokenizer), ElementsAre("END"));
}

TEST(Constraint, GoesToAnyPlaceOfAnyAnswer) {
  const auto tokenizer = byte_tokenizer();
  const std::string schema = R"({"type":"array","items":{"enum":["a","b"]},"minItems":1,"maxItems":3})";
  auto moving = compiled(*tokenizer, ConstraintKind::json_schema, schema);
  for (const std::string text : {R"(["a","b"])", R"(["b)", "", R"(["a","a","a"])", R"(["a", "b)", R"([)"}) {
    SCOPED_TRACE(text);
    auto fresh = compiled(*tokenizer, ConstraintKind::json_schema, schema);
    const auto answer = tokenizer->encode(text, false, false);
    ASSERT_TRUE(moving.follow(answer));
    ASSERT_TRUE(fresh.follow(answer));
    auto copied = moving.copy();
    ASSERT_TRUE(copied);
    const auto expected = next_of(fresh, *tokenizer);
    EXPECT_EQ(next_of(moving, *tokenizer), expected);
    EXPECT_EQ(next_of(*copied, *tokenizer), expected);
  }
}

TEST(Constraint, CountsHowManyTokensMayFollow) {
  const auto tokenizer = byte_tokenizer();
  auto constraint = compiled(*tokenizer, ConstraintKind::regex, "(true|false)+");
  ASSERT_TRUE(constraint.follow(tokenizer->encode("true", false, false)));
  EXPECT_EQ(constraint.allowed(tokenizer->encode("truefalse", false, false)), 6u);
  EXPECT_EQ(constraint.allowed(tokenizer->encode("truely", false, false)), 1u);
  EXPECT_EQ(constraint.allowed(tokenizer->encode("no", false, false)), 0u);
}

TEST(Constraint, AnAnswerThatDoesNotKeepToItIsRefused) {
  const auto tokenizer = byte_tokenizer();
  auto constraint = compiled(*tokenizer, ConstraintKind::regex, "true");
  const auto status = constraint.follow(tokenizer->encode("try", false, false));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::unsupported);
  EXPECT_FALSE(constraint.mask()) << "a spent one allows nothing";
}

TEST(Constraint, ATextNoTokenCanSpellFailsInsteadOfAllowingEverything) {
  VocabularyData data = small_bpe("gpt-2", {"q q"}, {"<|end|>"});
  data.special["eos"] = static_cast<TokenId>(data.tokens.size()) - 1;
  const auto z = std::ranges::find(data.tokens, "z") - data.tokens.begin();
  data.tokens[static_cast<std::size_t>(z)] = "zz";
  const auto tokenizer = Tokenizer::create(std::move(data)).value();
  auto constraint = compiled(*tokenizer, ConstraintKind::regex, "az|a[z]b");
  ASSERT_TRUE(constraint.follow(tokenizer->encode("a", false, false)));
  const auto mask = constraint.mask();
  ASSERT_FALSE(mask);
  EXPECT_THAT(mask.error().message, HasSubstr("cannot go on"));
}

TEST(Constraint, WhatDoesNotCompileSaysWhy) {
  const auto tokenizer = byte_tokenizer();
  const std::string deep = std::string(5000, '(');
  for (const auto& [kind, text, reason] : std::vector<std::tuple<ConstraintKind, std::string, std::string>>{
           {ConstraintKind::json_schema, "{", "EOF"},
           {ConstraintKind::json_schema, "[1]", "object"},
           {ConstraintKind::json_schema, R"({"type":"string","minLength":5,"maxLength":4})", ""},
           {ConstraintKind::json_schema, R"({"$ref":"https://example.com/a.json"})", ""},
           {ConstraintKind::json_schema, R"({"allOf":[{"type":"string"},{"type":"number"}]})", ""},
           {ConstraintKind::regex, "a(", "regular expression"},
           {ConstraintKind::regex, "(?<=a)b", "regular expression"},
           {ConstraintKind::lark, "start: missing", "missing"},
           {ConstraintKind::lark, "start: " + deep, "deep"},
           {ConstraintKind::json_schema, std::string(limits::constraint_bytes_max + 1, ' '), "bytes"}}) {
    SCOPED_TRACE(text.substr(0, 80));
    const auto begun = std::chrono::steady_clock::now();
    const auto status = check_constraint({kind, text}, *tokenizer);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::invalid_argument);
    EXPECT_THAT(status.error().message, HasSubstr(reason));
    EXPECT_LT(status.error().message.size(), 700u);
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30)) << "a busy machine included";
  }
  EXPECT_TRUE(check_constraint({ConstraintKind::lark, "start: <|tool|> \"x\""}, *tokenizer))
      << "control tokens by name";
  EXPECT_FALSE(check_constraint({ConstraintKind::lark, "start: <|other|> \"x\""}, *tokenizer));
}

TEST(Constraint, ControlTokensAreNoText) {
  const auto tokenizer = byte_tokenizer();
  auto constraint = compiled(*tokenizer, ConstraintKind::regex, R"(<\|tool\|>|[a-c<])");
  EXPECT_THAT(next_of(constraint, *tokenizer), ElementsAre("<", "a", "b", "c"));
}

TEST(Constraint, RandomAnswersOfARealVocabularyAreWhatWasAskedFor) {
  const auto tokenizer = test_tokenizer(smollm2_file);
  ASSERT_TRUE(tokenizer);
  auto constraint = compiled(*tokenizer, ConstraintKind::regex, "[a-f]{2,12}(-[0-9]{1,3}){3}");
  for (unsigned seed = 1; seed <= 40; ++seed) {
    const auto [text, ended] = random_answer(constraint, *tokenizer, seed, 60);
    ASSERT_TRUE(ended) << text;
    EXPECT_THAT(text, testing::MatchesRegex("[a-f]*-[0-9]*-[0-9]*-[0-9]*")) << seed;
  }
}

}  // namespace
}  // namespace flotilla
