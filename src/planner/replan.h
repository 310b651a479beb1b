// Whether a placement in service is worth moving, now that machines and links are as they are: what it takes at the
// rates of now, and whether what would be planned now is so much better, for so long, that a move pays. Pure.
// In: ClusterView, ModelShape, the stages in service, time.  Out: seconds; move or stay; the sentence why.
// Thread: any, one at a time.  Never: looks at a clock, or moves anything (app/move_desk does).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "planner/planner.h"

namespace flotilla {

// What one user can expect of stages.
struct Foretold {
  double token_seconds = 0, prompt_seconds = 0;
  double judged_seconds = 0;          // the expected prompt and its answer: what plans are judged by
  std::vector<double> stage_seconds;  // of each token, spent in each stage
  bool operator==(const Foretold&) const = default;
};

// By the rates and links of now, whatever they were when these stages were planned. Empty where one of their machines
// is not here, is silent, or has not measured itself. `wishes`: the use and the overheads count.
std::optional<Foretold> foretell(const ClusterView& view, const ModelShape& shape, const PlanWishes& wishes,
                                 const Plan& plan);

// Every machine of the plan offers what it is to hold beside what it holds already.
bool fits_now(const ClusterView& view, const Plan& plan);

// "laptop runs on battery at 43 % and offers nothing": a machine that holds a part of the plan and asks to be relieved
// of it. Empty where none does.
std::string who_withdraws(const ClusterView& view, const Plan& plan);

// What a model that must leave a machine takes there: more than anything elsewhere.
Foretold beyond_all(const Plan& plan);

// "laptop runs on battery at 43 % and offers nothing; to desk1 (30 layers)".
std::string why_hand_over(const std::string& withdrawal, const Plan& better);

// "desk2 computes at 26 % of its former speed; to desk1 (30 layers): 8.2 ms per token instead of 31.0 ms, prompt and
// answer in 3.1 s instead of 11.9 s". A machine is named where its layers take clearly longer than when they were
// planned.
std::string why_move(const Plan& in_service, const Foretold& now, const Plan& better, const Foretold& then);

// Decides when, for one placement: not for a little, not for a moment, and ever more seldom where moves do not help.
class ReplanWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // A quiet machine measures itself alike within a tenth, and predictions are off by up to a fifth (docs/planner.md).
  // Both sides of the comparison share most of that; what remains must not move anything, since a move costs seconds
  // of loading and every prompt kept for reuse.
  static constexpr double gain_min = 1.25;
  static constexpr double slower_max = 0.03;  // of tokens
  static constexpr std::chrono::seconds held_min{3};  // a finding younger than that may be a hiccup
  // After a try: a move, or one that could not be made; twice as long each time, until a rest without any. That is longer
  // than any pause, or the longest would forgive itself.
  static constexpr std::chrono::seconds pause_first{60}, pause_max{3600}, rest{7200};

  // `moves`: how often the placement has lately been moved to where it is since `ready`.
  ReplanWatch(std::uint32_t moves, Time ready);

  // What it takes, and what the plan of now would. True: move it there.
  bool on_finding(const Foretold& in_service, const Foretold& planned, Time now);
  void on_nothing_known() { found_.reset(); }     // a machine is silent: neither better nor worse
  void on_put_off(Time now);                      // the move could not be made
  std::uint32_t moves_with_this(Time now) const;  // what the next placement is told: those put off count, too

 private:
  std::uint32_t tries_;  // moves and moves put off, each within `rest` of the one before
  Time last_try_;
  std::optional<Time> found_;  // since when something better is known
};

}  // namespace flotilla
