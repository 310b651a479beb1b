#include "cluster/interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

namespace flotilla {
namespace {

enum class Kind { real, cable_end, unwanted };

// By name, because the kind of a link is not portable to ask for and these names are the programs' own. Tunnels are
// told by their point-to-point flag too, but not all of them set it.
Kind kind_of(std::string_view name) {
  static constexpr std::array<std::string_view, 20> unwanted{
      "docker",    "br-", "virbr", "vnet", "cni",  "flannel", "cali",    "cilium", "lxcbr", "podman",
      "tailscale", "wg",  "tun",   "tap",  "utun", "zt",      "vboxnet", "vmnet",  "awdl",  "llw"};
  if (std::ranges::any_of(unwanted, [&](auto prefix) { return name.starts_with(prefix); })) return Kind::unwanted;
  return name.starts_with("veth") || name.starts_with("lxc") ? Kind::cable_end : Kind::real;
}

std::string text_of(const sockaddr* address) {
  if (address == nullptr) return {};
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    return inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size()) ? text.data() : "";
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  return inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size()) ? text.data() : "";
}

SystemAddress read(const ifaddrs& entry) {
  SystemAddress out;
  out.address.interface = entry.ifa_name;
  out.address.index = if_nametoindex(entry.ifa_name);
  out.address.v6 = entry.ifa_addr->sa_family == AF_INET6;
  out.address.address = text_of(entry.ifa_addr);
  out.up = (entry.ifa_flags & IFF_UP) != 0 && (entry.ifa_flags & IFF_RUNNING) != 0;
  out.loopback = (entry.ifa_flags & IFF_LOOPBACK) != 0;
  out.point_to_point = (entry.ifa_flags & IFF_POINTOPOINT) != 0;
  if (out.address.v6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(entry.ifa_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) out.address.address += "%" + out.address.interface;
  } else if ((entry.ifa_flags & IFF_BROADCAST) != 0) {
    out.address.broadcast = text_of(entry.ifa_broadaddr);
  }
  return out;
}

}  // namespace

std::vector<InterfaceAddress> choose_real(const std::vector<SystemAddress>& all) {
  std::vector<InterfaceAddress> real, cable_ends;
  for (const auto& entry : all) {
    const auto& address = entry.address;
    if (!entry.up || entry.loopback || entry.point_to_point || address.index == 0 || address.address.empty()) continue;
    const Kind kind = kind_of(address.interface);
    if (kind == Kind::real) real.push_back(address);
    if (kind == Kind::cable_end) cable_ends.push_back(address);
  }
  return real.empty() ? cable_ends : real;
}

namespace {

std::vector<SystemAddress> all_addresses() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, freeifaddrs);
  std::vector<SystemAddress> all;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family == AF_INET || family == AF_INET6) all.push_back(read(*entry));
  }
  return all;
}

}  // namespace

std::vector<InterfaceAddress> real_interfaces() { return choose_real(all_addresses()); }

LocalEnd local_end(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return {};
  std::string text = text_of(reinterpret_cast<const sockaddr*>(&address));
  // A socket of both families writes IPv4 addresses so.
  if (text.starts_with("::ffff:")) text.erase(0, 7);
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
  const std::uint32_t scope = address.ss_family == AF_INET6 ? v6->sin6_scope_id : 0;
  const auto all = all_addresses();
  const auto found = std::ranges::find_if(all, [&](const SystemAddress& entry) {
    const std::string plain = entry.address.address.substr(0, entry.address.address.find('%'));
    return plain == text && (scope == 0 || entry.address.index == scope);
  });
  if (found == all.end()) return {};
  const std::string& name = found->address.interface;
  const bool is_real = found->loopback || std::ranges::any_of(choose_real(all), [&](const InterfaceAddress& real) {
                         return real.interface == name;
                       });
  return {name, is_real};
}

}  // namespace flotilla
