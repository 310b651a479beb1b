#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/limits.h"
#include "text/test_vocabulary.h"

namespace flotilla {
namespace {

std::shared_ptr<const Tokenizer> make(VocabularyData data) {
  auto tokenizer = Tokenizer::create(std::move(data));
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

Error refused(VocabularyData data) {
  auto tokenizer = Tokenizer::create(std::move(data));
  EXPECT_FALSE(tokenizer);
  return tokenizer ? Error{} : tokenizer.error();
}

std::vector<std::string> texts(const Tokenizer& tokenizer, const std::vector<TokenId>& tokens) {
  std::vector<std::string> out;
  for (const TokenId token : tokens) out.push_back(tokenizer.piece(token, true));
  return out;
}

// Letters, "ab", "abc", the mark, the 256 bytes and "<s>".
VocabularyData small_sentencepiece() {
  VocabularyData data;
  data.model = "llama";
  const auto add = [&](const std::string& text, float score, TokenKind kind) {
    data.tokens.push_back(text);
    data.scores.push_back(score);
    data.kinds.push_back(static_cast<std::int32_t>(kind));
  };
  add("<unk>", 0, TokenKind::unknown);
  add("<s>", 0, TokenKind::control);
  add("</s>", 0, TokenKind::control);
  for (int byte = 0; byte < 256; ++byte) add(std::format("<0x{:02X}>", byte), 0, TokenKind::byte);
  for (const char* text : {"▁", "a", "b", "c", "<", "s", ">", "<s"}) add(text, -10, TokenKind::normal);
  add("ab", -2, TokenKind::normal);
  add("bc", -1, TokenKind::normal);
  add("abc", -3, TokenKind::normal);
  add("▁a", -4, TokenKind::normal);
  add("<b>", 0, TokenKind::user_defined);
  return data;
}

TEST(Tokenizer, MergesByRankAndThenFromTheLeft) {
  const auto tokenizer = make(small_bpe("gpt-2", {"b c", "a b", "ab c", "x x"}, {}));
  EXPECT_EQ(texts(*tokenizer, tokenizer->encode("abc", false, false)), (std::vector<std::string>{"a", "bc"}));
  EXPECT_EQ(texts(*tokenizer, tokenizer->encode("xxxxx", false, false)), (std::vector<std::string>{"xx", "xx", "x"}));
}

TEST(Tokenizer, AWordThatIsATokenStaysWholeWhereTheFamilySaysSo) {
  VocabularyData data = small_bpe("llama-bpe", {"a b"}, {});
  data.tokens.push_back("aba");
  data.kinds.push_back(1);
  EXPECT_EQ(make(data)->encode("aba", false, false).size(), 1u);
  data.pre = "gpt-2";
  EXPECT_EQ(make(data)->encode("aba", false, false).size(), 2u);
}

TEST(Tokenizer, MergesByScoreAndSpellsTheRestInBytes) {
  const auto tokenizer = make(small_sentencepiece());
  EXPECT_EQ(texts(*tokenizer, tokenizer->encode("abc", false, false)), (std::vector<std::string>{" ", "abc"}));
  EXPECT_EQ(texts(*tokenizer, tokenizer->encode("ac", false, false)), (std::vector<std::string>{" a", "c"}));
  EXPECT_EQ(texts(*tokenizer, tokenizer->encode("\xC3\xA9", false, false)),
            (std::vector<std::string>{" ", "\xC3", "\xA9"}));
}

TEST(Tokenizer, TheSpacePutBeforeATextIsTakenOffAgain) {
  const auto tokenizer = make(small_sentencepiece());
  EXPECT_TRUE(tokenizer->strips_leading_space());
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("abc ab", true, false), false), "abc ab");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" a", true, false), false), " a");
}

TEST(Tokenizer, BosAndEosComeWhereTheFileAsksForThem) {
  VocabularyData data = small_sentencepiece();
  EXPECT_EQ(make(data)->encode("a", true, false).front(), 1);
  EXPECT_NE(make(data)->encode("a", false, false).front(), 1);
  data.flags = {{"add_bos", false}, {"add_eos", true}};
  const auto tokens = make(data)->encode("a", true, false);
  EXPECT_NE(tokens.front(), 1);
  EXPECT_EQ(tokens.back(), 2);
}

