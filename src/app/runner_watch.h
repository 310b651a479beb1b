// Decides whether a runner that has not ended has failed all the same: it is stopped, or its step hangs. Step
// functions: time and pulses are handed in.
//
//   silent   no pulse for limits::runner_silence_lost, though its node listened. A thread beside the computing one
//   sends
//            them, so a long computation is not silent.
//   still    a step takes much longer than such steps do, and uses no processor time: a device or a lock that hangs.
//
// A runner that would go on if it got a processor (or its disk) is starved, not stopped, and has
// limits::runner_starved_lost. Nobody is watched before the first pulse: loading takes its time. Thread: the loop's.
// Never: blames a runner for time in which its own node did not look.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "wire/control.h"

namespace flotilla {

class RunnerWatch {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  // Whether a thread of the process waits for a processor or a disk; asked only of a runner that seems to have failed.
  using IsStarved = std::function<bool()>;

  void on_pulse(const RunnerPulse& pulse, Instant now);
  void on_request(Instant now) { worked_ = now; }  // it owes an answer from now on
  // Every limits::pulse_interval. Where it has failed, how: what follows "the process holding ...".
  std::optional<std::string> on_tick(Instant now, const IsStarved& is_starved);

 private:
  bool owes_something() const;
  std::optional<std::string> is_silent(Instant now, const IsStarved& is_starved) const;
  std::optional<std::string> is_still(const IsStarved& is_starved) const;

  std::optional<RunnerPulse> last_;
  Instant heard_{}, worked_{}, ticked_{};
};

}  // namespace flotilla
