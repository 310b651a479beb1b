// Names from a file as they may appear in a message: short, and nothing that a terminal would obey.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flotilla {

// At most `bytes_max`; control bytes and bytes beyond ASCII become '?'.
inline std::string excerpt(std::string_view text, std::size_t bytes_max = 80) {
  std::string out;
  for (const char c : text.substr(0, bytes_max)) out += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > bytes_max) out += "...";
  return out;
}

}  // namespace flotilla
