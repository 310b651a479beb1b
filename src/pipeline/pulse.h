// Tells the node every limits::pulse_interval that this runner lives, and how its step stands: from a thread of its
// own, so that a long computation does not look like a process that has stopped.
//
// In: the step clock, the process's time on processors.   Out: runner_pulse.   Owns: its thread.
// Thread: made and ended by the computing one.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "pipeline/node_line.h"
#include "pipeline/step_clock.h"
#include "wire/control.h"

namespace flotilla {

// What is told at each beat. Step functions: time, and that spent on processors, are handed in.
class Vitals {
 public:
  using Now = StepClock::Now;
  Vitals(StepClock& clock, Now now) : clock_(clock), beat_(now), active_(now) {}

  // `processor_time`: what all threads of this process have had so far. A beat that comes late says that the process
  // stood still or was starved; neither is the step's fault.
  RunnerPulse beat(Now now, std::chrono::nanoseconds processor_time);

 private:
  StepClock& clock_;
  Now beat_, active_;  // the last beat; when the process last had some processor time
  std::chrono::nanoseconds processor_time_{0};
};

class Pulse {
 public:
  Pulse(NodeLine& node, StepClock& clock, Epoch epoch);
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;

 private:
  void beat_until_stopped();

  NodeLine& node_;
  StepClock& clock_;
  const Epoch epoch_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace flotilla
