#include "text/tokenizer.h"

#include <algorithm>

#include "base/log.h"
#include "text/bpe.h"
#include "text/sentencepiece.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"
#include "text/wordpiece.h"

namespace flotilla {
namespace {

// What all families share: special tokens, BOS and EOS, pieces by kind. The family itself is the segmenter.
class VocabularyTokenizer final : public Tokenizer {
 public:
  explicit VocabularyTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)), special_(vocabulary_) {
    for (const std::string& text : vocabulary_.data().tokens)
      token_bytes_max_ = std::max(token_bytes_max_, text.size());
  }

  Status set_family();

  using Tokenizer::encode;
  std::vector<TokenId> encode(std::span<const TextPiece> pieces, bool add_special) const override;
  std::string piece(TokenId token, bool show_special) const override;
  std::string decode(std::span<const TokenId> tokens, bool show_special) const override;

  std::uint32_t size() const override { return vocabulary_.size(); }
  TokenId bos() const override { return vocabulary_.special("bos"); }
  TokenId eos() const override { return vocabulary_.special("eos"); }
  bool adds_bos() const override { return adds_bos_; }
  bool strips_leading_space() const override { return strips_leading_space_; }
  const std::vector<TokenId>& end_of_generation() const override { return vocabulary_.end_of_generation(); }
  const std::string& chat_template() const override { return vocabulary_.data().chat_template; }
  TokenKind kind(TokenId token) const override {
    return vocabulary_.contains(token) ? vocabulary_.kind(token) : TokenKind::unused;
  }
  TokenId find(std::string_view token_text) const override { return vocabulary_.find(token_text); }
  std::size_t token_bytes_max() const override { return token_bytes_max_; }
  const std::vector<std::string>& reserved_texts() const override { return special_.reserved(); }

 private:
  Vocabulary vocabulary_;
  SpecialTokens special_;
  std::unique_ptr<Segmenter> segmenter_;
  std::size_t token_bytes_max_ = 1;
  bool adds_bos_ = false, adds_eos_ = false, strips_leading_space_ = false;
};

Status VocabularyTokenizer::set_family() {
  const std::string& model = vocabulary_.data().model;
  bool adds_bos = false, adds_eos = false;
  if (model == "gpt2") {
    FLOTILLA_TRY(auto pretokenizer, Pretokenizer::create(vocabulary_.data().pre));
    adds_bos = pretokenizer.adds_bos();
    FLOTILLA_TRY(segmenter_, Bpe::create(vocabulary_, std::move(pretokenizer)));
  } else if (model == "llama") {
    adds_bos = true;
    FLOTILLA_TRY(auto family, SentencePiece::create(vocabulary_));
    strips_leading_space_ = family->adds_space();
    segmenter_ = std::move(family);
  } else if (model == "bert") {
    adds_bos = adds_eos = true;
    strips_leading_space_ = true;
    FLOTILLA_TRY(segmenter_, WordPiece::create(vocabulary_));
  } else {
    return fail(
        Code::unsupported,
        "[text] expected a tokenizer model we know (gpt2, llama, bert) but got \"{}\"; try another file of this model",
        model);
  }
  adds_bos_ = vocabulary_.flag("add_bos", adds_bos) && bos() >= 0;
  adds_eos_ = vocabulary_.flag("add_eos", adds_eos) && eos() >= 0;
  return {};
}

std::vector<TokenId> VocabularyTokenizer::encode(std::span<const TextPiece> pieces, bool add_special) const {
  std::string text;
  for (const TextPiece& piece : pieces) text += piece.text;
  std::vector<TokenId> tokens;
  if (add_special && adds_bos_) tokens.push_back(bos());
  bool at_start = true;
  for (const TextPart& part : special_.partition(text, pieces)) {
    if (part.token >= 0) {
      tokens.push_back(part.token);
    } else {
      segmenter_->encode(part.text, at_start, tokens);
    }
    at_start = part.token >= 0;
  }
  if (add_special && adds_eos_) tokens.push_back(eos());
  return tokens;
}

std::string VocabularyTokenizer::piece(TokenId token, bool show_special) const {
  if (!vocabulary_.contains(token)) return {};
  switch (vocabulary_.kind(token)) {
    case TokenKind::normal:
      return segmenter_->decode(token);
    case TokenKind::user_defined:
      return vocabulary_.text(token);
    case TokenKind::control:
    case TokenKind::unknown:
      return show_special ? vocabulary_.text(token) : "";
    case TokenKind::unused:
      return {};
    case TokenKind::byte:
      break;
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<unsigned char>(byte);
    if (vocabulary_.byte_token(value) == token) return std::string(1, static_cast<char>(value));
  }
  return {};  // a byte token that is not spelled <0x..>: the file's mistake, and no byte is known for it
}

std::string VocabularyTokenizer::decode(std::span<const TokenId> tokens, bool show_special) const {
  std::string text;
  bool at_start = strips_leading_space_;
  for (const TokenId token : tokens) {
    std::string bytes = piece(token, show_special);
    const bool special = kind(token) == TokenKind::control || kind(token) == TokenKind::unknown;
    if (at_start && !special && bytes.starts_with(' ')) bytes.erase(0, 1);
    at_start = at_start && special;
    text += bytes;
  }
  return text;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(VocabularyData data) {
  FLOTILLA_TRY(auto vocabulary, Vocabulary::create(std::move(data)));
  auto tokenizer = std::make_shared<VocabularyTokenizer>(std::move(vocabulary));
  FLOTILLA_TRY_STATUS(tokenizer->set_family());
  return tokenizer;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  const TextPiece piece{std::string(text), parse_special};
  return encode(std::span(&piece, 1), add_special);
}

}  // namespace flotilla
