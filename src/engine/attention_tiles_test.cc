#include "engine/attention_tiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/stage_testing.h"

namespace flotilla {
namespace {

BlockSpec block(std::uint32_t heads, std::uint32_t kv_heads) {
  BlockSpec made;
  made.heads = heads;
  made.kv_heads = kv_heads;
  return made;
}

TEST(AttentionTiles, HeadsAreFoldedOnlyDeepAndWhereTilesAreFilledBetter) {
  const auto smollm2 = block(9, 3);
  EXPECT_FALSE(folds(smollm2, 21, 1792));
  EXPECT_TRUE(folds(smollm2, 21, 2048)) << "63 rows are a tile; nine times 21 rows cost as much as six";
  EXPECT_FALSE(folds(smollm2, 64, 2048)) << "nine tiles either way";
  EXPECT_TRUE(folds(smollm2, 72, 2048)) << "four tiles of each KV head instead of two of each head";
  EXPECT_FALSE(folds(smollm2, 1, 8192)) << "decoding";
  EXPECT_FALSE(folds(block(8, 8), 30, 8192)) << "no head shares";
}

TEST(AttentionTiles, APieceFillsWholeTilesAndIsNotTooSmallForMatrices) {
  const auto rows = [](std::uint32_t heads, std::uint32_t kv_heads) {
    ModelSpec spec;
    spec.blocks.assign(2, block(heads, kv_heads));
    return rows_of_folded_tiles(spec);
  };
  EXPECT_EQ(rows(9, 3), 21u);
  EXPECT_EQ(rows(32, 8), 32u);
  EXPECT_EQ(rows(28, 4), 27u);
  EXPECT_EQ(rows(16, 8), 32u);
  EXPECT_EQ(rows(8, 8), 0u) << "nothing to fold";
}

}  // namespace
}  // namespace flotilla
