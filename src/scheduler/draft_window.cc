#include "scheduler/draft_window.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace flotilla {
namespace {

constexpr double weight_of_the_newest = 0.1;
constexpr double gain_min = 1.03;        // less is within what is measured
constexpr double row_cost_guess = 0.64;  // beyond the first, where nothing is foretold

void blend(double& average, double newest) { average += weight_of_the_newest * (newest - average); }

}  // namespace

void DraftRecord::saw(std::uint32_t match, bool right) { blend(chance_[kind(match)], right ? 1.0 : 0.0); }

void RowCosts::saw(std::uint32_t rows, Duration time) {
  if (rows == 0 || rows > rows_kept) return;
  const double seconds = std::chrono::duration<double>(time).count();
  double& average = seconds_[rows];
  if (average == 0)
    average = seconds;
  else  // an interruption of the process is no cost of the rows
    blend(average, std::min(seconds, 2 * average));
}

// Between two sizes that are foretold in a straight line; beyond the last, each row as much again.
double RowCosts::expected(std::uint32_t rows) const {
  if (foretold_.empty()) return 1 + row_cost_guess * (rows - 1);
  const auto below = static_cast<std::size_t>(std::bit_width(rows)) - 1;
  const double share = static_cast<double>(rows) / static_cast<double>(std::uint64_t{1} << below) - 1;
  if (below + 1 < foretold_.size()) return std::lerp(foretold_[below], foretold_[below + 1], share);
  return foretold_.back() * rows / static_cast<double>(std::uint64_t{1} << (foretold_.size() - 1));
}

double RowCosts::cost(std::uint32_t rows) const {
  if (rows <= rows_kept && seconds_[rows] > 0) return seconds_[rows];
  double nearest = 1;  // the unit where nothing has been seen
  std::uint32_t distance = UINT32_MAX;
  for (std::uint32_t seen = 1; seen <= rows_kept; ++seen) {
    const std::uint32_t away = seen > rows ? seen - rows : rows - seen;
    if (seconds_[seen] == 0 || away >= distance) continue;
    distance = away;
    nearest = seconds_[seen] / expected(seen);
  }
  return nearest * expected(rows);
}

std::uint32_t draft_window(const RowCosts& costs, double chance, std::uint32_t rows, std::uint32_t drafted) {
  const double without = rows / costs.cost(rows);
  double best = without * gain_min, expected = rows, right = 1;
  std::uint32_t window = 0;
  for (std::uint32_t drafts = 1; drafts <= std::min(drafted, drafts_max); ++drafts) {
    expected += right *= chance;
    const double rate = expected / costs.cost(rows + drafts);
    if (rate <= best) continue;
    best = rate;
    window = drafts;
  }
  return window;
}

}  // namespace flotilla
