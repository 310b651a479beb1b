// Byte-level BPE ("gpt2"): words from the pre-tokenizer, bytes spelled as printable characters, merges by rank.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "text/pretokenizer.h"
#include "text/segmenter.h"
#include "text/vocabulary.h"

namespace flotilla {

class Bpe final : public Segmenter {
 public:
  // corrupt where merges are missing or malformed. `vocabulary` outlives this.
  static Result<std::unique_ptr<Bpe>> create(const Vocabulary& vocabulary, Pretokenizer pretokenizer);

  // Bytes that are no UTF-8 are read as U+FFFD, one for each. Bytes that the vocabulary has no token for are left out.
  void encode(std::string_view text, bool at_start, std::vector<TokenId>& out) const override;
  std::string decode(TokenId token) const override;

 private:
  // A text that merging can produce: a token where below the vocabulary's size, else an intermediate form.
  using Symbol = std::int32_t;
  struct Merge {
    std::int32_t rank;
    Symbol merged;
  };
  struct Candidate;
  struct Chain;

  Bpe(const Vocabulary& vocabulary, Pretokenizer pretokenizer);
  Status read_merges();
  void encode_word(std::string_view word, std::vector<TokenId>& out) const;
  void merge(Chain& chain) const;
  void propose(Chain& chain, std::int32_t left) const;

  const Vocabulary& vocabulary_;
  Pretokenizer pretokenizer_;
  std::array<Symbol, 256> byte_symbols_{};
  std::unordered_map<std::uint64_t, Merge> merges_;  // left symbol in the upper half of the key, right in the lower
};

}  // namespace flotilla
