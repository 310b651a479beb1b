// Datagrams from anybody on the network, and what is shown of the names in them.
#include "cluster/beacon.h"

#include "cluster/printable.h"
#include "fuzz.h"
#include "wire/frame.h"
#include "wire/plain_text.h"

namespace flotilla::fuzz {
namespace {

void read_beacon(std::span<const std::byte> datagram) {
  const auto beacon = decode_beacon(datagram);
  if (!beacon) return claim(beacon.error().code == Code::corrupt, "what is no beacon is corrupt");
  claim(datagram.size() <= limits::beacon_bytes_max, "a beacon is small");
  claim(beacon->cluster_port != 0 && !beacon->name.empty() && is_name(beacon->name), "a beacon says who and where");
  if (beacon->version != protocol_version) return;  // another version may have said more
  const auto again = decode_beacon(encode_beacon(*beacon));
  claim(again && *again == *beacon, "what was read can be sent");
}

void send_beacon(std::string_view name) {
  const Beacon beacon{.version = protocol_version, .cluster_port = 52414, .name = std::string(name)};
  const auto read = decode_beacon(encode_beacon(beacon));
  if (!is_name(name) || name.empty()) return;
  claim(read && name.starts_with(read->name), "a name arrives whole or cut at a character's border");
}

void show(std::string_view text) {
  const std::string shown = printable(text);
  claim(shown.size() <= text.size(), "what is shown is no longer");
  claim(printable(shown) == shown, "what is shown is printable");
  claim(is_name(shown.substr(0, name_bytes_max)) || shown.size() > name_bytes_max, "what is shown has no controls");
  claim(columns_of(shown) <= 2 * shown.size(), "a character has at most two columns");
  const std::string tidy = tidy_prose(text);
  claim(tidy_prose(tidy) == tidy && tidy.size() <= prose_bytes_max, "prose is tidied once");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = flotilla::fuzz::bytes_of_input(data, size);
  flotilla::fuzz::read_beacon(bytes);
  flotilla::fuzz::send_beacon(flotilla::fuzz::text_of(bytes));
  flotilla::fuzz::show(flotilla::fuzz::text_of(bytes));
  return 0;
}
