#include "server/authority.h"

#include <algorithm>

#include "base/words.h"

namespace flotilla {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Letters, digits and what names and IPv6 addresses are written with; underscores occur in names of containers.
bool is_host_character(char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '-' || c == '_'; }

bool is_port(std::string_view port) {
  return port.size() >= 1 && port.size() <= 5 && std::ranges::all_of(port, is_digit);
}

// The end of the scheme, "://" included; 0 where there is none.
std::size_t scheme_end(std::string_view origin) {
  const auto end = origin.find("://");
  if (end == std::string_view::npos || end == 0 || !is_letter(origin.front())) return 0;
  const bool plain = std::ranges::all_of(
      origin.substr(0, end), [](char c) { return is_letter(c) || is_digit(c) || c == '+' || c == '.' || c == '-'; });
  return plain ? end + 3 : 0;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  std::string_view host = text, port;
  const bool bracketed = text.starts_with('[');
  if (const auto colon = text.rfind(':'); colon != std::string_view::npos && !(bracketed && text.ends_with(']'))) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (!is_port(port)) return std::nullopt;
  }
  if (bracketed) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
    if (!std::ranges::all_of(host, [](char c) { return is_host_character(c) || c == ':'; })) return std::nullopt;
  } else {
    if (host.ends_with('.')) host.remove_suffix(1);
    if (!std::ranges::all_of(host, is_host_character)) return std::nullopt;
  }
  if (host.empty()) return std::nullopt;
  return Authority{.host = lower_case(host), .port = std::string(port)};
}

std::optional<Authority> authority_of_origin(std::string_view origin) {
  const auto begin = scheme_end(origin);
  return begin == 0 ? std::nullopt : parse_authority(origin.substr(begin));
}

Result<std::string> parse_origin(const std::string& typed) {
  if (authority_of_origin(typed)) return lower_case(typed);
  return fail(
      Code::invalid_argument,
      "[server] expected a page's origin, scheme, host and port without a path, such as https://chat.example or "
      "http://localhost:3000, but got '{}'{}",
      typed, typed == "*" ? "; each origin is named, so that not every page may use this machine" : "");
}

}  // namespace flotilla
