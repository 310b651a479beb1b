// The devices a cluster has put out, signed by its key and passed on from member to member: who has the newest list
// refuses them, though their certificates have not ended.
//
// Pure; time is passed in. Thread: any; a list does not change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "trust/device_id.h"
#include "trust/signing_key.h"

namespace flotilla {

class RevocationList {
 public:
  static constexpr std::size_t devices_max = 4096;

  RevocationList() = default;  // number 0, nobody
  // The list after this one. The device may be on it already. too_large where it is full: no other comes off for it.
  Result<RevocationList> with(const DeviceId& device, const SigningKey& cluster) const;
  // Takes one off again: it was let in anew.
  RevocationList without(const DeviceId& device, const SigningKey& cluster) const;

  // unauthorized where the cluster's key did not sign it, corrupt where it is no list.
  static Result<RevocationList> decode(std::span<const std::byte> bytes, const PublicKey& cluster);
  const Bytes& encoded() const { return encoded_; }  // with its signature; empty for number 0

  std::uint64_t number() const { return number_; }
  bool contains(const DeviceId& device) const;
  const std::vector<DeviceId>& devices() const { return devices_; }

 private:
  static RevocationList sign(std::uint64_t number, std::vector<DeviceId> devices, const SigningKey& cluster);

  std::uint64_t number_ = 0;
  std::vector<DeviceId> devices_;  // in order
  Bytes encoded_;
};

}  // namespace flotilla
