// Calls something once every interval on the loop: at once, and then each time so long after the call before.
// Thread: the loop's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "io/alarm.h"

namespace flotilla {

class Ticker {
 public:
  Ticker(SetAlarm alarm, std::chrono::milliseconds interval, std::function<void()> on_tick)
      : set_(std::move(alarm)), interval_(interval), on_tick_(std::move(on_tick)) {}

  void begin() { tick(); }
  void stop() {  // for good, also from within a call
    stopped_ = true;
    alarm_.reset();
  }

 private:
  void tick() {
    on_tick_();
    if (stopped_) return;
    alarm_ = set_(interval_, [this] { tick(); });
  }

  const SetAlarm set_;
  const std::chrono::milliseconds interval_;
  const std::function<void()> on_tick_;
  std::unique_ptr<Alarm> alarm_;
  bool stopped_ = false;
};

}  // namespace flotilla