TEST(Tokenizer, SpecialTokensAreReadInTrustedTextOnly) {
  const auto tokenizer = make(small_bpe("gpt-2", {"a b"}, {"<|im_end|>", "<|im_end|>x"}));
  const TokenId end = tokenizer->find("<|im_end|>"), longer = tokenizer->find("<|im_end|>x");
  EXPECT_TRUE(std::ranges::contains(tokenizer->encode("a<|im_end|>b", false, true), end));
  EXPECT_TRUE(std::ranges::contains(tokenizer->encode("a<|im_end|>xb", false, true), longer)) << "the longest wins";
  EXPECT_FALSE(std::ranges::contains(tokenizer->encode("a<|im_end|>b", false, false), end));
  const std::vector<TextPiece> seam = {{"<|im_", true}, {"end|>", false}};
  EXPECT_FALSE(std::ranges::contains(tokenizer->encode(seam, false), end));
  const std::vector<TextPiece> two = {{"<|im_", true}, {"end|>", true}};
  EXPECT_FALSE(std::ranges::contains(tokenizer->encode(two, false), end)) << "one token never spans two pieces";
}

TEST(Tokenizer, PiecesAreOneTextToOrdinaryWords) {
  const auto tokenizer = make(small_bpe("gpt-2", {"a b"}, {}));
  const std::vector<TextPiece> pieces = {{"a", true}, {"b", false}};
  EXPECT_EQ(tokenizer->encode(pieces, false), tokenizer->encode("ab", false, false));
}

TEST(Tokenizer, NoSpellingMergesIntoAControlToken) {
  const auto tokenizer = make(small_sentencepiece());
  const auto tokens = tokenizer->encode("a<s>b", false, false);
  EXPECT_FALSE(std::ranges::contains(tokens, 1));
  EXPECT_EQ(tokenizer->decode(tokens, false), "a<s>b");
  EXPECT_FALSE(std::ranges::contains(tokenizer->encode("<0x41>", false, false), tokenizer->find("<0x41>")));
  EXPECT_TRUE(std::ranges::contains(tokenizer->encode("<b>", false, false), tokenizer->find("<b>")))
      << "user-defined tokens stand for ordinary text";
}

TEST(Tokenizer, ControlTokensAreSilentUnlessAskedFor) {
  const auto tokenizer = make(small_sentencepiece());
  EXPECT_EQ(tokenizer->piece(1, false), "");
  EXPECT_EQ(tokenizer->piece(1, true), "<s>");
  EXPECT_EQ(tokenizer->piece(3 + 0x41, false), "A");
  EXPECT_EQ(tokenizer->piece(-1, true), "");
  EXPECT_EQ(tokenizer->piece(1 << 20, true), "");
}

