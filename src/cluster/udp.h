// The sockets beacons travel through: IPv4 broadcast, IPv4 multicast and IPv6 link-local multicast on every real
// interface, and multicast on loopback for other nodes of the same machine.
//
// Two kinds of socket. *Ears* are bound to the discovery port, which all nodes of one machine share; multicast and
// broadcast reach every one of them. *Mouths* have ports of their own: beacons leave by them, and answers come back to
// them, because a datagram to the shared port alone would reach just one of its owners.
// Thread: the loop's. Failures of one interface or family (no such route, dropped by a firewall, no IPv6) are not
// errors: the other ways remain.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/interfaces.h"

namespace flotilla {

inline constexpr const char* beacon_group_v4 = "239.255.52.41";
inline constexpr const char* beacon_group_v6 = "ff12::666c:6f74:696c";  // link-local scope; the rest spells "flotil"

class BeaconSockets {
 public:
  // `source` is opaque: to answer, hand it back to send_to.
  struct Source {
    std::string host;  // "192.168.1.7", "fe80::1%eth0"
    std::vector<std::byte> address;
    bool v6 = false;
  };
  using OnDatagram = std::function<void(const Source& source, std::span<const std::byte> datagram)>;

  // unavailable where neither family can listen on the port.
  static Result<std::unique_ptr<BeaconSockets>> open(boost::asio::io_context& loop, std::uint16_t discovery_port,
                                                     OnDatagram on_datagram);
  virtual ~BeaconSockets() = default;

  // Joins the groups on the interfaces there are now. True where they changed since the last call.
  virtual bool refresh_interfaces() = 0;
  virtual void send_everywhere(std::span<const std::byte> datagram) = 0;
  // By this interface alone, every way its family has: not to this machine's loopback.
  virtual void send_by(const InterfaceAddress& address, std::span<const std::byte> datagram) = 0;
  virtual void send_to(const Source& source, std::span<const std::byte> datagram) = 0;
};

}  // namespace flotilla
