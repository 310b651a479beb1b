#include "cluster/beacon.h"

#include <algorithm>

#include "base/bytes.h"
#include "wire/frame.h"
#include "wire/plain_text.h"

namespace flotilla {
namespace {

constexpr std::uint32_t beacon_magic = 0x42544C46;  // "FLTB" as it lies in the bytes
constexpr std::uint16_t flag_answer = 1;

std::string_view cut_name(std::string_view name) {
  if (name.size() <= beacon_name_bytes_max) return name;
  std::size_t end = beacon_name_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return name.substr(0, end);
}

}  // namespace

BeaconBytes encode_beacon(const Beacon& beacon) {
  const auto name = cut_name(beacon.name);
  Bytes bytes;
  bytes.reserve(beacon_bytes);
  ByteWriter writer(bytes);
  writer.number(beacon_magic);
  writer.number(beacon.version);
  writer.number<std::uint16_t>(beacon.is_answer ? flag_answer : 0);
  writer.number(beacon.nonce);
  writer.raw(std::as_bytes(std::span(beacon.node.bytes)));
  writer.number(beacon.wave);
  writer.number(beacon.cluster_port);
  writer.number(static_cast<std::uint8_t>(name.size()));
  writer.number<std::uint8_t>(0);
  writer.raw(std::as_bytes(std::span(name.data(), name.size())));
  BeaconBytes out{};
  std::ranges::copy(bytes, out.begin());
  return out;
}

Result<Beacon> decode_beacon(std::span<const std::byte> datagram) {
  if (datagram.size() < beacon_bytes || datagram.size() > limits::beacon_bytes_max)
    return fail(Code::corrupt, "[cluster] expected a beacon of {} bytes but got {}", beacon_bytes, datagram.size());
  ByteReader reader(datagram);
  if (reader.number<std::uint32_t>() != beacon_magic) return fail(Code::corrupt, "[cluster] not a beacon: wrong magic");
  Beacon beacon;
  beacon.version = reader.number<std::uint16_t>();
  const auto flags = reader.number<std::uint16_t>();
  beacon.is_answer = (flags & flag_answer) != 0;
  beacon.nonce = reader.number<std::uint64_t>();
  std::ranges::copy(reader.raw(beacon.node.bytes.size()), std::as_writable_bytes(std::span(beacon.node.bytes)).begin());
  beacon.wave = reader.number<std::uint64_t>();
  beacon.cluster_port = reader.number<std::uint16_t>();
  const auto name_bytes = reader.number<std::uint8_t>();
  const auto zero = reader.number<std::uint8_t>();
  if (name_bytes > beacon_name_bytes_max)
    return fail(Code::corrupt, "[cluster] beacon with a name of {} bytes", name_bytes);
  const auto name = reader.raw(name_bytes);
  beacon.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  const bool known_version = beacon.version == protocol_version;
  if (known_version && ((flags & ~flag_answer) != 0 || zero != 0 || datagram.size() != beacon_bytes))
    return fail(Code::corrupt, "[cluster] beacon with bits set that version {} does not know", beacon.version);
  if (beacon.cluster_port == 0 || beacon.name.empty() || !is_name(beacon.name))
    return fail(Code::corrupt, "[cluster] beacon without a usable port or name");
  return beacon;
}

}  // namespace flotilla
