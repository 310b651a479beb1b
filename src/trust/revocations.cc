#include "trust/revocations.h"

#include <algorithm>
#include <cstring>

namespace flotilla {
namespace {

constexpr std::string_view label = "flotilla revocations 1";

}  // namespace

RevocationList RevocationList::sign(std::uint64_t number, std::vector<DeviceId> devices, const SigningKey& cluster) {
  RevocationList list;
  list.number_ = number;
  list.devices_ = std::move(devices);
  ByteWriter writer(list.encoded_);
  writer.text(label);
  writer.number(number);
  writer.number(static_cast<std::uint32_t>(list.devices_.size()));
  for (const DeviceId& device : list.devices_) writer.raw(device.bytes);
  writer.raw(cluster.sign(list.encoded_));
  return list;
}

Result<RevocationList> RevocationList::with(const DeviceId& device, const SigningKey& cluster) const {
  auto devices = devices_;
  const auto place = std::ranges::lower_bound(devices, device);
  if (place == devices.end() || *place != device) devices.insert(place, device);
  if (devices.size() > devices_max)
    return fail(Code::too_large,
                "[trust] expected at most {} machines put out of one cluster but this one is one more; begin a new "
                "cluster (flotilla leave on each machine, then flotilla token create)",
                devices_max);
  return sign(number_ + 1, std::move(devices), cluster);
}

RevocationList RevocationList::without(const DeviceId& device, const SigningKey& cluster) const {
  auto devices = devices_;
  std::erase(devices, device);
  return sign(number_ + 1, std::move(devices), cluster);
}

Result<RevocationList> RevocationList::decode(std::span<const std::byte> bytes, const PublicKey& cluster) {
  ByteReader reader(bytes);
  RevocationList list;
  const bool is_list = reader.text(label.size()) == label;
  list.number_ = reader.number<std::uint64_t>();
  const auto count = reader.number<std::uint32_t>();
  if (!is_list || !reader.ok() || count > devices_max || reader.left() != count * sizeof(DeviceId) + sizeof(Signature))
    return fail(Code::corrupt, "[trust] expected a list of revoked machines but got {} other bytes", bytes.size());
  list.devices_.resize(count);
  for (DeviceId& device : list.devices_) std::ranges::copy(reader.raw(device.bytes.size()), device.bytes.begin());
  Signature signature;
  std::ranges::copy(reader.raw(signature.size()), signature.begin());
  if (!cluster.verify(bytes.first(bytes.size() - signature.size()), signature))
    return fail(Code::unauthorized,
                "[trust] expected a list of revoked machines signed by the cluster's key but got "
                "another's; it is ignored");
  if (!std::ranges::is_sorted(list.devices_))
    return fail(Code::corrupt, "[trust] expected the revoked machines in order but got them mixed");
  list.encoded_.assign(bytes.begin(), bytes.end());
  return list;
}

bool RevocationList::contains(const DeviceId& device) const { return std::ranges::binary_search(devices_, device); }

}  // namespace flotilla
