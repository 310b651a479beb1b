// UTF-8 as it comes from outside: read strictly, one character at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flotilla {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Step {
  std::size_t bytes = 0;  // how far to go on; at least 1 where the text is not empty
  char32_t code = 0;      // U+FFFD where not valid
  bool valid = false;
  bool incomplete = false;  // not valid so far, but more bytes could make it so
};

// The character at the start of `text`, by the table of well-formed sequences (no overlong forms, no surrogates). Of
// malformed bytes the longest part that could begin a character is one step.
Utf8Step utf8_step(std::string_view text);

std::string utf8_of(char32_t code);

// The text with each byte that belongs to no character replaced by U+FFFD.
std::string valid_utf8(std::string_view text);
bool is_valid_utf8(std::string_view text);
std::size_t valid_utf8_bytes(std::string_view text);  // those before the first that belongs to no character

}  // namespace flotilla
