#include "text/json_extent.h"

namespace flotilla {

JsonExtent::Found JsonExtent::read(std::string_view text) {
  while (at_ < text.size()) {
    const char c = text[at_++];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
      continue;
    }
    if (c == '"') in_string_ = true;
    if ((c == '{' || c == '[') && ++depth_ > depth_max) return Found::too_deep;
    if ((c == '}' || c == ']') && --depth_ == 0) return Found::end;
  }
  return Found::not_yet;
}

}  // namespace flotilla
