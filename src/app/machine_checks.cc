#include "app/machine_checks.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#ifdef __linux__
#include <sys/timex.h>
#endif

#include "app/machine.h"
#include "base/units.h"
#include "engine/backend.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

// A model's layers take gigabytes: with less than this one more model will not fit, and with less than the other
// nothing can be written soon.
constexpr std::uint64_t disk_low_bytes = 5 * gib, disk_least_bytes = 256 * mib;
// The smallest model worth running takes some hundred megabytes.
constexpr std::uint64_t memory_least_bytes = 512 * mib;
constexpr std::size_t rules_bytes_max = 4u << 20;  // of a firewall's output; more is not looked at

// The nearest folder that is there: a home is made by the first start.
fs::path existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path.has_parent_path() && path != path.parent_path()) path = path.parent_path();
  return path;
}

// Empty where a file can be made in the folder; else the system's words.
std::string why_not_writable(const fs::path& folder) {
  std::string name = (folder / ".flotilla-doctor-XXXXXX").string();
  const Descriptor file(::mkstemp(name.data()));
  if (!file) return std::strerror(errno);
  ::unlink(name.c_str());
  return {};
}

}  // namespace

Finding check_clock() {
  Finding finding{.check = "clock", .found = "", .to_do = ""};
#ifdef __linux__
  timex clock{};
  const int state = ::adjtimex(&clock);
  if (state < 0) {
    finding.found = "the system does not say whether its clock is kept right";
  } else if (state != TIME_ERROR && (clock.status & STA_UNSYNC) == 0) {
    finding.found = "kept right by the system";
  } else {
    finding.health = Health::warn;
    finding.found = "not kept right by the system; machines whose clocks differ by 10 minutes refuse each other";
    finding.to_do = "sudo timedatectl set-ntp true; date must tell the same on all machines";
  }
#else
  finding.found = "not looked at whether the system keeps it right";
#endif
  return finding;
}

Finding check_disk(const fs::path& home) {
  Finding finding{.check = "disk", .found = "", .to_do = ""};
  const fs::path folder = existing(fs::absolute(home));
  const std::string where =
      folder == fs::absolute(home) ? home.string() : std::format("{} (not made yet)", home.string());
  if (const std::string why = why_not_writable(folder); !why.empty()) {
    finding.health = Health::bad;
    finding.found = std::format("cannot write in {}: {}", where, why);
    finding.to_do =
        std::format("make {} this user's (chown, chmod), or name another folder with --home", folder.string());
    return finding;
  }
  std::error_code error;
  const auto space = fs::space(folder, error);
  if (error) {
    finding.found = std::format("{} is writable; how much is free the system does not say", where);
    return finding;
  }
  finding.found = std::format("{} free in {}", format_bytes(space.available), where);
  if (space.available < disk_low_bytes) {
    finding.health = space.available < disk_least_bytes ? Health::bad : Health::warn;
    finding.to_do = "free some, or put the home on another disk with --home: layers of models are kept there";
  }
  return finding;
}

Finding check_memory() {
  const std::uint64_t available = memory_available_bytes();
  Finding finding{
      .check = "memory", .found = std::format("{} could be taken now", format_bytes(available)), .to_do = ""};
  if (available < memory_least_bytes) {
    finding.health = Health::warn;
    finding.to_do = "end other programs; this machine will hold next to nothing of a model";
  }
  return finding;
}

Finding check_power(const Power& power, const BatteryRules& rules) {
  Finding finding{.check = "power", .found = describe(power), .to_do = ""};
  constexpr std::uint64_t whole = 2;
  const std::uint64_t offered = offered_bytes(power, rules, whole);
  if (offered == whole) return finding;
  finding.health = Health::warn;
  finding.found += offered == 0 ? "; offers no memory to models" : "; offers half of its memory to models";
  finding.to_do = "plug it in, or start with --on-battery all";
  return finding;
}

