#include "pipeline/pulse.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace flotilla {
namespace {

// Of the time between two beats: a process that computes nothing uses less, for the beats alone.
constexpr int idle_share = 100;

std::chrono::nanoseconds processor_time_used() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

RunnerPulse Vitals::beat(Now now, std::chrono::nanoseconds processor_time) {
  const auto since = now - std::exchange(beat_, now);
  const auto used = processor_time - std::exchange(processor_time_, processor_time);
  if (used > since / idle_share) active_ = now;
  if (const auto late = since - limits::pulse_interval; late > limits::pulse_interval) {
    clock_.stood_still(late);
    active_ = std::min(active_ + late, now);
  }
  const auto reading = clock_.read(now);
  return {.steps = reading.steps,
          .step_seconds = seconds(reading.step),
          .still_seconds = seconds(std::min(reading.step, now - active_)),
          .usual_seconds = seconds(reading.usual)};
}

Pulse::Pulse(NodeLine& node, StepClock& clock, Epoch epoch)
    : node_(node), clock_(clock), epoch_(epoch), thread_([this] { beat_until_stopped(); }) {}

Pulse::~Pulse() {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Pulse::beat_until_stopped() {
  Vitals vitals(clock_, StepClock::Clock::now());
  for (;;) {
    const auto pulse = vitals.beat(StepClock::Clock::now(), processor_time_used());
    node_.send(FrameKind::runner_pulse, encode(pulse), epoch_);
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, limits::pulse_interval, [&] { return stopped_; })) return;
  }
}

}  // namespace flotilla
