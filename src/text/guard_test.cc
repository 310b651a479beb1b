#include "text/guard.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace flotilla {
namespace {

const std::vector<std::string> reserved = {"<|im_end|>", "<s>", "<｜end｜>"};

std::string protect(std::string_view text) { return Guard(reserved).protect(text, "#"); }

std::size_t resident_bytes() {  // at most, so far
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

TEST(Guard, OrdinaryTextIsNotTouched) {
  EXPECT_EQ(protect("a < b, <b>bold</b> and so on >"), "a < b, <b>bold</b> and so on >");
  EXPECT_EQ(protect(""), "");
}

TEST(Guard, EverySpellingOfAReservedTextIsBroken) {
  EXPECT_EQ(protect("a<|im_end|><s>b<s>c"), "a<#|im_end|><#s>b<#s>c");
  EXPECT_EQ(protect("<|IM_END|>."), "<#|IM_END|>.");
  EXPECT_EQ(protect("x<｜end｜>x"), "x<#｜end｜>x");
}

TEST(Guard, SeamsWhereANeighbourCouldCompleteOneAreBroken) {
  EXPECT_EQ(protect("a <|im_"), "a <#|im_");
  EXPECT_EQ(protect("a <"), "a <#");
  EXPECT_EQ(protect("end|> b"), "e#nd|> b");
  EXPECT_EQ(protect("> quoted"), "> quoted");
}

TEST(Guard, ATextThatAnotherGoesOnFromIsAHeadAndAWhole) {
  const Guard guard({"<a", "<ab>", "b>"});
  EXPECT_EQ(guard.protect("x <a", "#"), "x <#a");
  EXPECT_EQ(guard.protect("ab> x", "#"), "a#b#> x");
  EXPECT_EQ(guard.protect("x <ab", "#"), "x <#ab#");
  EXPECT_EQ(guard.protect("x <b", "#"), "x <b#");
}

// Heads and tails kept as texts of their own would take a hundred times this: gigabytes for ten thousand tokens.
TEST(Guard, ManyLongReservedTextsTakeLittleTimeAndMemory) {
  std::vector<std::string> texts;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < 10'000; ++i) {
    texts.push_back("<" + std::string(i % 250, 'a') + std::to_string(i) + ">");
    bytes += texts.back().size();
  }
  const std::size_t before = resident_bytes();
  const Guard guard(texts);
  EXPECT_EQ(guard.protect(texts[777] + "..", "#"), "<#" + texts[777].substr(1) + "..");
  EXPECT_EQ(guard.protect(std::string(1 << 20, 'a'), "#").size(), (1u << 20));
  EXPECT_LT(resident_bytes(), before + 16 * bytes + (16u << 20));
}

TEST(Guard, CuttingTakesTheGuardsOut) {
  const auto pieces = Guard::cut("a#b##", "#");
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[0].text + pieces[1].text + pieces[2].text + pieces[3].text, "ab");
  EXPECT_TRUE(pieces[0].trusted);
}

}  // namespace
}  // namespace flotilla
