#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <format>
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

// A group's quota in cores; both cgroup versions, nothing where the group has none.
std::optional<double> quota_of(const std::filesystem::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream file(group / "cpu.max"); file >> quota >> period && period > 0) return quota / period;
  if (std::ifstream file(group / "cpu.cfs_quota_us"); !(file >> quota) || quota <= 0) return std::nullopt;
  if (std::ifstream file(group / "cpu.cfs_period_us"); !(file >> period) || period <= 0) return std::nullopt;
  return quota / period;
}

// The hierarchy that bears the quotas, and this process's place in it: "0::/user.slice" or "4:cpu,cpuacct:/jobs".
struct CpuGroup {
  std::filesystem::path root;
  std::string place;
};
CpuGroup cpu_group() {
  CpuGroup unified{"/sys/fs/cgroup", "/"};
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controllers.find(",cpu,") != std::string::npos) return {"/sys/fs/cgroup/cpu", line.substr(second + 1)};
    if (controllers == ",,") unified.place = line.substr(second + 1);
  }
  return unified;
}

// The least of its own group's and those above it. A group named beyond our view of the hierarchy (a container's) is
// not found there; then its root is what we see of it.
double quota() {
  const CpuGroup group = cpu_group();
  double least = std::numeric_limits<double>::infinity();
  std::string place = group.place;
  while (true) {
    if (const auto own = quota_of(group.root / std::filesystem::path(place).relative_path()))
      least = std::min(least, *own);
    const auto slash = place.rfind('/');
    if (place.size() <= 1 || slash == std::string::npos) return least;
    place.resize(std::max<std::size_t>(slash, 1));
  }
}

std::uint32_t processors_assigned() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0
             ? static_cast<std::uint32_t>(CPU_COUNT(&set))
             : static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
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

std::uint32_t processors_allowed() { return static_cast<std::uint32_t>(std::max(1.0, std::floor(processor_share()))); }

double processor_share() { return std::min<double>(processors_assigned(), quota()); }

std::uint64_t memory_available_bytes() {
  const std::uint64_t system = meminfo_bytes("MemAvailable");
  return std::min(system, cgroup_memory_left().value_or(std::numeric_limits<std::uint64_t>::max()));
}

bool is_starved(int pid) {
  std::error_code gone;
  for (const auto& thread : std::filesystem::directory_iterator(std::format("/proc/{}/task", pid), gone)) {
    std::ifstream file(thread.path() / "stat");
    std::string line;
    if (!std::getline(file, line)) continue;
    const auto name_end = line.rfind(')');  // the name may contain anything
    if (name_end == std::string::npos || name_end + 2 >= line.size()) continue;
    if (const char state = line[name_end + 2]; state == 'R' || state == 'D') return true;
  }
  return false;
}

std::filesystem::path own_executable() { return std::filesystem::read_symlink("/proc/self/exe"); }

// The link leads to the file even without a name, but whoever is started by it is called "exe" in lists of processes.
std::filesystem::path program_to_start() {
  std::error_code unknown;
  const auto path = own_executable();
  return std::filesystem::exists(path, unknown) ? path : "/proc/self/exe";
}

}  // namespace flotilla
