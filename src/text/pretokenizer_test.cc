#include "text/pretokenizer.h"

#include <gtest/gtest.h>

namespace flotilla {
namespace {

using Words = std::vector<std::string>;

Words split(std::string_view name, std::string_view text) {
  const auto made = Pretokenizer::create(name);
  if (!made) {
    ADD_FAILURE() << made.error().message;
    return {};
  }
  const auto words = made->split(text);
  return {words.begin(), words.end()};
}

TEST(Pretokenizer, WordsKeepTheSpaceBeforeThem) {
  EXPECT_EQ(split("gpt-2", "Hello  world's 12 a!"), (Words{"Hello", " ", " world", "'s", " 12", " a", "!"}));
}

TEST(Pretokenizer, DigitsStandAloneWhereTheFamilySaysSo) {
  EXPECT_EQ(split("smollm", "a 123"), (Words{"a", " ", "1", "2", "3"}));
  EXPECT_EQ(split("llama-bpe", "12345"), (Words{"123", "45"}));
  EXPECT_EQ(split("qwen2", "12"), (Words{"1", "2"}));
  EXPECT_EQ(split("tiny_aya", "12345"), (Words{"12", "345"}));
}

TEST(Pretokenizer, ContractionsInUpperCaseDependOnTheFamily) {
  EXPECT_EQ(split("llama-bpe", "IT'S"), (Words{"IT", "'S"}));
  EXPECT_EQ(split("gpt-2", "IT'S"), (Words{"IT", "'", "S"}));
  EXPECT_EQ(split("gpt-4o", "IT'S it's"), (Words{"IT'S", " it's"}));
}

TEST(Pretokenizer, CasedFamiliesCutInsideWords) {
  EXPECT_EQ(split("gpt-4o", "camelCase HTTPServer"), (Words{"camel", "Case", " HTTPServer"}));
}

TEST(Pretokenizer, NewLinesStayTogether) {
  EXPECT_EQ(split("llama-bpe", "a \n\n b"), (Words{"a", " \n\n", " b"}));
  EXPECT_EQ(split("seed-coder", "a!\nb"), (Words{"a", "!", "\n", "b"}));
  EXPECT_EQ(split("llama-bpe", "a!\nb"), (Words{"a", "!\n", "b"}));
}

TEST(Pretokenizer, HanIsApartInItsFamilies) {
  EXPECT_EQ(split("kimi-k2", "abc中文abc"), (Words{"abc", "中文", "abc"}));
  EXPECT_EQ(split("deepseek-v3", "abc中文abc"), (Words{"abc", "中文", "abc"}));
  EXPECT_EQ(split("qwen2", "abc中文abc"), (Words{"abc中文abc"}));
}

TEST(Pretokenizer, MongolianVowelSeparatorIsNoWhiteSpace) {
  EXPECT_EQ(split("gpt-2", "a\xE1\xA0\x8E!"), (Words{"a", "\xE1\xA0\x8E!"}));
}

TEST(Pretokenizer, AMissingNameGivesTheDegradedSplitter) {
  EXPECT_EQ(split("", "a+b"), (Words{"a", "+", "b"}));
  EXPECT_EQ(split("default", "1234"), (Words{"123", "4"}));
}

TEST(Pretokenizer, EveryFamilyGivesBackTheWholeText) {
  const auto unknown = Pretokenizer::create("unknown");
  ASSERT_FALSE(unknown);
  std::string names = unknown.error().message;
  names = names.substr(names.find("known are ") + 10);
  names = names.substr(0, names.find(". Try"));
  std::string text =
      "It's 12345 a.b\t\n\n  中文 カナ हिन्दी \xF0\x9F\x98\x80 <sentinel:1> IMGIMGABZ e\xCC\x81 \xC2\xA0 x";
  text += std::string(100'000, ' ') + std::string(100'000, 'x') + std::string(100'000, '!');
  int families = 0;
  for (std::size_t begin = 0; begin < names.size(); ++families) {
    const std::size_t end = std::min(names.find(", ", begin), names.size());
    std::string joined;
    for (const std::string& word : split(names.substr(begin, end - begin), text)) joined += word;
    EXPECT_EQ(joined, text) << names.substr(begin, end - begin);
    begin = end + 2;
  }
  EXPECT_GT(families, 60);
}

}  // namespace
}  // namespace flotilla
