#include "text/guard.h"

#include <gtest/gtest.h>

namespace flotilla {
namespace {

const std::vector<std::string> reserved = {"<|im_end|>", "<s>", "<｜end｜>"};

std::string protect(std::string_view text) { return Guard(reserved).protect(text, "#"); }

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

TEST(Guard, CuttingTakesTheGuardsOut) {
  const auto pieces = Guard::cut("a#b##", "#");
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[0].text + pieces[1].text + pieces[2].text + pieces[3].text, "ab");
  EXPECT_TRUE(pieces[0].trusted);
}

}  // namespace
}  // namespace flotilla
