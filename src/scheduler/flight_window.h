// How many steps of a ring to have under way: one for each stage, and more where round trips are long, since a stage
// that waits for frames on their way computes nothing.
//
// Idle and unqueued together say that one more would help: the head waited although it had work, and even so a step
// came back as soon as one that had the ring to itself. Where a step waits behind others, in front of whichever stage
// is the slowest, more of them would only wait longer. Source: congestion avoidance by delay (TCP Vegas, Brakmo and
// Peterson 1995). Machines and links change, so every thousand steps it begins afresh. In: how long steps took.   Out:
// a number of steps.   Thread: the head's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace flotilla {

inline constexpr std::uint32_t steps_under_way_max = 16;

class FlightWindow {
 public:
  using Duration = std::chrono::steady_clock::duration;

  explicit FlightWindow(std::uint32_t stages) : stages_(stages), steps_(stages) {}

  std::uint32_t steps() const { return steps_; }

  struct Returned {
    std::uint32_t rows = 0;
    Duration round{};     // since it was begun
    Duration interval{};  // since the step before it was done, or since it was begun where that is later
    Duration idle{};      // of the interval: as many steps as steps() were under way, and the head had nothing to do
  };
  void saw(const Returned& step);

 private:
  static std::size_t size_class(std::uint32_t rows);
  void judge(Duration shortest, Duration recent);
  void begin_afresh();

  std::uint32_t stages_;
  std::uint32_t steps_;
  std::array<Duration, 16> shortest_{};  // round by class of rows; zero: never seen
  // Since steps_ changed or was last judged.
  std::array<Duration, 16> recent_{};
  Duration idle_{}, passed_{};
  std::uint32_t seen_ = 0;
  std::uint32_t seen_since_afresh_ = 0;
};

}  // namespace flotilla
