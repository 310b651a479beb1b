// Where a JSON object or array that comes piece by piece ends. Looks at brackets and strings alone: whether what lies
// between is JSON, a parser says. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flotilla {

class JsonExtent {
 public:
  static constexpr std::size_t depth_max = 64;

  enum class Found : std::uint8_t { not_yet, end, too_deep };
  // `text` begins with '{' or '[', and each time with all that it held the time before: no byte is looked at twice.
  Found read(std::string_view text);
  std::size_t bytes() const { return at_; }  // read so far; once the end is found, those of the value

 private:
  std::size_t at_ = 0, depth_ = 0;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace flotilla
