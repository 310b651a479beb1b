// Who a request says it talks to (Host) and which page it comes from (Origin), taken apart. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

struct Authority {
  std::string host;  // lower case, without a last dot; an IPv6 address without its brackets
  std::string port;  // empty where none was given
  bool operator==(const Authority&) const = default;
};

// "studio:52415", "[::1]:52415", "Studio.local." Nothing where it is none: empty, with a user's name, a path or spaces.
std::optional<Authority> parse_authority(std::string_view text);

// Of "http://studio:52415"; nothing for "null" and what is no origin.
std::optional<Authority> authority_of_origin(std::string_view origin);

// An origin as browsers send it, from what somebody typed: "https://chat.example", "http://localhost:3000".
// invalid_argument for everything else, "*" included.
Result<std::string> parse_origin(const std::string& typed);

}  // namespace flotilla
