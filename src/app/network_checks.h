// What a doctor finds of this machine's network: ports, interfaces, whether beacons can be heard.
//
// Blocking for up to half a second: for a helper thread or a command.
#pragma once

#include <cstdint>
#include <string>

#include "app/checkup.h"

namespace flotilla {

struct Ports {
  std::string api_host = "127.0.0.1";
  std::uint16_t api = 0, cluster = 0, discovery = 0;
};

Finding list_ports(const Ports& ports);         // of a node that runs: they are its own
Findings check_ports_free(const Ports& ports);  // where none runs: free, or whose
Finding check_interfaces();
// `beacons`: false where the node neither sends nor hears them (--no-discovery).
Finding check_beacons(std::uint16_t discovery_port, bool beacons);

}  // namespace flotilla
