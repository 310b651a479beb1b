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

// Empty: a real interface, or a cable end where there is none.
std::string never_used_because(const SystemAddress& entry) {
  if (entry.loopback) return "loopback";
  if (!entry.up) return "down";
  if (entry.address.index == 0 || entry.address.address.empty()) return "without a number";
  if (entry.point_to_point) return "a tunnel";
  return kind_of(entry.address.interface) == Kind::unwanted ? "a tunnel, or of containers or virtual machines" : "";
}

}  // namespace

std::vector<JudgedAddress> judge_addresses(const std::vector<SystemAddress>& all) {
  const auto is_real = [](const SystemAddress& entry) {
    return never_used_because(entry).empty() && kind_of(entry.address.interface) == Kind::real;
  };
  const bool any_real = std::ranges::any_of(all, is_real);
  std::vector<JudgedAddress> judged;
  for (const auto& entry : all) {
    std::string why = never_used_because(entry);
    if (why.empty() && any_real && !is_real(entry)) why = "a cable end of a container, and there are real ones";
    judged.push_back({entry.address, std::move(why)});
  }
  return judged;
}

std::vector<InterfaceAddress> choose_real(const std::vector<SystemAddress>& all) {
  std::vector<InterfaceAddress> chosen;
  for (JudgedAddress& each : judge_addresses(all))
    if (each.left_out.empty()) chosen.push_back(std::move(each.address));
  return chosen;
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

std::vector<JudgedAddress> judge_interfaces() {
  auto all = all_addresses();
  std::erase_if(all, [](const SystemAddress& entry) { return entry.loopback; });
  return judge_addresses(all);
}

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
