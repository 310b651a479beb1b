// Tells from beside the computing thread how long the step under way has been computed, and how long such steps take.
// Waiting for other machines does not count: whoever waits for a hung one is not hung.
//
// In: when steps and waits begin and end.   Out: a reading.   Owns: the times of the newest steps.
// Thread: the computing one's and the one that exchanges for it tell, any reads.   Never: looks at a clock.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>

#include "base/limits.h"

namespace flotilla {

class StepClock {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = Clock::time_point;

  void begin(std::size_t rows, Now now);
  void end(Now now);
  void wait_begins(Now now);  // for other machines, in the midst of a step
  void wait_ends(Now now);
  void stood_still(Clock::duration time);  // all of this process did, lately: no step is to blame for that

  struct Reading {
    std::uint64_t steps = 0;   // done
    Clock::duration step{0};   // of the one under way; 0: none is, or it waits for others
    Clock::duration usual{0};  // the most that such steps lately took; 0: not known
  };
  Reading read(Now now) const;

 private:
  static constexpr std::size_t kept = 64;  // times of each kind: the longest of so few is beyond their 98th percentile
  static constexpr std::size_t known_from = 8;                                     // steps of a kind
  static constexpr std::size_t kinds = std::bit_width(limits::step_rows_max) + 1;  // rows, in powers of two

  struct Lately {
    std::array<Clock::duration, kept> times{};
    std::size_t count = 0;
    bool is_known() const { return count >= known_from; }
    Clock::duration longest() const;
  };
  Clock::duration usual() const;

  mutable std::mutex mutex_;
  std::array<Lately, kinds> lately_;
  std::uint64_t steps_ = 0;
  std::size_t rows_ = 0;  // of the step under way
  std::optional<Now> begun_, waits_since_;
};

// A step as long as this lives.
class [[nodiscard]] TimedStep {
 public:
  TimedStep(StepClock& clock, std::size_t rows) : clock_(clock) { clock_.begin(rows, StepClock::Clock::now()); }
  ~TimedStep() { clock_.end(StepClock::Clock::now()); }
  TimedStep(const TimedStep&) = delete;
  TimedStep& operator=(const TimedStep&) = delete;

 private:
  StepClock& clock_;
};

}  // namespace flotilla
