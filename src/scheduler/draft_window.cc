#include "scheduler/draft_window.h"

#include <algorithm>
#include <cmath>

namespace flotilla {
namespace {

constexpr double weight_of_the_newest = 0.1;
constexpr double gain_min = 1.03;  // less is within what is measured
// What rows cost beyond the first before anything is measured: 8 rows about 5.5 steps, as ggml's K-quant kernels on
// AVX2.
constexpr double row_cost_guess = 0.64;

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

double RowCosts::cost(std::uint32_t rows) const {
  const auto guess = [](std::uint32_t count) { return 1 + row_cost_guess * (count - 1); };
  if (rows <= rows_kept && seconds_[rows] > 0) return seconds_[rows];
  double nearest = 1;  // the unit where nothing has been seen
  std::uint32_t distance = UINT32_MAX;
  for (std::uint32_t seen = 1; seen <= rows_kept; ++seen) {
    const std::uint32_t away = seen > rows ? seen - rows : rows - seen;
    if (seconds_[seen] == 0 || away >= distance) continue;
    distance = away;
    nearest = seconds_[seen] / guess(seen);
  }
  return nearest * guess(rows);
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
