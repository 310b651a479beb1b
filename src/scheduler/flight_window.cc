#include "scheduler/flight_window.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace flotilla {
namespace {

constexpr double idle_share_min = 0.12;  // less is the waiting that sampling and jitter make
constexpr double queued_share = 0.08;    // of a round: so much more than the shortest, and something was in its way
constexpr double steps_queued_max = 1.5;
constexpr double rate_gain_min = 1.03;   // of rows in a second: less is no reason to have another step under way
constexpr double rows_change_max = 1.1;  // more, and it is other work
constexpr std::uint32_t rest_min = 8;    // periods
constexpr std::uint32_t afresh_after = 1024;

double in_seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

double FlightWindow::Period::idle_share() const { return in_seconds(idle) / in_seconds(passed); }
double FlightWindow::Period::rows_per_second() const { return static_cast<double>(rows) / in_seconds(passed); }

FlightWindow::FlightWindow(Work work, std::uint32_t stages)
    : work_(work), stages_(stages), steps_(stages), to_pass_over_(stages), next_rest_(rest_min) {}

std::size_t FlightWindow::size_class(std::uint32_t rows) {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(rows)), 15);
}

void FlightWindow::saw(const Returned& step) {
  if (stages_ < 2) return;  // nothing is on its way for long
  if (++seen_since_afresh_ >= afresh_after) return begin_afresh();
  const auto size = size_class(step.rows);
  const auto keep_least = [&](Duration& least) {
    least = least == Duration{} ? step.round : std::min(least, step.round);
  };
  keep_least(shortest_[size]);
  if (work_ == Work::answers && to_pass_over_ > 0) {
    --to_pass_over_;
    return;
  }
  keep_least(period_.shortest[size]);
  period_.rows += step.rows;
  period_.idle += step.idle;
  period_.passed += step.interval;
  if (++period_.steps >= 2 * steps_) judge(1 - in_seconds(shortest_[size]) / in_seconds(period_.shortest[size]));
}

// A trial that is broken off has told nothing.
void FlightWindow::interrupt() {
  if (std::exchange(before_trial_, {})) {
    rest_ = rest_min;
    change_steps(steps_ - 1);
  }
  period_ = {};
  to_pass_over_ = std::max(to_pass_over_, steps_);
}

// `queued`: the share of a round that a step waited behind others, at the least.
void FlightWindow::judge(double queued) {
  Period period = std::exchange(period_, {});
  period.under_way = steps_;
  if (rest_ > 0) --rest_;
  if (const auto before = std::exchange(before_trial_, {}); before && !keeps_one_more(*before, period)) {
    change_steps(steps_ - 1);
    return;
  }
  if (queued * steps_ > steps_queued_max && steps_ > stages_) return change_steps(steps_ - 1);
  const bool more_might_help = period.idle_share() > idle_share_min && queued < queued_share;
  if (!more_might_help || rest_ > 0 || steps_ >= std::max(steps_under_way_max, stages_)) return;
  if (work_ == Work::answers) before_trial_ = period;
  change_steps(steps_ + 1);
}

// Where not, sets how long no other trial is made.
bool FlightWindow::keeps_one_more(const Period& before, const Period& trial) {
  const double change = trial.rows_under_way() / before.rows_under_way();
  if (change > rows_change_max || change < 1 / rows_change_max) {
    rest_ = rest_min;
    return false;
  }
  if (trial.rows_per_second() > before.rows_per_second() * rate_gain_min) return true;
  rest_ = std::exchange(next_rest_, 2 * next_rest_);
  return false;
}

// Those begun before come back first. A step more delays the head once, and the next ones return in a burst.
void FlightWindow::change_steps(std::uint32_t steps) {
  to_pass_over_ = steps_ + (steps > steps_ ? steps : 0);
  steps_ = steps;
}

void FlightWindow::begin_afresh() {
  const auto under_way = steps_;
  *this = FlightWindow(work_, stages_);
  to_pass_over_ += under_way;
}

}  // namespace flotilla
