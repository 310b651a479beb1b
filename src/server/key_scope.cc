#include "server/key_scope.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <span>

#include "base/sha256.h"
#include "base/words.h"

namespace flotilla {

std::string_view presented_key(const HttpRequest& request) {
  constexpr std::string_view scheme = "bearer ";
  std::string_view text = request.api_key;
  if (!request.authorization.empty()) {
    text = request.authorization;
    if (text.size() <= scheme.size() || lower_case(text.substr(0, scheme.size())) != scheme) return {};
    text.remove_prefix(scheme.size());
  }
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::uint64_t key_scope(const HttpRequest& request, std::string_view salt) {
  const auto key = presented_key(request);
  const auto both = std::format("{}:{}{}", key.size(), key, salt);
  const Digest digest = sha256(std::as_bytes(std::span(both)));
  std::uint64_t scope = 0;
  std::memcpy(&scope, digest.data(), sizeof scope);
  return std::max<std::uint64_t>(scope, 1);
}

}  // namespace flotilla
