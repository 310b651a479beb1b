#include "base/ids.h"

#include <algorithm>
#include <random>

#include "base/hex.h"

namespace flotilla {

std::string to_string(const NodeId& id) { return to_hex(std::as_bytes(std::span(id.bytes))); }

Result<NodeId> node_id_from_string(std::string_view hex) {
  FLOTILLA_TRY(auto bytes, from_hex(hex));
  NodeId id;
  if (bytes.size() != id.bytes.size())
    return fail(Code::invalid_argument, "[base] expected a node id of 32 hex digits but got {}", hex.size());
  std::ranges::transform(bytes, id.bytes.begin(), [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return id;
}

std::uint64_t random_u64() {
  static thread_local std::random_device device;  // for ids, not for secrets: those are secret.h's
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

NodeId random_node_id(const std::function<std::uint64_t()>& random) {
  NodeId id;
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint64_t bits = random();
    for (std::size_t i = 0; i < 8; ++i, bits >>= 8) id.bytes[half * 8 + i] = static_cast<std::uint8_t>(bits);
  }
  return id;
}

}  // namespace flotilla
