// SentencePiece BPE ("llama"): spaces spelled ▁, merges by the score of what they make, bytes for what is left over.
#pragma once

#include <memory>

#include "text/segmenter.h"
#include "text/vocabulary.h"

namespace flotilla {

class SentencePiece final : public Segmenter {
 public:
  // corrupt where the file has no scores. `vocabulary` outlives this.
  static Result<std::unique_ptr<SentencePiece>> create(const Vocabulary& vocabulary);

  // `at_start`: a space is put before the text where the file asks for that. Bytes that are no UTF-8 become byte
  // tokens.
  void encode(std::string_view text, bool at_start, std::vector<TokenId>& out) const override;
  std::string decode(TokenId token) const override;
  bool adds_space() const { return adds_space_; }

 private:
  struct Candidate;
  struct Chain;

  explicit SentencePiece(const Vocabulary& vocabulary);
  void propose(Chain& chain, std::int32_t left) const;
  void merge(Chain& chain) const;
  void emit(std::string_view piece, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  bool adds_space_;
};

}  // namespace flotilla
