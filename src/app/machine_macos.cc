// Written from Apple's documentation; never run by us (README).
#include <mach-o/dyld.h>
#include <mach/mach.h>
#include <sys/sysctl.h>
#include <unistd.h>

#include <climits>

#include "app/machine.h"

namespace flotilla {
namespace {

std::string sysctl_text(const char* name) {
  char value[256] = {};
  std::size_t bytes = sizeof value;
  return ::sysctlbyname(name, value, &bytes, nullptr, 0) == 0 ? value : "";
}

}  // namespace

std::string machine_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == 0) return "flotilla";
  const std::string full = name;
  return full.substr(0, full.find('.'));
}

std::string processor_name() { return sysctl_text("machdep.cpu.brand_string"); }

std::uint32_t processors_allowed() {
  const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? static_cast<std::uint32_t>(count) : 1;
}

double processor_share() { return processors_allowed(); }

std::uint64_t memory_available_bytes() {
  vm_statistics64_data_t statistics{};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  if (::host_statistics64(::mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&statistics), &count) !=
      KERN_SUCCESS)
    return 0;
  return (static_cast<std::uint64_t>(statistics.free_count) + statistics.inactive_count) *
         static_cast<std::uint64_t>(::getpagesize());
}

bool is_starved(int) { return false; }

std::filesystem::path own_executable() {
  char path[PATH_MAX];
  std::uint32_t bytes = sizeof path;
  return ::_NSGetExecutablePath(path, &bytes) == 0 ? std::filesystem::canonical(path) : "flotilla";
}

std::filesystem::path program_to_start() { return own_executable(); }

}  // namespace flotilla
