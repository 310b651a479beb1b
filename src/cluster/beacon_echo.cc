#include "cluster/beacon_echo.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <set>
#include <string>

#include "base/ids.h"
#include "base/sha256.h"
#include "cluster/udp.h"

namespace flotilla {
namespace {

// By families, not by addresses: an interface sends by one of its addresses of each.
bool heard_by(const std::vector<BeaconEcho>& all, const BeaconEcho& one) {
  return std::ranges::any_of(all, [&](const BeaconEcho& other) {
    return other.heard && other.address.index == one.address.index && other.address.v6 == one.address.v6;
  });
}

}  // namespace

Result<std::vector<BeaconEcho>> echo_beacons(std::uint16_t discovery_port, std::chrono::milliseconds patience) {
  std::vector<BeaconEcho> echoes;
  for (InterfaceAddress& address : real_interfaces()) echoes.push_back({.address = std::move(address)});
  const std::string sent = std::format("flotilla doctor {:016x}", random_u64());
  boost::asio::io_context loop;
  const auto on_datagram = [&](const BeaconSockets::Source& source, std::span<const std::byte> datagram) {
    if (!std::ranges::equal(datagram, bytes_of(sent))) return;
    for (BeaconEcho& echo : echoes) echo.heard = echo.heard || echo.address.address == source.host;
    if (std::ranges::all_of(echoes, [&](const BeaconEcho& echo) { return heard_by(echoes, echo); })) loop.stop();
  };
  FLOTILLA_TRY(const auto sockets, BeaconSockets::open(loop, discovery_port, on_datagram));
  sockets->send_everywhere(bytes_of(sent));
  if (!echoes.empty()) loop.run_for(patience);
  std::vector<BeaconEcho> settled = echoes;
  for (BeaconEcho& echo : settled) echo.heard = heard_by(echoes, echo);
  return settled;
}

}  // namespace flotilla
