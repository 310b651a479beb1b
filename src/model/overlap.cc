#include "model/overlap.h"

#include <algorithm>
#include <cmath>

#include "base/limits.h"

namespace flotilla {
namespace {

// What is weighed are orders of magnitude, by what all members know. A layer has about 12 d² weights of 0.6 bytes, of
// which each of two members reads half, at 20 GB/s; its two sums move 2 d values a row.
constexpr double layer_weights = 12, weight_bytes = 0.6, read_bytes_per_second = 20e9;
constexpr double sums_of_layer = 2;

// With fewer rows in each part, operations are too short to hide anything.
constexpr std::uint32_t rows_in_two_parts_least = 32;

// A message more takes each side some 5 µs, and a product in halves some time of its own. Measured for d = 2048 on two
// cores: 27 µs saved by each half gain 3 %, 14 µs nothing, 3 µs lose 5 %.
constexpr double half_transfer_seconds_min = 20e-6;

}  // namespace

Overlap overlap_of(std::uint32_t width, double values_per_second) {
  if (values_per_second <= 0) return {};
  const double read_again = layer_weights * width * width * weight_bytes / 2 / read_bytes_per_second;
  const double row_exchange = sums_of_layer * width / values_per_second;
  const double rows = std::min(std::ceil(read_again / row_exchange), double{limits::step_rows_max} + 1);
  return {.rows_in_two_parts_min = std::max(static_cast<std::uint32_t>(rows), rows_in_two_parts_least),
          .by_halves = row_exchange / sums_of_layer / 2 >= half_transfer_seconds_min};
}

}  // namespace flotilla
