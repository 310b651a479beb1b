#include "scheduler/flight_window.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace flotilla {
namespace {

constexpr double idle_share_min = 0.12;  // less is the waiting that sampling and jitter make
constexpr double queued_share = 0.08;    // of a round: so much more than the shortest, and something was in its way
constexpr double steps_queued_max = 1.5;
constexpr double rate_gain_min = 1.03;  // of rows in a second: less is no reason to have another step under way
// A trial that met other work than the period before it tells nothing.
constexpr double rows_change_max = 1.1;
constexpr std::uint32_t rest_min = 8;  // periods
constexpr std::uint32_t afresh_after = 1024;

double in_seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

double FlightWindow::Period::idle_share() const { return in_seconds(idle) / in_seconds(passed); }
double FlightWindow::Period::rows_per_second() const { return static_cast<double>(rows) / in_seconds(passed); }

FlightWindow::FlightWindow(std::uint32_t stages)
    : stages_(stages), steps_(stages), begun_before_(stages), next_rest_(rest_min) {}

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
  if (begun_before_ > 0) {
    --begun_before_;
    return;
  }
  keep_least(period_.shortest[size]);
  period_.rows += step.rows;
  period_.idle += step.idle;
  period_.passed += step.interval;
  if (++period_.steps >= 2 * steps_) judge(1 - in_seconds(shortest_[size]) / in_seconds(period_.shortest[size]));
}

// `queued`: the share of a round that a step waited behind others, at the least.
void FlightWindow::judge(double queued) {
  const Period period = std::exchange(period_, {});
  if (rest_ > 0) --rest_;
  if (const auto before = std::exchange(before_trial_, {}); before && !has_paid(*before, period)) return;
  if (queued * steps_ > steps_queued_max && steps_ > stages_) return change_steps(steps_ - 1);
  const bool more_might_help = period.idle_share() > idle_share_min && queued < queued_share;
  if (!more_might_help || rest_ > 0 || steps_ >= std::max(steps_under_way_max, stages_)) return;
  before_trial_ = period;
  change_steps(steps_ + 1);
}

// Takes the step that was one more back where it brought nothing. The answers that shared `before`'s steps have one
// more to share now; a prompt's pieces are as large as they were.
bool FlightWindow::has_paid(const Period& before, const Period& trial) {
  const double fewer = static_cast<double>(steps_ - 1) / steps_;
  const bool is_like_before = trial.rows_each() < before.rows_each() * rows_change_max &&
                              trial.rows_each() > before.rows_each() * fewer / rows_change_max;
  if (is_like_before && trial.rows_per_second() > before.rows_per_second() * rate_gain_min) return true;
  change_steps(steps_ - 1);
  if (is_like_before) rest_ = std::exchange(next_rest_, 2 * next_rest_);
  return false;
}

void FlightWindow::change_steps(std::uint32_t steps) { begun_before_ = std::exchange(steps_, steps); }

void FlightWindow::begin_afresh() { *this = FlightWindow(stages_); }

}  // namespace flotilla
