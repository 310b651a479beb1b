// Decides when this machine asks the system not to send it to sleep: while it holds part of a model and has computed
// lately. A step function: time and facts are handed in. Thread: one.
#pragma once

#include <chrono>
#include <optional>

namespace flotilla {

class Wakefulness {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Asks until so long after the last work; 0: never.
  explicit Wakefulness(std::chrono::seconds idle_after) : idle_after_(idle_after) {}

  void on_work(Time now) { worked_at_ = now; }
  // True: it shall be kept awake now.
  bool step(bool holds_stage, Time now) const { return holds_stage && worked_at_ && now - *worked_at_ < idle_after_; }

 private:
  std::chrono::seconds idle_after_;
  std::optional<Time> worked_at_;
};

}  // namespace flotilla