TEST(Tokenizer, BytesThatAreNoTextSurviveOrBecomeU_FFFD) {
  const auto pieces = make(small_sentencepiece());
  EXPECT_EQ(pieces->decode(pieces->encode("a\xFF\xE2\x82", false, false), false), "a\xFF\xE2\x82");
  const auto bpe = make(small_bpe("gpt-2", {"a b"}, {}));
  EXPECT_EQ(bpe->decode(bpe->encode("a\xFF\xE2\x82z", false, false), false), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
}

TEST(Tokenizer, EndOfGenerationHoldsWhatTheFileAndTheTextsSay) {
  VocabularyData data = small_bpe("gpt-2", {"a b"}, {"<|im_end|>", "<|end|>", "<mine>", "<|other|>"});
  data.special["eos"] = static_cast<TokenId>(data.tokens.size()) - 2;  // <mine>
  const auto tokenizer = make(data);
  EXPECT_EQ(
      tokenizer->end_of_generation(),
      (std::vector<TokenId>{tokenizer->find("<|im_end|>"), tokenizer->find("<|end|>"), tokenizer->find("<mine>")}));
}

TEST(Tokenizer, InHarmonyEndClosesAPartNotTheAnswer) {
  const auto tokenizer = make(small_bpe("gpt-2", {"a b"}, {"<|end|>", "<|return|>", "<|call|>", "<|channel|>"}));
  EXPECT_FALSE(std::ranges::contains(tokenizer->end_of_generation(), tokenizer->find("<|end|>")));
  EXPECT_TRUE(std::ranges::contains(tokenizer->end_of_generation(), tokenizer->find("<|return|>")));
  EXPECT_EQ(tokenizer->piece(tokenizer->find("<|channel|>"), false), "<|channel|>") << "clients must see it";
}

TEST(Tokenizer, RealModelsStopWhereTheyShould) {
  // As llama.cpp prints them when it loads the two files.
  const auto smollm2 = test_tokenizer(smollm2_file);
  ASSERT_NE(smollm2, nullptr);
  EXPECT_EQ(smollm2->end_of_generation(), (std::vector<TokenId>{0, 2, 4}));
  const auto gemma3 = test_tokenizer(gemma3_file);
  ASSERT_NE(gemma3, nullptr);
  EXPECT_EQ(gemma3->end_of_generation(), (std::vector<TokenId>{1, 106, 212}));
  EXPECT_EQ(gemma3->bos(), gemma3->find("<bos>"));
  EXPECT_TRUE(gemma3->adds_bos());
}

TEST(Tokenizer, OneEndlessWordTakesTimeInProportion) {
  const auto time_of = [](const Tokenizer& tokenizer, std::size_t bytes) {
    const std::string word(bytes, 'a');
    const auto started = std::chrono::steady_clock::now();
    EXPECT_FALSE(tokenizer.encode(word, false, false).empty());
    return std::chrono::steady_clock::now() - started;
  };
  for (const char* file : {smollm2_file, gemma3_file}) {
    const auto tokenizer = test_tokenizer(file);
    ASSERT_NE(tokenizer, nullptr);
    const auto small = time_of(*tokenizer, 128u << 10), large = time_of(*tokenizer, 2u << 20);
    EXPECT_LT(large, 80 * small) << "16 times the bytes; quadratic would be 256 times";
  }
}

TEST(Tokenizer, TenThousandSpecialTokensCostAPassPerLength) {
  std::vector<std::string> special;
  for (std::size_t i = 0; i < 10'000; ++i) special.push_back("<" + std::string(i % 250, 'a') + std::to_string(i) + ">");
  const auto tokenizer = make(small_bpe("gpt-2", {"a b"}, special));
  std::string text;
  while (text.size() < 1u << 20) text += "<aaaa";
  const auto tokens = tokenizer->encode(text + special[777] + "x", false, true);
  EXPECT_EQ(tokens.size(), text.size() + 2);
  EXPECT_EQ(tokenizer->piece(tokens[text.size()], true), special[777]);
}

TEST(Tokenizer, AnUnknownFamilyIsRefusedByName) {
  VocabularyData data = small_sentencepiece();
  data.model = "t5";
  EXPECT_EQ(refused(data).code, Code::unsupported);
  EXPECT_TRUE(refused(data).message.contains("t5"));
  data = small_bpe("never-heard-of", {"a b"}, {});
  EXPECT_EQ(refused(data).code, Code::unsupported);
  EXPECT_TRUE(refused(data).message.contains("never-heard-of"));
  EXPECT_TRUE(refused(data).message.contains("smollm")) << "it says what is known";
}

TEST(Tokenizer, AVocabularyThatContradictsItselfIsCorrupt) {
  const auto broken = [](auto breaking) {
    VocabularyData data = small_sentencepiece();
    breaking(data);
    return refused(std::move(data)).code;
  };
  EXPECT_EQ(broken([](VocabularyData& data) { data.tokens.clear(); }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.scores.pop_back(); }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.scores.clear(); }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.scores[3] = std::nanf(""); }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.kinds.pop_back(); }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.kinds[0] = 7; }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.tokens[5] = data.tokens[6]; }), Code::corrupt);
  EXPECT_EQ(broken([](VocabularyData& data) { data.special["eos"] = 1 << 20; }), Code::corrupt);
  for (const auto kind : {TokenKind::control, TokenKind::unknown, TokenKind::user_defined}) {
    const auto special = [kind](const std::string& text) {
      return [=](VocabularyData& data) {
        data.tokens[5] = text;
        data.kinds[5] = static_cast<std::int32_t>(kind);
      };
    };
    EXPECT_EQ(broken(special("<" + std::string(1 << 20, 'x'))), Code::corrupt);
    EXPECT_EQ(broken(special(std::string(257, 'x'))), Code::corrupt);
    VocabularyData longest = small_sentencepiece();
    special(std::string(256, 'x'))(longest);
    EXPECT_TRUE(Tokenizer::create(std::move(longest)));
    if (kind != TokenKind::user_defined) {
      EXPECT_EQ(broken(special("half of \xF0\x9F")), Code::corrupt);
    }
  }
  VocabularyData data = small_bpe("gpt-2", {"a b"}, {});
  data.merges.push_back("nospace");
  EXPECT_EQ(refused(data).code, Code::corrupt);
  data.merges.clear();
  EXPECT_EQ(refused(data).code, Code::corrupt);
  data = small_bpe("gpt-2", {"a b"}, {});
  data.tokens.resize(limits::vocabulary_max + 1);
  EXPECT_EQ(refused(data).code, Code::too_large);
}

}  // namespace
}  // namespace flotilla
