// Finds the special tokens in a text: the longest first, each only where the text may hold it.
// Thread: immutable after construction; any.
#pragma once

#include <bitset>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/vocabulary.h"

namespace flotilla {

// A stretch of text between special tokens, or one special token.
struct TextPart {
  std::string_view text;  // of the text that was partitioned
  TokenId token = -1;     // -1: ordinary text
};

class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // `text` is the pieces joined. A control or unknown token is found only inside one trusted piece; a user-defined one
  // anywhere, because it stands for ordinary text (runs of white space, HTML tags). The parts cover the text in order.
  std::vector<TextPart> partition(std::string_view text, std::span<const TextPiece> pieces) const;

  // Texts that no message may yield: those of control and unknown tokens.
  const std::vector<std::string>& reserved() const { return reserved_; }

 private:
  struct Entry {
    TokenId token;
    bool trusted_only;
  };
  struct Length {  // all special tokens of one length
    std::size_t bytes;
    std::bitset<256> first_bytes;
    std::unordered_map<std::string_view, Entry> tokens;  // keys live in the vocabulary
  };

  void take(const Length& length, std::string_view text, const std::vector<std::size_t>& trusted_end,
            std::vector<TextPart>& parts) const;

  std::vector<Length> lengths_;  // longest first
  std::vector<std::string> reserved_;
};

}  // namespace flotilla
