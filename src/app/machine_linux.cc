#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include "app/machine.h"

namespace flotilla {
namespace {

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

std::uint64_t meminfo_bytes(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":")) {
      std::istringstream words(line.substr(key.size() + 1));
      std::uint64_t kibibytes = 0;
      words >> kibibytes;
      return kibibytes * 1024;
    }
  return 0;
}

// What is left under this process's memory limit; both cgroup versions, nothing where there is no limit.
std::optional<std::uint64_t> cgroup_memory_left() {
  struct Files {
    const char *limit, *used;
  };
  for (const Files& files :
       {Files{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        Files{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"}}) {
    const auto limit = read_number(files.limit), used = read_number(files.used);
    if (limit && used && *limit < (1ull << 60)) return *limit > *used ? *limit - *used : 0;
  }
  return std::nullopt;
}

}  // namespace

std::string machine_name() {
  char name[HOST_NAME_MAX + 1] = {};
  if (::gethostname(name, HOST_NAME_MAX) != 0 || name[0] == 0) return "flotilla";
  const std::string full = name;
  return full.substr(0, full.find('.'));
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    for (const std::string key : {"model name", "Model", "Hardware"})
      if (line.starts_with(key))
        if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "CPU";
}

std::uint32_t processors_allowed() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::uint32_t count = ::sched_getaffinity(0, sizeof set, &set) == 0
                            ? static_cast<std::uint32_t>(CPU_COUNT(&set))
                            : static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  double quota = 0, period = 0;
  if (quota_file >> quota >> period && quota > 0 && period > 0)
    count = std::min(count, static_cast<std::uint32_t>(std::max(1.0, std::floor(quota / period))));
  return std::max(1u, count);
}

std::uint64_t memory_available_bytes() {
  const std::uint64_t system = meminfo_bytes("MemAvailable");
  return std::min(system, cgroup_memory_left().value_or(std::numeric_limits<std::uint64_t>::max()));
}

std::filesystem::path own_executable() { return std::filesystem::read_symlink("/proc/self/exe"); }

}  // namespace flotilla
