#include "app/port_owner.h"

#include <algorithm>
#include <filesystem>
#include <format>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace flotilla {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view listening = "0A";  // of TCP, in /proc/net/tcp

// Inodes of the sockets bound to the port. A line: "0: 0100007F:CCBF 00000000:0000 0A … uid timeout inode …".
std::set<std::string> sockets_on(PortKind kind, std::uint16_t port) {
  std::set<std::string> inodes;
  const std::string suffix = std::format(":{:04X}", port);
  for (const char* table : {"", "6"}) {
    std::ifstream file(std::format("/proc/net/{}{}", kind == PortKind::tcp ? "tcp" : "udp", table));
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::vector<std::string> fields;
      for (std::string word; fields.size() < 10 && words >> word;) fields.push_back(word);
      if (fields.size() < 10 || !fields[1].ends_with(suffix)) continue;
      if (kind == PortKind::udp || fields[3] == listening) inodes.insert(fields[9]);
    }
  }
  return inodes;
}

bool has_socket(const fs::path& process, const std::set<std::string>& inodes) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(process / "fd", error)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone).string();  // "socket:[12345]"
    if (target.starts_with("socket:[") && inodes.contains(target.substr(8, target.size() - 9))) return true;
  }
  return false;
}

}  // namespace

std::string port_owner(PortKind kind, std::uint16_t port) {
  const auto inodes = sockets_on(kind, port);
  std::error_code error;
  if (!inodes.empty())
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
      const std::string pid = entry.path().filename().string();
      if (!std::ranges::all_of(pid, [](char c) { return c >= '0' && c <= '9'; })) continue;
      if (!has_socket(entry.path(), inodes)) continue;
      std::ifstream file(entry.path() / "comm");
      std::string name;
      std::getline(file, name);
      return std::format("{} (process {})", name, pid);
    }
  return "another program";
}

}  // namespace flotilla
