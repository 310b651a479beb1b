#include "wire/plain_text.h"

#include <algorithm>

namespace flotilla {
namespace {

// Bytes of the UTF-8 character that `text` begins with, 0 where it begins with none (Unicode 15, table 3-7).
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0), second = byte(1);
  if (text.empty()) return 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0, surrogate = first == 0xed && second > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && second < 0x90, beyond = first == 0xf4 && second > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

// A terminal obeys these: C0, DEL and, as two bytes of UTF-8, C1.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  return first < 0x20 || first == 0x7f || (first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0);
}

}  // namespace

bool is_name(std::string_view text) {
  if (text.size() > name_bytes_max) return false;
  while (!text.empty()) {
    const std::size_t count = character_bytes(text);
    if (count == 0 || is_control(text)) return false;
    text.remove_prefix(count);
  }
  return true;
}

std::string tidy_prose(std::string_view text) {
  std::string tidy;
  while (!text.empty()) {
    const std::size_t count = character_bytes(text);
    const std::size_t taken = std::max<std::size_t>(count, 1);
    if (tidy.size() + taken > prose_bytes_max) break;
    const bool kept = count > 0 && (!is_control(text) || text[0] == '\n' || text[0] == '\t');
    if (kept)
      tidy += text.substr(0, count);
    else
      tidy += '?';
    text.remove_prefix(taken);
  }
  return tidy;
}

}  // namespace flotilla