// Looking costs a process nothing, loading would: libraries of another processor may end it.
Finding check_compute() {
  const std::string folder = backend_folder();
  Finding finding{.check = "compute",
                  .found = std::format("CPU {}, {} core{}; no GPUs in this release", processor_name(),
                                       processors_allowed(), processors_allowed() == 1 ? "" : "s"),
                  .to_do = ""};
  std::error_code error;
  if (folder.empty()) return finding;
  bool any = false;
  for (const auto& entry : fs::directory_iterator(folder, error))
    any = any || entry.path().filename().string().starts_with("libggml-cpu");
  if (any) return finding;
  finding.health = Health::bad;
  finding.found = std::format("no CPU library of ggml in {}", folder);
  finding.to_do = "install ggml's CPU backends (Debian: libggml0), or name their folder in FLOTILLA_GGML_BACKENDS";
  return finding;
}

// nft prints "type filter hook input priority filter; policy drop;", iptables "-P INPUT DROP".
bool drops_by_default(std::string_view rules) {
  for (std::size_t begin = 0; begin < rules.size();) {
    const std::size_t end = std::min(rules.find('\n', begin), rules.size());
    const std::string_view line = rules.substr(begin, end - begin);
    if (line.contains("hook input") && line.contains("policy drop")) return true;
    if (line.starts_with("-P INPUT DROP") || line.starts_with("-P INPUT REJECT")) return true;
    begin = end + 1;
  }
  return false;
}

namespace {

// What a firewall's own command prints; empty where it is not there or this user may not ask.
std::string output_of(const char* command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command, "r"), ::pclose);
  std::string output;
  std::array<char, 4096> piece{};
  while (pipe && output.size() < rules_bytes_max) {
    const std::size_t bytes = std::fread(piece.data(), 1, piece.size(), pipe.get());
    if (bytes == 0) break;
    output.append(piece.data(), bytes);
  }
  return output;
}

bool is_ufw_on() {
  std::ifstream file("/etc/ufw/ufw.conf");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("ENABLED=yes")) return true;
  return false;
}

struct Firewall {
  std::string name, open_ports;  // the command
};

// The programs that people set up firewalls with say so in files that everybody may read.
std::optional<Firewall> managed_firewall(std::uint16_t cluster_port, std::uint16_t discovery_port) {
  std::error_code error;
  if (is_ufw_on())
    return Firewall{"ufw", std::format("sudo ufw allow {}/tcp && sudo ufw allow {}/udp", cluster_port, discovery_port)};
  if (fs::exists("/run/firewalld.pid", error) || fs::exists("/run/firewalld", error))
    return Firewall{"firewalld",
                    std::format("sudo firewall-cmd --permanent --add-port={}/tcp --add-port={}/udp && sudo "
                                "firewall-cmd --reload",
                                cluster_port, discovery_port)};
  return std::nullopt;
}

}  // namespace

Finding check_firewall(std::uint16_t cluster_port, std::uint16_t discovery_port) {
  Finding finding{.check = "firewall", .found = "", .to_do = ""};
#ifdef __linux__
  if (const auto managed = managed_firewall(cluster_port, discovery_port)) {
    finding.health = Health::warn;
    finding.found = managed->name + " is switched on; whether it lets the others in was not looked at";
    finding.to_do = managed->open_ports + "; rings use high TCP ports too";
    return finding;
  }
  const bool may_ask = ::geteuid() == 0;
  const std::string rules =
      may_ask ? output_of("PATH=/usr/sbin:/sbin:$PATH; { nft list ruleset || iptables -S INPUT; } 2>/dev/null") : "";
  if (drops_by_default(rules)) {
    finding.health = Health::warn;
    finding.found = "its input chain drops what no rule lets in; the rules themselves were not looked at";
    finding.to_do = std::format("let in TCP {}, UDP {} and high TCP ports from machines of the fleet", cluster_port,
                                discovery_port);
  } else if (may_ask) {
    finding.found = "none that drops by default was found (ufw, firewalld, nft, iptables)";
  } else {
    finding.found = "neither ufw nor firewalld is on; nft's rules were not looked at, which only root may";
  }
#else
  finding.found = std::format("not looked at; macOS asks whether flotilla may take connections (TCP {}, UDP {})",
                              cluster_port, discovery_port);
#endif
  return finding;
}

}  // namespace flotilla
