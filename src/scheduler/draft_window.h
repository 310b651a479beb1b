// How many drafted tokens a step is worth: weighs what rows cost here against how often drafts were right lately.
//
// Both are measured. A step of r answer rows has a moving average of its time; what was never tried is told from the
// nearest that was, by the shape that the plan foretells from the machines' kernels and links: where eight rows are
// dear and sixteen are not, a window that grew row by row would never get past the eight. How often a draft's token is
// right is known also where none is computed: every look-up is compared with the token that then came. So a window that
// does not pay closes by itself, and opens again when the text turns repetitive, without a trial that costs anything.
//
// In: times and hits, and what times were foretold.   Out: a number of drafts.   Thread: the scheduler's.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace flotilla {

inline constexpr std::uint32_t drafts_max = 31;  // with the row they follow, as many as any kernel wants at a time

// Of one sequence: how likely a drafted token is right where the one before it was, by how long the match is.
class DraftRecord {
 public:
  void saw(std::uint32_t match, bool right);
  double chance(std::uint32_t match) const { return chance_[kind(match)]; }

 private:
  static std::size_t kind(std::uint32_t match) { return match < 4 ? 0 : match < 8 ? 1 : match < 16 ? 2 : 3; }
  std::array<double, 4> chance_ = {0.3, 0.5, 0.8, 0.93};  // until it is known better
};

class RowCosts {
 public:
  using Duration = std::chrono::steady_clock::duration;

  // `foretold`: steps of 1, 2, 4, 8 … rows, in any unit. Empty: 8 rows are taken to cost 5.5 steps, as with ggml's
  // K-quant kernels on AVX2.
  explicit RowCosts(std::vector<double> foretold = {}) : foretold_(std::move(foretold)) {}

  // A step of nothing but answers' rows took so long.
  void saw(std::uint32_t rows, Duration time);
  // Of a step of `rows` in terms of a step of one; only ratios of it mean something.
  double cost(std::uint32_t rows) const;

 private:
  double expected(std::uint32_t rows) const;

  static constexpr std::uint32_t rows_kept = 128;  // as four answers with all their guesses have
  std::vector<double> foretold_;
  std::array<double, rows_kept + 1> seconds_{};  // 0: never seen
};

// How many of `drafted` tokens to add to a step that has `rows` already, one of them the sequence's own: the number
// with the most expected tokens for the time. 0 where none gains at least a few hundredths.
std::uint32_t draft_window(const RowCosts& costs, double chance, std::uint32_t rows, std::uint32_t drafted);

}  // namespace flotilla
