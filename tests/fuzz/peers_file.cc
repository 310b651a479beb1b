// Addresses: those that people type, and the file that remembers them.
#include "cluster/peers_file.h"

#include "fuzz.h"
#include "input_file.h"

namespace flotilla::fuzz {
namespace {

void check_address(const PeerAddress& address) {
  claim(!address.host.empty() && address.host.size() <= 255 && address.port != 0, "an address can be reached");
  const auto again = parse_address(to_string(address), 0);
  claim(again && *again == address, "an address is read as it was written");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla;
  const auto text = fuzz::text_of(fuzz::bytes_of_input(data, size));
  if (const auto address = parse_address(text, 52414)) fuzz::check_address(*address);
  const fuzz::InputFile file(text);
  const auto peers = read_peers_file(file.path());
  fuzz::claim(peers.size() <= remembered_peers_max, "a file gives no more than are remembered");
  for (const PeerAddress& peer : peers) fuzz::check_address(peer);
  return 0;
}
