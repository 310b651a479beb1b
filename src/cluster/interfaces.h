// Which network interfaces of this machine other machines can be behind.
//
// Thread: any; every call asks the system anew.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/tcp_link.h"

namespace flotilla {

struct InterfaceAddress {
  std::string interface;    // "eth0"
  std::uint32_t index = 0;  // the system's number of it
  std::string address;      // "192.168.1.7", "fe80::1%eth0"
  std::string broadcast;    // of an IPv4 address; empty where there is none
  bool v6 = false;
  bool operator==(const InterfaceAddress&) const = default;
};

// Addresses on real interfaces: up, not loopback, not a tunnel, not a bridge of containers or virtual machines; IPv4
// and IPv6 (link-local ones with their scope). A veth counts where the machine has nothing else: inside a container or
// a network namespace it is the cable. Empty where the system does not tell.
std::vector<InterfaceAddress> real_interfaces();

// The rule by itself, on what the system reported.
struct SystemAddress {
  InterfaceAddress address;
  bool up = false, loopback = false, point_to_point = false;
};
std::vector<InterfaceAddress> choose_real(const std::vector<SystemAddress>& all);

// Every address with why it is left out; empty where it is one of choose_real().
struct JudgedAddress {
  InterfaceAddress address;
  std::string left_out;  // "it is down", "it is a tunnel, or of containers or virtual machines"
};
std::vector<JudgedAddress> judge_addresses(const std::vector<SystemAddress>& all);
std::vector<JudgedAddress> judge_interfaces();  // those there are now, but for loopback

// Where a connected socket leaves this machine. Loopback counts as real: it leads to other nodes of this machine.
struct LocalEnd {
  std::string interface;  // empty where the system does not tell
  bool real = false;
};
LocalEnd local_end(const Descriptor& socket);

}  // namespace flotilla
