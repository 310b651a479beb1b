// Text from other machines, made safe for terminals and logs. Thread: any; pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flotilla {

// The text with every control or formatting character, line break and malformed byte as '?'.
std::string printable(std::string_view text);

// Terminal columns of a printable text (wide characters take two, combining ones none).
std::size_t columns_of(std::string_view text);

}  // namespace flotilla
