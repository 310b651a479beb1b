#include "server/key_scope.h"

#include <algorithm>
#include <cstring>
#include <format>
#include <span>

#include "base/sha256.h"

namespace flotilla {

std::uint64_t key_scope(const HttpRequest& request, std::string_view salt) {
  const auto key = std::format("{}:{}{}:{}{}", request.authorization.size(), request.authorization,
                               request.api_key.size(), request.api_key, salt);
  const Digest digest = sha256(std::as_bytes(std::span(key)));
  std::uint64_t scope = 0;
  std::memcpy(&scope, digest.data(), sizeof scope);
  return std::max<std::uint64_t>(scope, 1);
}

}  // namespace flotilla
