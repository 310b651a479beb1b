#include "app/power_desk.h"

#include "base/log.h"

namespace flotilla {
namespace {

constexpr auto look_interval = std::chrono::seconds(2);  // some small files of the kernel's

}  // namespace

PowerDesk::PowerDesk(NodeContext& context, const BatteryRules& rules, Read read)
    : context_(context),
      rules_(rules),
      read_(std::move(read)),
      power_(read_()),
      ticker_(context.alarm, look_interval, [this] { look(); }) {}

void PowerDesk::look() {
  const Power now = read_();
  if (now == power_) return;
  if (now.on_battery != power_.on_battery) log(LogLevel::info, "app", "this machine runs {}", describe(now));
  power_ = now;
  context_.changed();
}

}  // namespace flotilla
