#include "server/http_target.h"

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace flotilla {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing too where the bytes are no UTF-8: what comes of them goes into JSON and messages, which are.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  if (!is_valid_utf8(decoded)) return std::nullopt;
  return decoded;
}

bool parse_query(std::string_view text, std::map<std::string, std::string>& query) {
  while (!text.empty()) {
    const auto pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto name = percent_decode(pair.substr(0, equals), true);
    auto value = percent_decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!name || !value) return false;
    query[std::move(*name)] = std::move(*value);
  }
  return true;
}

}  // namespace

std::optional<HttpTarget> parse_target(std::string_view target) {
  HttpTarget parsed;
  if (const auto scheme = target.find("://"); scheme != std::string_view::npos && target.starts_with("http")) {
    const auto slash = std::min(target.find('/', scheme + 3), target.size());
    parsed.authority = target.substr(scheme + 3, slash - scheme - 3);
    if (parsed.authority.empty()) return std::nullopt;  // it would count as none, and Host in its place
    target = slash == target.size() ? std::string_view("/") : target.substr(slash);
  }
  if (!target.starts_with('/')) return std::nullopt;
  target = target.substr(0, target.find('#'));
  const auto question = target.find('?');
  if (question != std::string_view::npos && !parse_query(target.substr(question + 1), parsed.query))
    return std::nullopt;
  auto path = percent_decode(target.substr(0, question), false);
  if (!path) return std::nullopt;
  while (path->size() > 1 && path->ends_with('/')) path->pop_back();
  parsed.path = std::move(*path);
  return parsed;
}

}  // namespace flotilla
