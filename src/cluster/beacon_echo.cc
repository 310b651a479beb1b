#include "cluster/beacon_echo.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <string>

#include "base/ids.h"
#include "base/sha256.h"
#include "cluster/udp.h"

namespace flotilla {
Result<std::vector<BeaconEcho>> echo_beacons(std::uint16_t discovery_port, std::chrono::milliseconds patience) {
  std::vector<BeaconEcho> echoes;
  for (InterfaceAddress& address : real_interfaces())  // one of each family will do
    if (std::ranges::none_of(echoes, [&](const BeaconEcho& other) {
          return other.address.index == address.index && other.address.v6 == address.v6;
        }))
      echoes.push_back({.address = std::move(address)});
  // Each way has a text of its own: by which one a datagram came, its source does not tell.
  const std::uint64_t nonce = random_u64();
  std::vector<std::string> sent;
  for (std::size_t i = 0; i < echoes.size(); ++i) sent.push_back(std::format("flotilla doctor {:016x} {}", nonce, i));
  boost::asio::io_context loop;
  const auto on_datagram = [&](const BeaconSockets::Source&, std::span<const std::byte> datagram) {
    for (std::size_t i = 0; i < echoes.size(); ++i)
      if (std::ranges::equal(datagram, bytes_of(sent[i]))) echoes[i].heard = true;
    if (std::ranges::all_of(echoes, &BeaconEcho::heard)) loop.stop();
  };
  FLOTILLA_TRY(const auto sockets, BeaconSockets::open(loop, discovery_port, on_datagram));
  for (std::size_t i = 0; i < echoes.size(); ++i) sockets->send_by(echoes[i].address, bytes_of(sent[i]));
  if (!echoes.empty()) loop.run_for(patience);
  return echoes;
}

}  // namespace flotilla
