// Where a node's control connection can be reached: a host as text and a port.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

struct PeerAddress {
  std::string host;  // "192.168.1.7", "fe80::1%eth0", "office-7.local"; never with brackets
  std::uint16_t port = 0;
  auto operator<=>(const PeerAddress&) const = default;
};

// "host:port", "[v6]:port", "host" or a bare IPv6 address (both with `port_default`). invalid_argument otherwise.
Result<PeerAddress> parse_address(std::string_view text, std::uint16_t port_default);

std::string to_string(const PeerAddress& address);  // reads back by parse_address

}  // namespace flotilla
