// How many steps of a ring to have under way: one for each stage, and more where round trips are long, since a stage
// that waits for frames on their way computes nothing.
//
// Idle and unqueued together say that one more might help: the head waited although it had work, and even so a step
// came back as soon as one that had the ring to itself. Where a step waits behind others, in front of whichever stage
// is the slowest, more of them would only wait longer. Source: congestion avoidance by delay (TCP Vegas, Brakmo and
// Peterson 1995).
//
// A piece of a prompt more costs nothing. Answers that are split into more steps have fewer rows in each, which kernels
// may compute at a higher price, and the head does not see whether the other stages waited too: so one more is tried,
// and kept where rows come back faster than before; where not, the next trial is twice as far off. Where the work
// became another, the trial tells nothing and is repeated later. Hence a window for each of the two kinds of work.
// Machines and links change, so every thousand steps it begins afresh.
//
// In: how long steps took.   Out: a number of steps.   Thread: the head's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace flotilla {

inline constexpr std::uint32_t steps_under_way_max = 16;

class FlightWindow {
 public:
  using Duration = std::chrono::steady_clock::duration;
  enum class Work { prompts, answers };  // of steps that read prompts, answers beside them or not; of all others

  FlightWindow(Work work, std::uint32_t stages);

  std::uint32_t steps() const { return steps_; }

  struct Returned {
    std::uint32_t rows = 0;
    Duration round{};     // since it was begun
    Duration interval{};  // since the step before it was done, or since it was begun where that is later
    Duration idle{};      // of the interval: as many steps as steps() were under way, and the head had nothing to do
  };
  void saw(const Returned& step);
  void interrupt();  // steps of the other kind came back

 private:
  // Steps that came back one after another with the same number under way.
  struct Period {
    std::uint32_t under_way = 0;
    std::uint32_t steps = 0;
    std::uint64_t rows = 0;
    Duration passed{}, idle{};
    std::array<Duration, 16> shortest{};  // round by class of rows; zero: none was seen
    double idle_share() const;
    double rows_under_way() const { return static_cast<double>(rows) / steps * under_way; }
    double rows_per_second() const;
  };

  static std::size_t size_class(std::uint32_t rows);
  void judge(double queued);
  bool keeps_one_more(const Period& before, const Period& trial);
  void change_steps(std::uint32_t steps);
  void begin_afresh();

  Work work_;
  std::uint32_t stages_;
  std::uint32_t steps_;
  std::array<Duration, 16> shortest_{};  // ever, as in Period
  Period period_;
  std::uint32_t to_pass_over_;  // steps still to come back until the ring is filled as steps_ says
  std::optional<Period> before_trial_;
  std::uint32_t rest_ = 0, next_rest_;  // periods until one more may be tried, and after the next trial in vain
  std::uint32_t seen_since_afresh_ = 0;
};

}  // namespace flotilla
