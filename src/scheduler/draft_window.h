// How many drafted tokens a step is worth: weighs what rows cost here against how often drafts were right lately.
//
// Both are measured. A step of r answer rows has a moving average of its time; what was never tried is guessed from the
// nearest that was. How often a draft's token is right is known also where none is computed: every look-up is
// compared with the token that then came. So a window that does not pay closes by itself, and opens again when the text
// turns repetitive, without a trial that costs anything.
// In: times and hits.   Out: a number of drafts.   Thread: the scheduler's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace flotilla {

inline constexpr std::uint32_t drafts_max = 15;  // with the row they follow, one unit of the slowest kernels' rows

// Of one sequence: how likely a drafted token is right where the one before it was, by how long the match is.
class DraftRecord {
 public:
  void saw(std::uint32_t match, bool right);
  double chance(std::uint32_t match) const { return chance_[kind(match)]; }

 private:
  static std::size_t kind(std::uint32_t match) { return match < 4 ? 0 : match < 8 ? 1 : 2; }
  std::array<double, 3> chance_ = {0.3, 0.5, 0.8};  // until it is known better
};

class RowCosts {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // A step of nothing but answers' rows took so long.
  void saw(std::uint32_t rows, Duration time);
  // Of a step of `rows` in terms of a step of one; only ratios of it mean something.
  double cost(std::uint32_t rows) const;

 private:
  static constexpr std::uint32_t rows_kept = 64;
  std::array<double, rows_kept + 1> seconds_{};  // 0: never seen
};

// How many of `drafted` tokens to add to a step that has `rows` already, one of them the sequence's own: the number
// with the most expected tokens for the time. 0 where none gains at least a few hundredths.
std::uint32_t draft_window(const RowCosts& costs, double chance, std::uint32_t rows, std::uint32_t drafted);

}  // namespace flotilla
