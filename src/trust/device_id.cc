#include "trust/device_id.h"

#include <cstring>

#include "trust/checked_text.h"

namespace flotilla {

std::string to_string(const DeviceId& id) { return in_groups(to_checked_text(id.bytes)); }

Result<DeviceId> device_id_from_string(std::string_view text) {
  FLOTILLA_TRY(const auto bytes, from_checked_text(text, "a device's id"));
  return DeviceId{bytes};
}

NodeId node_id_of(const DeviceId& id) {
  NodeId node;
  static_assert(sizeof node.bytes < sizeof id.bytes);
  std::memcpy(node.bytes.data(), id.bytes.data(), node.bytes.size());
  return node;
}

}  // namespace flotilla
