#include "text/detokenizer.h"

#include <gtest/gtest.h>

#include "text/test_vocabulary.h"

namespace flotilla {
namespace {

std::shared_ptr<const Tokenizer> bytes_tokenizer() {
  static const auto tokenizer = *Tokenizer::create(small_bpe("gpt-2", {"a b", "c d", "x y"}, {"<|im_end|>"}));
  return tokenizer;
}

// Feeds the text byte by byte, each a token, and gives back what came out at each.
std::vector<std::string> feed(Detokenizer& detokenizer, std::string_view text) {
  std::vector<std::string> out;
  for (const char byte : text) {
    for (TokenId token = 0; token < 256; ++token) {
      if (bytes_tokenizer()->piece(token, false) == std::string(1, byte)) out.push_back(detokenizer.add(token));
    }
  }
  return out;
}

using Pieces = std::vector<std::string>;

TEST(Detokenizer, GivesOutWholeCharactersOnly) {
  Detokenizer detokenizer(bytes_tokenizer(), {});
  EXPECT_EQ(feed(detokenizer, "a\xC3\xA9\xF0\x9F\x98\x80"), (Pieces{"a", "", "é", "", "", "", "😀"}));
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, ImpossibleBytesBecomeU_FFFD) {
  Detokenizer detokenizer(bytes_tokenizer(), {});
  EXPECT_EQ(feed(detokenizer, "\xFF\xC3(\xED\xA0"),
            (Pieces{"\xEF\xBF\xBD", "", "\xEF\xBF\xBD(", "", "\xEF\xBF\xBD\xEF\xBF\xBD"}));
}

TEST(Detokenizer, HalfACharacterAtTheEndIsU_FFFD) {
  Detokenizer detokenizer(bytes_tokenizer(), {});
  feed(detokenizer, "a\xE2\x82");
  EXPECT_EQ(detokenizer.finish(), "\xEF\xBF\xBD");
}

TEST(Detokenizer, AStopStringAcrossTokensIsNeverSeen) {
  Detokenizer detokenizer(bytes_tokenizer(), {"STOP"});
  EXPECT_EQ(feed(detokenizer, "aSTbSTOPc"), (Pieces{"a", "", "", "STb", "", "", "", "", ""}));
  EXPECT_TRUE(detokenizer.stopped());
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, AStopStringInsideOneTokenCutsIt) {
  const auto tokenizer = bytes_tokenizer();
  Detokenizer detokenizer(tokenizer, {"y"});
  EXPECT_EQ(detokenizer.add(tokenizer->find("xy")), "x");
  EXPECT_TRUE(detokenizer.stopped());
}

TEST(Detokenizer, WhatWasHeldForAStopThatDidNotComeIsGivenOut) {
  Detokenizer detokenizer(bytes_tokenizer(), {"aab"});
  EXPECT_EQ(feed(detokenizer, "aaa"), (Pieces{"", "", "a"})) << "the last two may still begin it";
  EXPECT_FALSE(detokenizer.stopped());
  EXPECT_EQ(detokenizer.finish(), "aa");
}

TEST(Detokenizer, TheStopThatIsCompleteFirstCountsHoweverTokensCut) {
  const auto tokenizer = bytes_tokenizer();
  for (const bool in_pairs : {false, true}) {
    Detokenizer detokenizer(tokenizer, {"abcd", "bc"});
    std::string out;
    if (in_pairs) {
      out = detokenizer.add(tokenizer->find("ab"));
      out += detokenizer.add(tokenizer->find("cd"));
    } else {
      for (const std::string& piece : feed(detokenizer, "abcd")) out += piece;
    }
    EXPECT_EQ(out, "a") << in_pairs;
    EXPECT_TRUE(detokenizer.stopped());
  }
}

TEST(Detokenizer, EmptyStopStringsStopNothing) {
  Detokenizer detokenizer(bytes_tokenizer(), {""});
  EXPECT_EQ(feed(detokenizer, "a"), Pieces{"a"});
  EXPECT_FALSE(detokenizer.stopped());
}

TEST(Detokenizer, ControlTokensShowOnlyWhenAskedFor) {
  const auto tokenizer = bytes_tokenizer();
  const TokenId end = tokenizer->find("<|im_end|>");
  EXPECT_EQ(Detokenizer(tokenizer, {}).add(end), "");
  EXPECT_EQ(Detokenizer(tokenizer, {}, {end}).add(end), "<|im_end|>");
}

TEST(Detokenizer, TokenByTokenIsTheWholeText) {
  const std::string text = "Grüße, 世界! 👩‍👩‍👧 नमस्ते\n\tif (x) { return 'y'; }  ";
  for (const char* file : {smollm2_file, gemma3_file}) {
    const auto tokenizer = test_tokenizer(file);
    ASSERT_NE(tokenizer, nullptr);
    Detokenizer detokenizer(tokenizer, {"never"});
    std::string out;
    for (const TokenId token : tokenizer->encode(text, false, false)) out += detokenizer.add(token);
    EXPECT_EQ(out.append(detokenizer.finish()), text);
  }
}

}  // namespace
}  // namespace flotilla
