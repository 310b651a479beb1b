#include "app/network_checks.h"

#include <algorithm>
#include <chrono>
#include <format>
#include <map>
#include <optional>
#include <vector>

#include "app/port_owner.h"
#include "base/words.h"
#include "cluster/beacon_echo.h"
#include "cluster/interfaces.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto echo_patience = 400ms;  // within one machine a datagram takes microseconds

struct WantedPort {
  const char *name, *flag;
  std::string host;
  std::uint16_t port;
};

// Empty where it is free.
std::optional<Finding> why_taken(const WantedPort& wanted) {
  if (wanted.port == 0) return std::nullopt;
  const auto listener = tcp_listen(wanted.host, wanted.port);
  if (listener) return std::nullopt;
  if (listener.error().code != Code::busy)
    return Finding{.check = "ports",
                   .health = Health::bad,
                   .found = std::string(without_room(listener.error().message)),
                   .to_do = std::format("choose another with {}", wanted.flag)};
  return Finding{
      .check = "ports",
      .health = Health::bad,
      .found = std::format("{} {} is taken by {}", wanted.name, wanted.port, port_owner(PortKind::tcp, wanted.port)),
      .to_do = std::format("stop it, or choose another port with {}", wanted.flag)};
}

}  // namespace

Finding list_ports(const Ports& ports) {
  return {.check = "ports",
          .found = std::format("API {}:{}, cluster TCP {}, discovery UDP {}: held by this node", ports.api_host,
                               ports.api, ports.cluster, ports.discovery),
          .to_do = ""};
}

Findings check_ports_free(const Ports& ports) {
  Findings findings;
  for (const WantedPort& wanted : {WantedPort{"the API's TCP port", "--api HOST:PORT", ports.api_host, ports.api},
                                   WantedPort{"the cluster's TCP port", "--cluster-port", "", ports.cluster}})
    if (auto taken = why_taken(wanted)) findings.push_back(*std::move(taken));
  if (findings.empty())
    findings.push_back(
        {.check = "ports",
         .found = std::format("API {}:{} and cluster TCP {} are free", ports.api_host, ports.api, ports.cluster),
         .to_do = ""});
  return findings;
}

Finding check_interfaces() {
  std::map<std::string, std::vector<std::string>> used;
  std::map<std::string, std::string> left_out;
  for (const JudgedAddress& each : judge_interfaces()) {
    if (each.left_out.empty())
      used[each.address.interface].push_back(each.address.address);
    else
      left_out[each.address.interface] = each.left_out;
  }
  Finding finding{.check = "interfaces", .found = "", .to_do = ""};
  std::vector<std::string> here, gone;
  for (const auto& [name, addresses] : used) here.push_back(std::format("{} ({})", name, joined(addresses)));
  for (const auto& [name, why] : left_out)
    if (!used.contains(name)) gone.push_back(std::format("{} ({})", name, why));
  finding.found = here.empty() ? "none behind which other machines could be" : joined(here);
  if (!gone.empty()) finding.found += "; left out: " + joined(gone);
  if (!here.empty()) return finding;
  finding.health = Health::bad;
  finding.to_do = "plug in a cable or switch on Wi-Fi; through a tunnel name the other machine: --peer HOST";
  return finding;
}

Finding check_beacons(std::uint16_t discovery_port, bool beacons) {
  Finding finding{.check = "beacons", .found = "", .to_do = ""};
  if (!beacons) {
    finding.found = "switched off (--no-discovery): others are found by --peer and by where they were met before";
    return finding;
  }
  const auto echoes = echo_beacons(discovery_port, echo_patience);
  if (!echoes) {
    finding.health = Health::bad;
    finding.found = std::format("UDP port {} is taken by {}, so no beacon can be heard", discovery_port,
                                port_owner(PortKind::udp, discovery_port));
    finding.to_do = "stop it, or give all machines another port with --discovery-port";
    return finding;
  }
  if (echoes->empty()) {
    finding.found = "no interface to send them by";  // which is said to be bad already
    return finding;
  }
  std::map<std::string, std::vector<std::string>> heard, unheard;
  for (const BeaconEcho& echo : *echoes)
    (echo.heard ? heard : unheard)[echo.address.interface].push_back(echo.address.v6 ? "IPv6" : "IPv4");
  const auto say = [](const auto& interfaces) {
    std::vector<std::string> parts;
    for (const auto& [name, families] : interfaces) parts.push_back(std::format("{} ({})", name, joined(families)));
    return joined(parts);
  };
  finding.found = heard.empty() ? std::format("none that this machine sent came back on UDP {}", discovery_port)
                                : std::format("this machine hears its own on UDP {} by {}", discovery_port, say(heard));
  if (!heard.empty() && !unheard.empty()) finding.found += "; not by " + say(unheard);
  // One family is enough for others to find it.
  if (std::ranges::all_of(unheard, [&](const auto& entry) { return heard.contains(entry.first); })) return finding;
  finding.health = heard.empty() ? Health::bad : Health::warn;
  finding.to_do =
      std::format("let UDP {} in through this machine's firewall, or name machines with --peer HOST", discovery_port);
  return finding;
}

}  // namespace flotilla
