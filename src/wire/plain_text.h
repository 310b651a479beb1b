// What text in a message may be (docs/wire.md, "Maps"). Thread: any; pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace flotilla {

inline constexpr std::size_t name_bytes_max = 256, prose_bytes_max = 8192;

// Whether peers take it for the name of a node, a model or anything else: at most name_bytes_max of UTF-8 without control
// characters. A message with another name is refused whole, so who takes names from files or people asks first.
bool is_name(std::string_view text);

// Text for people, as sender and receiver make it: at most prose_bytes_max, with '?' for what is not UTF-8 and for control
// characters but line feed and tab.
std::string tidy_prose(std::string_view text);

}  // namespace flotilla
