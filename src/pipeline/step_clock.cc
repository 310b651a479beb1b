#include "pipeline/step_clock.h"

#include <algorithm>

namespace flotilla {
namespace {

std::size_t kind_of(std::size_t rows, std::size_t kinds) {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(rows)), kinds - 1);
}

}  // namespace

void StepClock::begin(std::size_t rows, Now now) {
  const std::scoped_lock lock(mutex_);
  rows_ = rows;
  begun_ = now;
}

void StepClock::end(Now now) {
  const std::scoped_lock lock(mutex_);
  if (!begun_) return;
  Lately& lately = lately_[kind_of(rows_, kinds)];
  lately.times[lately.count++ % kept] = now - *begun_;
  begun_.reset();
  ++steps_;
}

void StepClock::wait_begins(Now now) {
  const std::scoped_lock lock(mutex_);
  waits_since_ = now;
}

void StepClock::wait_ends(Now now) {
  const std::scoped_lock lock(mutex_);
  if (begun_ && waits_since_) *begun_ += now - std::max(*waits_since_, *begun_);
  waits_since_.reset();
}

void StepClock::stood_still(Clock::duration time) {
  const std::scoped_lock lock(mutex_);
  if (begun_) *begun_ += time;
}

StepClock::Reading StepClock::read(Now now) const {
  const std::scoped_lock lock(mutex_);
  if (!begun_ || waits_since_) return {.steps = steps_};
  return {.steps = steps_, .step = std::max(now - *begun_, Clock::duration{1}), .usual = usual()};
}

// Where steps of so many rows are not known: more rows cost at most as many times what fewer did, and fewer at most
// what more did.
StepClock::Clock::duration StepClock::usual() const {
  const std::size_t kind = kind_of(rows_, kinds);
  for (std::size_t fewer = kind + 1; fewer-- > 1;) {
    if (!lately_[fewer].is_known()) continue;
    const auto times = fewer == kind ? 1 : rows_ >> (fewer - 1);
    return lately_[fewer].longest() * static_cast<std::int64_t>(times);
  }
  for (std::size_t more = kind + 1; more < kinds; ++more)
    if (lately_[more].is_known()) return lately_[more].longest();
  return {};
}

StepClock::Clock::duration StepClock::Lately::longest() const {
  return *std::max_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(std::min(count, kept)));
}

}  // namespace flotilla
