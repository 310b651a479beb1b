#include "scheduler/flight_window.h"

#include <algorithm>
#include <bit>

namespace flotilla {
namespace {

constexpr double idle_share_min = 0.12;  // less is the waiting that sampling and jitter make
constexpr double queued_share = 0.08;    // of a round: so much more than the shortest, and something was in its way
constexpr double steps_queued_max = 1.5;
constexpr std::uint32_t afresh_after = 1024;

}  // namespace

std::size_t FlightWindow::size_class(std::uint32_t rows) {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(rows)), 15);
}

void FlightWindow::saw(const Returned& step) {
  if (stages_ < 2) return;  // nothing is on its way for long
  if (++seen_since_afresh_ >= afresh_after) return begin_afresh();
  const auto keep_least = [&](Duration& least) {
    least = least == Duration{} ? step.round : std::min(least, step.round);
  };
  const auto size = size_class(step.rows);
  keep_least(shortest_[size]);
  keep_least(recent_[size]);
  idle_ += step.idle;
  passed_ += step.interval;
  if (++seen_ >= 2 * steps_) judge(shortest_[size], recent_[size]);
}

void FlightWindow::judge(Duration shortest, Duration recent) {
  const double queued = 1 - std::chrono::duration<double>(shortest) / std::chrono::duration<double>(recent);
  const double idle = std::chrono::duration<double>(idle_) / std::chrono::duration<double>(passed_);
  if (idle > idle_share_min && queued < queued_share)
    steps_ = std::min(steps_ + 1, std::max(steps_under_way_max, stages_));
  else if (queued * steps_ > steps_queued_max)
    steps_ = std::max(steps_ - 1, stages_);
  recent_ = {};
  idle_ = passed_ = {};
  seen_ = 0;
}

void FlightWindow::begin_afresh() { *this = FlightWindow(stages_); }

}  // namespace flotilla
