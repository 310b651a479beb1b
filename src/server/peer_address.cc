#include "server/peer_address.h"

#include <algorithm>

namespace flotilla {

namespace ip = boost::asio::ip;

ip::address plain_address(const ip::address& address) {
  if (!address.is_v6()) return address;
  auto plain = address.to_v6();
  if (plain.is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, plain);
  plain.scope_id(0);
  return plain;
}

bool is_from_this_machine(const ip::address& remote, const ip::address& local) {
  return remote.is_loopback() || (!remote.is_unspecified() && remote == local);
}

std::string connection_owner(const ip::address& address) {
  if (address.is_v4() || address.to_v6().is_link_local()) return address.to_string();
  auto bytes = address.to_v6().to_bytes();
  std::ranges::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return ip::address_v6(bytes).to_string() + "/64";
}

}  // namespace flotilla
