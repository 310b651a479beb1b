// Whether what is sent to the beacons' port by an interface is heard there again: where it is not, this machine's own
// firewall or the interface keeps beacons away, and others will not find it.
//
// What is sent is no beacon: other machines drop it. Blocking: for a helper thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "cluster/interfaces.h"

namespace flotilla {

struct BeaconEcho {
  InterfaceAddress address;
  bool heard = false;
};

// By each real interface and family. unavailable where nobody can listen on the port (another program has it for
// itself).
Result<std::vector<BeaconEcho>> echo_beacons(std::uint16_t discovery_port, std::chrono::milliseconds patience);

}  // namespace flotilla
