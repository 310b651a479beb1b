// Claims about what overlaps: over slow links much, over quick ones nothing, and the same on all members.
#include "model/overlap.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace flotilla {
namespace {

constexpr double gigabit_f32 = 117e6 / 4;

Overlap overlap(double values_per_second, std::uint32_t width) { return overlap_of(width, values_per_second); }

TEST(Overlap, NothingOverlapsWhereLinksAreNotKnown) {
  EXPECT_GT(overlap(0, 2048).rows_in_two_parts_min, limits::step_rows_max);
  EXPECT_FALSE(overlap(0, 2048).by_halves);
}

TEST(Overlap, OverAGigabitAPieceOfAPromptIsTwoPartsAndAWideRowTwoHalves) {
  EXPECT_LE(overlap(gigabit_f32, 2048).rows_in_two_parts_min, 64u);
  EXPECT_TRUE(overlap(gigabit_f32, 2048).by_halves);
  EXPECT_LE(overlap(gigabit_f32, 576).rows_in_two_parts_min, 64u);
  EXPECT_FALSE(overlap(gigabit_f32, 576).by_halves) << "a half is sent in 10 µs";
}

TEST(Overlap, OverTenOnlyLongStepsAre) {
  EXPECT_GT(overlap(10 * gigabit_f32, 4096).rows_in_two_parts_min, 64u);
  EXPECT_LE(overlap(10 * gigabit_f32, 4096).rows_in_two_parts_min, limits::step_rows_max);
  EXPECT_FALSE(overlap(10 * gigabit_f32, 4096).by_halves);
}

TEST(Overlap, OverMemoryNothingIs) { EXPECT_GT(overlap(1e12, 2048).rows_in_two_parts_min, limits::step_rows_max); }

}  // namespace
}  // namespace flotilla
