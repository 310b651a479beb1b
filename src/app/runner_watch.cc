#include "app/runner_watch.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/limits.h"

namespace flotilla {
namespace {

using Seconds = std::chrono::duration<double>;

double seconds(std::chrono::nanoseconds time) { return Seconds(time).count(); }

}  // namespace

void RunnerWatch::on_pulse(const RunnerPulse& pulse, Instant now) {
  if (!last_) ticked_ = now;
  if (!last_ || pulse.steps != last_->steps || pulse.step_seconds > 0) worked_ = std::max(worked_, now);
  last_ = pulse;
  heard_ = now;
}

// Whoever worked when it was last heard, or was asked since. A stage that is not the head's is asked by its neighbour,
// so one that is stopped while it rests is not known to owe anything.
bool RunnerWatch::owes_something() const { return worked_ + limits::runner_silence_lost > heard_; }

std::optional<std::string> RunnerWatch::on_tick(Instant now, const IsStarved& is_starved) {
  if (!last_) return std::nullopt;
  // Where this tick comes late, this node did not look: what the runner said meanwhile waits unread.
  const auto late = now - std::exchange(ticked_, now) - limits::pulse_interval;
  if (late > limits::pulse_interval)
    for (Instant* at : {&heard_, &worked_}) *at = std::min(*at + late, now);
  if (auto how = is_silent(now, is_starved)) return how;
  return is_still(is_starved);
}

std::optional<std::string> RunnerWatch::is_silent(Instant now, const IsStarved& is_starved) const {
  const auto silence = now - heard_;
  const auto patience = owes_something() ? limits::runner_silence_lost : limits::runner_silence_idle_lost;
  if (silence < patience || (silence < limits::runner_starved_lost && is_starved())) return std::nullopt;
  return std::format("gave no sign of life for {:.1f} s and was ended", seconds(silence));
}

std::optional<std::string> RunnerWatch::is_still(const IsStarved& is_starved) const {
  const bool is_usual_known = last_->usual_seconds > 0;
  const double starved_for = seconds(limits::runner_starved_lost);
  const double patience = is_usual_known
                              ? std::max(seconds(limits::step_still_lost), last_->usual_seconds * limits::step_overdue)
                              : starved_for;
  const double still = last_->still_seconds;
  if (still < patience || (still < std::max(patience, starved_for) && is_starved())) return std::nullopt;
  const std::string usual = is_usual_known ? std::format("at most {:.2f} s", last_->usual_seconds) : "less";
  return std::format(
      "has been at one step for {:.1f} s, the last {:.1f} without computing, where such steps take {}, "
      "and was ended; a device may hang",
      last_->step_seconds, still, usual);
}

}  // namespace flotilla
