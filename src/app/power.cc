#include "app/power.h"

#include <format>

namespace flotilla {

std::optional<OnBattery> on_battery_from_string(std::string_view text) {
  if (text == "none") return OnBattery::none;
  if (text == "less") return OnBattery::less;
  if (text == "all") return OnBattery::all;
  return std::nullopt;
}

std::uint64_t offered_bytes(const Power& power, const BatteryRules& rules, std::uint64_t on_mains) {
  if (!power.on_battery || rules.on_battery == OnBattery::all) return on_mains;
  const bool is_low = power.charge_percent && *power.charge_percent <= rules.low_percent;
  return rules.on_battery == OnBattery::none || is_low ? 0 : on_mains / 2;
}

std::string describe(const Power& power) {
  const std::string charge = power.charge_percent ? std::format(" at {} %", *power.charge_percent) : "";
  if (power.on_battery) return "on battery" + charge;
  return power.has_battery ? std::format("on mains; battery{}", charge.empty() ? " there" : charge) : "on mains";
}

}  // namespace flotilla
