#include "engine/overlap.h"

#include <algorithm>
#include <cmath>

#include "base/limits.h"

namespace flotilla {
namespace {

// What is weighed are orders of magnitude, by what all members know. A layer has about 12 d² weights of 0.6 bytes, of
// which each of two members reads half, at 20 GB/s; its two sums move 8 d bytes a row.
constexpr double layer_weights = 12, weight_bytes = 0.6, read_bytes_per_second = 20e9;
constexpr double layer_sum_bytes = 8;

// Where a member has fewer rows in each part, operations are too short to hide anything.
constexpr std::uint32_t rows_in_two_parts_least = 32;

// A message more takes each side some 5 µs, and the computing of a half hides no more than the transfer of the other.
constexpr double half_transfer_seconds_min = 15e-6;

}  // namespace

Overlap overlap_of(const StageOptions& options, const ModelSpec& spec) {
  if (options.exchange_bytes_per_second <= 0) return {};
  const double width = spec.embedding_length;
  const double read_again = layer_weights * width * width * weight_bytes / 2 / read_bytes_per_second;
  const double row_exchange = layer_sum_bytes * width / options.exchange_bytes_per_second;
  const double rows = std::min(std::ceil(read_again / row_exchange), double{limits::step_rows_max} + 1);
  return {.rows_in_two_parts_min = std::max(static_cast<std::uint32_t>(rows), rows_in_two_parts_least),
          .by_halves = row_exchange / 4 >= half_transfer_seconds_min};
}

}  // namespace flotilla
