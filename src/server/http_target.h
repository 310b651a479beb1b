// The request line's target taken apart: path and query, percent-decoded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace flotilla {

struct HttpTarget {
  std::string path;                          // begins with '/', no trailing '/' but in "/" itself
  std::map<std::string, std::string> query;  // the last of equal names counts
  std::string authority;                     // "host:port" of the absolute form; empty in the usual one
};

// Nothing where the target is no path, holds a broken percent escape or means bytes that are not UTF-8. Absolute form
// (http://host/path) is accepted.
std::optional<HttpTarget> parse_target(std::string_view target);

}  // namespace flotilla
