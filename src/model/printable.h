// Names from a file as they may appear in a message: short, and nothing that a terminal would obey.
#pragma once

#include <string>
#include <string_view>

namespace flotilla {

// At most 80 bytes; control bytes and bytes beyond ASCII become '?'.
inline std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) out += c >= ' ' && c <= '~' ? c : '?';
  if (text.size() > 80) out += "...";
  return out;
}

}  // namespace flotilla
