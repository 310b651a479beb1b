// Where this machine's power comes from, and what it offers to models while that is a battery. One file per system
// behind read_power() (power_linux.cc, power_macos.cc); the rest is pure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace flotilla {

struct Power {
  bool has_battery = false;  // one that runs the machine, not a mouse's
  bool on_battery = false;
  std::optional<std::uint32_t> charge_percent;  // of the fullest battery
  bool operator==(const Power&) const = default;
};

// Nothing known is taken for mains. FLOTILLA_POWER_SUPPLY names a folder instead of /sys/class/power_supply.
Power read_power();
Power read_power(const std::filesystem::path& folder);  // Linux: shaped like /sys/class/power_supply

enum class OnBattery : std::uint8_t {
  none,  // offers nothing; models are handed over to machines on mains
  less,  // offers half of its memory
  all,   // as on mains
};
std::optional<OnBattery> on_battery_from_string(std::string_view text);

struct BatteryRules {
  OnBattery on_battery = OnBattery::less;
  std::uint32_t low_percent = 20;  // on a battery with no more than this: as with OnBattery::none
};

std::uint64_t offered_bytes(const Power& power, const BatteryRules& rules, std::uint64_t on_mains);
std::string describe(const Power& power);  // "on mains", "on battery at 43 %"

}  // namespace flotilla
