#include "cluster/address.h"

#include <algorithm>
#include <charconv>

namespace flotilla {
namespace {

constexpr std::size_t host_bytes_max = 255;  // a DNS name; numeric addresses are shorter

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(".-_:%@").contains(c);
}

}  // namespace

Result<PeerAddress> parse_address(std::string_view text, std::uint16_t port_default) {
  const auto wrong = [&] {
    return fail(
        Code::invalid_argument,
        "[cluster] expected a peer such as 192.168.1.7, studio.local:52414 or [fe80::1%eth0]:52414 but got '{}'",
        text.substr(0, host_bytes_max));
  };
  std::string_view host = text, port_text;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos) return wrong();
    host = text.substr(1, end - 1);
    const auto rest = text.substr(end + 1);
    has_port = !rest.empty();
    if (has_port && !rest.starts_with(':')) return wrong();
    if (has_port) port_text = rest.substr(1);
  } else if (const auto colon = text.find(':'); colon != text.npos && text.find(':', colon + 1) == text.npos) {
    host = text.substr(0, colon);  // exactly one colon: a port follows. Two or more: a bare IPv6 address.
    port_text = text.substr(colon + 1);
    has_port = true;
  }
  PeerAddress address{.host = std::string(host), .port = port_default};
  if (host.empty() || host.size() > host_bytes_max || !std::ranges::all_of(host, is_host_character)) return wrong();
  if (has_port) {
    const auto* end = port_text.data() + port_text.size();
    const auto [rest, error] = std::from_chars(port_text.data(), end, address.port);
    if (error != std::errc{} || rest != end) return wrong();
  }
  if (address.port == 0) return wrong();
  return address;
}

std::string to_string(const PeerAddress& address) {
  if (address.host.contains(':')) return std::format("[{}]:{}", address.host, address.port);
  return std::format("{}:{}", address.host, address.port);
}

}  // namespace flotilla
