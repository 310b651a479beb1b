// The signed list of machines put out: as it came, and with a good signature under whatever it says.
#include "trust/revocations.h"

#include <algorithm>

#include "fuzz.h"

namespace flotilla::fuzz {
namespace {

constexpr std::string_view key_pem =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    "-----END PRIVATE KEY-----\n";

const SigningKey& cluster_key() {
  static const SigningKey key = SigningKey::from_pem(key_pem).value();
  return key;
}

void check_list(const RevocationList& list, std::span<const std::byte> bytes) {
  claim(std::ranges::equal(list.encoded(), bytes), "a list is passed on as it came");
  claim(list.devices().size() <= RevocationList::devices_max, "a list is within its limit");
  for (const DeviceId& device : list.devices()) claim(list.contains(device), "who is put out is found");
  const DeviceId device{{std::byte{0x42}}};
  const auto longer = list.with(device, cluster_key());
  claim(longer || list.devices().size() == RevocationList::devices_max, "only a full list refuses");
  if (longer) {
    claim(longer->contains(device), "a longer list has whom it was made longer by");
    const auto read = RevocationList::decode(longer->encoded(), cluster_key().public_key());
    claim(read && read->number() == longer->number(), "what is signed is read");
  }
  claim(!list.without(device, cluster_key()).contains(device), "who is let in again is put out no more");
}

void read(std::span<const std::byte> bytes) {
  const auto list = RevocationList::decode(bytes, cluster_key().public_key());
  if (list) return check_list(*list, bytes);
  claim(list.error().code == Code::corrupt || list.error().code == Code::unauthorized, "what is no list is refused");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto bytes = fuzz::bytes_of_input(data, size);
  fuzz::read(bytes);
  Bytes signed_bytes(bytes.begin(), bytes.end());
  const Signature signature = fuzz::cluster_key().sign(bytes);
  signed_bytes.insert(signed_bytes.end(), signature.begin(), signature.end());
  fuzz::read(signed_bytes);
  return 0;
}
