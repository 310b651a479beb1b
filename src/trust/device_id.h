// Who a machine is: the SHA-256 of its public key. Whoever shows the key's certificate and finishes a TLS handshake
// with it has the private half; nobody else can have this id.
//
// Pure. The short form is NodeId, the first 16 bytes: to pass for a given one, a key must be found that hashes to it,
// which is 2^128 work.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace flotilla {

struct DeviceId {
  std::array<std::byte, 32> bytes{};
  auto operator<=>(const DeviceId&) const = default;
};

std::string to_string(const DeviceId& id);  // eight groups of seven letters, with check digits (checked_text.h)
Result<DeviceId> device_id_from_string(std::string_view text);
NodeId node_id_of(const DeviceId& id);

}  // namespace flotilla
