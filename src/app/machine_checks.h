// What a doctor finds of this machine alone: clock, disk, memory, power, the compute library, firewalls. No network.
//
// Thread: any; reads files, and may start nft or iptables where this user may ask them. Never: changes anything but for
// a file of its own in the home, which it removes.
#pragma once

#include <filesystem>
#include <string_view>

#include "app/checkup.h"
#include "app/power.h"

namespace flotilla {

Finding check_clock();  // whether the system keeps it right; the peers' clocks say more (fleet_checks.h)
Finding check_disk(const std::filesystem::path& home);
Finding check_memory();
Finding check_power(const Power& power, const BatteryRules& rules);
Finding check_compute();
Finding check_firewall(std::uint16_t cluster_port, std::uint16_t discovery_port);

// The rule by itself, on what `nft list ruleset` or `iptables -S` printed: drops what arrives unless a rule lets it.
bool drops_by_default(std::string_view rules);

}  // namespace flotilla
