#include "cluster/printable.h"

#include <utf8proc.h>

#include <algorithm>

namespace flotilla {
namespace {

// The character at the start of `text` and its bytes; -1 and one byte where they are malformed.
struct Character {
  utf8proc_int32_t value = -1;
  std::size_t bytes = 1;
};

Character first_character(std::string_view text) {
  Character character;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &character.value);
  if (length > 0) character.bytes = static_cast<std::size_t>(length);
  if (length <= 0) character.value = -1;
  return character;
}

bool is_printable(utf8proc_int32_t value) {
  if (value < 0) return false;
  switch (utf8proc_category(value)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto character = first_character(text);
    if (is_printable(character.value))
      out += text.substr(0, character.bytes);
    else
      out += '?';
    text.remove_prefix(character.bytes);
  }
  return out;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const auto character = first_character(text);
    columns += static_cast<std::size_t>(std::max(utf8proc_charwidth(character.value), 0));
    text.remove_prefix(character.bytes);
  }
  return columns;
}

}  // namespace flotilla
