// Written from Apple's documentation; never run by us (README).
#include <IOKit/ps/IOPSKeys.h>
#include <IOKit/ps/IOPowerSources.h>

#include <algorithm>

#include "app/power.h"

namespace flotilla {
namespace {

std::optional<std::uint32_t> number_of(CFDictionaryRef source, CFStringRef key) {
  const auto* value = static_cast<CFNumberRef>(CFDictionaryGetValue(source, key));
  int number = 0;
  if (value == nullptr || !CFNumberGetValue(value, kCFNumberIntType, &number) || number < 0) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

}  // namespace

Power read_power() {
  Power power;
  CFTypeRef snapshot = IOPSCopyPowerSourcesInfo();
  if (snapshot == nullptr) return power;
  if (CFStringRef from = IOPSGetProvidingPowerSourceType(snapshot))
    power.on_battery = CFStringCompare(from, CFSTR(kIOPMBatteryPowerKey), 0) == kCFCompareEqualTo;
  if (CFArrayRef sources = IOPSCopyPowerSourcesList(snapshot)) {
    for (CFIndex i = 0; i < CFArrayGetCount(sources); ++i) {
      CFDictionaryRef source = IOPSGetPowerSourceDescription(snapshot, CFArrayGetValueAtIndex(sources, i));
      if (source == nullptr) continue;
      power.has_battery = true;
      const auto now = number_of(source, CFSTR(kIOPSCurrentCapacityKey)),
                 full = number_of(source, CFSTR(kIOPSMaxCapacityKey));
      if (now && full && *full > 0)
        power.charge_percent = std::max(std::min(100 * *now / *full, 100u), power.charge_percent.value_or(0));
    }
    CFRelease(sources);
  }
  CFRelease(snapshot);
  return power;
}

Power read_power(const std::filesystem::path&) { return read_power(); }

}  // namespace flotilla
