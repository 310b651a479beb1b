// Claims about sets of byte ranges, and about who fetches what of a model.
#include "hub/byte_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace flotilla {
namespace {

constexpr std::uint64_t file_bytes = 400;

// The bytes of two short files, one flag each.
std::vector<bool> marked(const FileRanges& ranges) {
  std::vector<bool> marks(2 * file_bytes, false);
  for (const FileRange& range : ranges)
    for (std::uint64_t at = 0; at < range.bytes; ++at) marks[range.file_index * file_bytes + range.offset + at] = true;
  return marks;
}

FileRanges some_ranges(std::mt19937& random) {
  FileRanges ranges;
  for (auto count = random() % 6; count > 0; --count) {
    const std::uint64_t begin = random() % file_bytes;
    ranges.push_back({.file_index = static_cast<std::uint32_t>(random() % 2),
                      .offset = begin,
                      .bytes = random() % (file_bytes - begin + 1)});
  }
  return ranges;
}

bool is_tidy(const FileRanges& ranges) {
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].bytes == 0) return false;
    const bool same_file = i > 0 && ranges[i - 1].file_index == ranges[i].file_index;
    if (same_file && ranges[i - 1].offset + ranges[i - 1].bytes > ranges[i].offset) return false;
  }
  return true;
}

TEST(ByteRanges, AreSetsOfBytes) {
  std::mt19937 random(1);
  for (int turn = 0; turn < 2000; ++turn) {
    const FileRanges a = some_ranges(random), b = some_ranges(random);
    const auto in_a = marked(a), in_b = marked(b);
    EXPECT_EQ(marked(merged(a)), in_a);
    EXPECT_EQ(marked(in_pieces(merged(a), 1 + random() % 64)), in_a);
    const FileRanges both = common(a, b), rest = without(a, b);
    const auto in_both = marked(both), in_rest = marked(rest);
    for (std::size_t at = 0; at < in_a.size(); ++at) {
      ASSERT_EQ(in_both[at], in_a[at] && in_b[at]) << at;
      ASSERT_EQ(in_rest[at], in_a[at] && !in_b[at]) << at;
    }
    EXPECT_TRUE(is_tidy(merged(a)) && is_tidy(both) && is_tidy(rest));
    EXPECT_EQ(bytes_in(both) + bytes_in(rest), bytes_in(merged(a)));
  }
}

TEST(ByteRanges, EachByteThatIsWantedIsFetchedByOneOfThoseWhoWantIt) {
  std::mt19937 random(2);
  for (int turn = 0; turn < 1000; ++turn) {
    std::vector<FileRanges> wanted;
    for (auto machines = 1 + random() % 4; machines > 0; --machines) wanted.push_back(some_ranges(random));
    const auto fetched = shared_out(wanted, 1 + random() % 64);
    ASSERT_EQ(fetched.size(), wanted.size());
    std::vector<int> times(2 * file_bytes, 0);
    std::vector<bool> by_anybody(2 * file_bytes, false);
    for (std::size_t machine = 0; machine < wanted.size(); ++machine) {
      const auto own = marked(wanted[machine]), fetches = marked(fetched[machine]);
      EXPECT_TRUE(is_tidy(fetched[machine]));
      for (std::size_t at = 0; at < own.size(); ++at) {
        ASSERT_TRUE(own[at] || !fetches[at]) << "machine " << machine << " fetches what it does not want: " << at;
        times[at] += fetches[at] ? 1 : 0;
        by_anybody[at] = by_anybody[at] || own[at];
      }
    }
    for (std::size_t at = 0; at < times.size(); ++at) ASSERT_EQ(times[at], by_anybody[at] ? 1 : 0) << at;
  }
}

TEST(ByteRanges, WhatAllOfAGroupWantTheyFetchInEqualParts) {
  const FileRanges all{{.file_index = 0, .offset = 7, .bytes = 300}};
  const auto fetched = shared_out({all, all, all}, 10);
  for (const FileRanges& own : fetched) EXPECT_NEAR(static_cast<double>(bytes_in(own)), 100, 10);
}

TEST(ByteRanges, PiecesAreOfASizeThatSuitsTheModel) {
  EXPECT_EQ(piece_bytes_for(0), 4u << 20);
  EXPECT_EQ(piece_bytes_for(98u << 20), 4u << 20);
  EXPECT_EQ(piece_bytes_for(std::uint64_t{5} << 30), 8u << 20);
  EXPECT_EQ(piece_bytes_for(std::uint64_t{400} << 30), 64u << 20);
}

}  // namespace
}  // namespace flotilla
