// The datagram by which nodes notice each other: "someone with this id and name may be reached at the sender's
// address".
//
// It proves nothing and holds no secret: whoever reads it may try to connect, and the handshake decides. Every beacon
// has the same size, so an answer is never larger than what it answers.
//
// Layout, little-endian, 112 bytes; all of it keeps its place in every protocol version, so that a beacon of another
// version can be named and explained:
//    0 u32 magic "FLTB"     4 u16 protocol version   6 u16 flags (bit 0: answers a beacon)
//    8 u64 instance nonce  16 16 bytes node id      32 u64 wave (counts the sender's beacons)
//   40 u16 cluster port    42 u8 name bytes         43 u8 zero
//   44 64 bytes name, zero-padded                  108 u32 zero
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"

namespace flotilla {

inline constexpr std::size_t beacon_bytes = 112, beacon_name_bytes_max = 64;
static_assert(beacon_bytes <= limits::beacon_bytes_max);

using BeaconBytes = std::array<std::byte, beacon_bytes>;

struct Beacon {
  std::uint16_t version = 0;  // protocol_version of the sender
  bool is_answer = false;     // sent to one node because its beacon arrived; never answered itself
  std::uint64_t nonce = 0;    // random, of this run of the sender
  NodeId node;
  std::uint64_t wave = 0;          // equal in the copies that leave by several interfaces at once
  std::uint16_t cluster_port = 0;  // where it accepts control connections
  std::string name;                // UTF-8 without control characters; not empty
  bool operator==(const Beacon&) const = default;
};

BeaconBytes encode_beacon(const Beacon& beacon);  // a longer name is cut at a character's border

// corrupt where it is no beacon. Allocates nothing but the name. Bytes beyond the layout (a newer version) are ignored.
Result<Beacon> decode_beacon(std::span<const std::byte> datagram);

}  // namespace flotilla
