#include "app/wake_desk.h"

#include <format>

#include "base/log.h"

namespace flotilla {
namespace {

constexpr auto look_interval = std::chrono::seconds(1);

}  // namespace

WakeDesk::WakeDesk(NodeContext& context, std::chrono::seconds idle_after, std::function<bool()> holds_stage)
    : idle_after_(idle_after),
      holds_stage_(std::move(holds_stage)),
      wakefulness_(idle_after),
      ticker_(context.alarm, look_interval, [this] { look(); }) {}

void WakeDesk::stop() {
  ticker_.stop();
  inhibitor_.release();
}

// Asked once for each time of work: a system that refuses would refuse each second.
void WakeDesk::look() {
  const bool wanted = wakefulness_.step(holds_stage_(), Wakefulness::Time::clock::now());
  if (wanted && !asked_) {
    inhibitor_.hold("computes parts of language models for this and other machines");
    log(LogLevel::info, "app", "the system is asked not to sleep while this machine serves");
  } else if (!wanted && asked_) {
    inhibitor_.release();
    log(LogLevel::info, "app", "the system may sleep again");
  }
  asked_ = wanted;
  if (!asked_ || inhibitor_.holds() || told_) return;
  told_ = true;
  log(LogLevel::debug, "app", "nothing keeps this machine awake while it serves: {}", inhibitor_.trouble());
}

Finding WakeDesk::check() {
  Finding finding{.check = "sleep", .found = "", .to_do = ""};
  if (idle_after_.count() == 0) {
    finding.found = "the system is never asked to stay awake (--stay-awake 0s)";
  } else if (inhibitor_.holds()) {
    finding.found = "the system is asked not to sleep: this machine serves";
  } else if (!inhibitor_.trouble().empty()) {
    finding.health = asked_ ? Health::warn : Health::ok;
    finding.found = "cannot be kept from sleeping while it serves: " + inhibitor_.trouble();
    finding.to_do = "switch sleep off in its settings, if it is to serve while nobody sits at it";
  } else {
    finding.found =
        std::format("may sleep now; is kept awake while it serves, and for {} s after", idle_after_.count());
  }
  return finding;
}

}  // namespace flotilla
