#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "app/power.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<std::uint32_t> percent_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint32_t percent = 0;
  return file >> percent ? std::optional(std::min(percent, 100u)) : std::nullopt;
}

// The kernel's names: a charger is "Mains", or "USB" where the machine takes power by USB-C; a battery of scope
// "Device" belongs to a mouse or a headset.
struct Supplies {
  bool any_charger = false, any_online = false, any_discharging = false;
};

}  // namespace

Power read_power(const fs::path& folder) {
  Power power;
  Supplies supplies;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string type = first_line(entry.path() / "type");
    if (first_line(entry.path() / "scope") == "Device") continue;
    if (type == "Mains" || type == "USB") {
      supplies.any_charger |= type == "Mains";
      supplies.any_online |= first_line(entry.path() / "online") == "1";
    } else if (type == "Battery") {
      power.has_battery = true;
      supplies.any_discharging |= first_line(entry.path() / "status") == "Discharging";
      if (const auto percent = percent_in(entry.path() / "capacity"))
        power.charge_percent = std::max(*percent, power.charge_percent.value_or(0));
    }
  }
  // A battery may be called discharging for moments on mains, and "Unknown" off it: the charger's word goes first.
  power.on_battery = power.has_battery && !supplies.any_online && (supplies.any_charger || supplies.any_discharging);
  return power;
}

Power read_power() {
  const char* folder = std::getenv("FLOTILLA_POWER_SUPPLY");
  return read_power(fs::path(folder && *folder ? folder : "/sys/class/power_supply"));
}

}  // namespace flotilla
