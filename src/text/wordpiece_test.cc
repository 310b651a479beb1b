#include "text/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "text/test_vocabulary.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A few words, spelled as a file spells them.
std::shared_ptr<const Tokenizer> small() {
  VocabularyData data;
  data.model = "bert";
  data.tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁the", "▁!", "▁$", "▁日",
                 "▁本",   "▁cafe", "▁ᄒ",   "ᅡ",     "ᆫ",   "s",   "▁i",   "▁x",   "▁[", "▁]"};
  data.kinds.assign(data.tokens.size(), static_cast<std::int32_t>(TokenKind::normal));
  for (std::size_t i = 0; i < 4; ++i) data.kinds[i] = static_cast<std::int32_t>(TokenKind::control);
  data.special = {{"unk", 1}, {"cls", 2}, {"sep", 3}, {"pad", 0}};
  const auto tokenizer = Tokenizer::create(std::move(data));
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return *tokenizer;
}

std::vector<std::string> pieces(std::string_view text) {
  static const auto tokenizer = small();
  std::vector<std::string> texts;
  for (const TokenId token : tokenizer->encode(text, false, false)) texts.push_back(tokenizer->piece(token, true));
  return texts;
}

TEST(WordPiece, TakesTheLongestPieceFirstAndMarksBothEnds) {
  EXPECT_THAT(pieces("unaffable"), ElementsAre(" un", "aff", "able"));
  EXPECT_THAT(small()->encode("the", true, false), ElementsAre(2, 7, 3));
  EXPECT_THAT(small()->encode("", true, false), ElementsAre(2, 3));
}

TEST(WordPiece, AWordThatCannotBeSpelledToItsEndIsUnknownAsAWhole) {
  EXPECT_THAT(pieces("unaffablez the"), ElementsAre("[UNK]", " the"));
  EXPECT_THAT(pieces("aff"), ElementsAre("[UNK]"));  // a piece that goes on begins no word
  EXPECT_THAT(pieces("x" + std::string(99, 's')).front(), " x");
  EXPECT_THAT(pieces("x" + std::string(100, 's')), ElementsAre("[UNK]"));
}

TEST(WordPiece, CapitalsAccentsAndControlsGo) {
  EXPECT_THAT(pieces("THE Café Cafe\xCC\x81"), ElementsAre(" the", " cafe", " cafe"));
  EXPECT_THAT(pieces("t\xC2\xADh\xE2\x80\x8B"
                     "e\x07"),
              ElementsAre(" the"));                         // soft hyphen, zero-width space, bell
  EXPECT_THAT(pieces("the\xFF\xFE"), ElementsAre(" the"));  // no characters
}

TEST(WordPiece, ACrowdOfMarksOnOneLetterCostsNoMoreThanItsLength) {
  std::string text = "cafe";
  for (const char* mark : {"\xCC\x80", "\xCC\x96"})  // above, then below: Unicode wants these the other way round
    for (int i = 0; i < 1'000'000; ++i) text += mark;
  EXPECT_THAT(pieces(text), ElementsAre(" cafe"));
}

TEST(WordPiece, PunctuationIdeographsAndSpacesPartWords) {
  EXPECT_THAT(pieces("the!the$"), ElementsAre(" the", " !", " the", " $"));
  EXPECT_THAT(pieces("日本"), ElementsAre(" 日", " 本"));
  EXPECT_THAT(pieces("the\xC2\xA0the\xE3\x80\x80the\n\tthe"), ElementsAre(" the", " the", " the", " the"));
  EXPECT_THAT(pieces("한"), ElementsAre(" ᄒ", "ᅡ", "ᆫ"));  // a syllable falls into its letters
}

TEST(WordPiece, AUsersTextBecomesNoSpecialToken) {
  EXPECT_THAT(pieces("[CLS]"), ElementsAre(" [", "[UNK]", " ]"));
  EXPECT_THAT(small()->encode("[CLS]", false, true), ElementsAre(2));
}

TEST(WordPiece, WithoutAnUnknownTokenAFileIsRefused) {
  VocabularyData data{.model = "bert", .tokens = {"▁a"}};
  const auto tokenizer = Tokenizer::create(std::move(data));
  ASSERT_FALSE(tokenizer);
  EXPECT_THAT(tokenizer.error().message, HasSubstr("unknown token"));
}

// Recorded from the published tokenizer (tests/oracle/record_embeddings.py).
TEST(WordPiece, EveryRecordedTextHasThePublishedTokens) {
  std::ifstream file(FLOTILLA_SOURCE_DIR "/tests/data/embeddings/all-MiniLM-L6-v2.json");
  const auto recorded = nlohmann::json::parse(file);
  const auto tokenizer = test_tokenizer(minilm_file);
  ASSERT_TRUE(tokenizer);
  ASSERT_GE(recorded["texts"].size(), 200u);
  for (const auto& each : recorded["texts"])
    EXPECT_EQ(tokenizer->encode(each["text"].get<std::string>(), true, false), each["ids"].get<std::vector<TokenId>>())
        << each["text"];
}

}  // namespace
}  // namespace flotilla
