// Keeps text of users from spelling control tokens inside a rendered prompt (why and how: chat_template.cc).
// Thread: immutable after construction; any.
#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "text/tokenizer.h"

namespace flotilla {

class Guard {
 public:
  // Takes memory in proportion to the texts, which are valid UTF-8.
  explicit Guard(const std::vector<std::string>& reserved_texts);
  Guard(const Guard&) = delete;  // the lengths point into texts_
  Guard& operator=(const Guard&) = delete;

  // The text with `character` put after the first character of each place that spells a reserved text in any case, that
  // ends as one begins, or that begins as one ends. Linear in the text.
  std::string protect(std::string_view text, std::string_view character) const;

  // The text with `character` also put after each character that reserved texts begin with: what is left of it spells
  // none of them either, whatever parts a template takes out.
  std::string protect_throughout(std::string_view text, std::string_view character) const;
  // Whether protect_throughout() does more than protect() may.
  bool could_begin_one(std::string_view text) const;

  // Trusted pieces between the guards: no special token spans two of them.
  static std::vector<TextPiece> cut(std::string_view text, std::string_view character);

 private:
  struct Length {  // reserved texts of one length
    std::size_t bytes;
    std::bitset<256> first_bytes;
    std::unordered_set<std::string_view> texts;
  };

  std::vector<std::string> texts_, reversed_texts_;  // sorted: those that begin alike lie side by side
  std::vector<Length> lengths_;
  std::bitset<256> first_bytes_;  // of all, in either case
  std::size_t bytes_max_ = 0;
};

}  // namespace flotilla
