// Decides how far this node trusts its own ears (Lifeguard's idea): whose own ticks come late listens badly, and what
// it takes for others' silence may be its own sleep. Pure: lateness is handed in.
#pragma once

#include <algorithm>
#include <chrono>

namespace flotilla {

class SelfDoubt {
 public:
  static constexpr auto late = std::chrono::milliseconds(200);  // of a tick; half a heartbeat is soon made up for
  static constexpr int late_ticks_excused = 3, late_ticks_max = 12;
  static constexpr int calm_ticks = 20;  // that make one late one forgotten

  void on_tick(std::chrono::nanoseconds lateness) {
    if (lateness > late) {
      late_ticks_ = std::min(late_ticks_ + 1, late_ticks_max);
      calm_ = 0;
    } else if (++calm_ >= calm_ticks) {
      late_ticks_ = std::max(late_ticks_ - 1, 0);
      calm_ = 0;
    }
  }
  // How many times as long as usual to wait before another one is called lost: 1 to 4.
  double patience() const { return std::max(1.0, double(late_ticks_) / late_ticks_excused); }

 private:
  int late_ticks_ = 0, calm_ = 0;
};

}  // namespace flotilla
