// The text a monitoring program reads, to the byte.
#include "base/metrics.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace flotilla {
namespace {

constexpr std::array bounds{0.1, 1.0};

TEST(Histogram, CountsAValueAtABoundBelowIt) {
  Histogram histogram(bounds);
  for (const double value : {0.05, 0.1, 0.5, 1.0, 7.0}) histogram.observe(value);
  EXPECT_EQ(histogram.count_up_to(0), 2u);
  EXPECT_EQ(histogram.count_up_to(1), 4u);
  EXPECT_EQ(histogram.count(), 5u);
  EXPECT_DOUBLE_EQ(histogram.sum(), 8.65);
}

TEST(MetricsText, IsAsTheFormatWantsIt) {
  MetricsText text;
  text.counter("flotilla_things_total", "Things.", 3);
  text.family("flotilla_room_bytes", MetricsText::Kind::gauge, "Room.");
  text.sample(0.5, {{"node", "studio"}, {"disk", "a"}});
  Histogram histogram(bounds);
  histogram.observe(0.5);
  text.family("flotilla_wait_seconds", MetricsText::Kind::histogram, "Waits.");
  text.sample(histogram, {{"model", "tiny"}});
  EXPECT_EQ(text.take(),
            "# HELP flotilla_things_total Things.\n"
            "# TYPE flotilla_things_total counter\n"
            "flotilla_things_total 3\n"
            "# HELP flotilla_room_bytes Room.\n"
            "# TYPE flotilla_room_bytes gauge\n"
            "flotilla_room_bytes{node=\"studio\",disk=\"a\"} 0.5\n"
            "# HELP flotilla_wait_seconds Waits.\n"
            "# TYPE flotilla_wait_seconds histogram\n"
            "flotilla_wait_seconds_bucket{model=\"tiny\",le=\"0.1\"} 0\n"
            "flotilla_wait_seconds_bucket{model=\"tiny\",le=\"1\"} 1\n"
            "flotilla_wait_seconds_bucket{model=\"tiny\",le=\"+Inf\"} 1\n"
            "flotilla_wait_seconds_sum{model=\"tiny\"} 0.5\n"
            "flotilla_wait_seconds_count{model=\"tiny\"} 1\n");
}

TEST(MetricsText, NoLabelBreaksOutOfItsQuotes) {
  MetricsText text;
  text.family("flotilla_x", MetricsText::Kind::gauge, "X.");
  text.sample(1, {{"node", "a\"b\\c\nd"}});
  EXPECT_TRUE(text.take().ends_with("flotilla_x{node=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(MetricsText, ASeriesIsToldOnce) {
  MetricsText text;
  text.family("flotilla_x", MetricsText::Kind::gauge, "X.");
  for (const double value : {1.0, 2.0}) text.sample(value, {{"node", "twin"}});
  text.family("flotilla_y", MetricsText::Kind::gauge, "Y.");
  text.sample(std::numeric_limits<double>::infinity(), {{"node", "twin"}});
  EXPECT_EQ(text.take(),
            "# HELP flotilla_x X.\n# TYPE flotilla_x gauge\nflotilla_x{node=\"twin\"} 1\n"
            "# HELP flotilla_y Y.\n# TYPE flotilla_y gauge\nflotilla_y{node=\"twin\"} +Inf\n");
}

}  // namespace
}  // namespace flotilla
