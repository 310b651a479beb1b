#include "engine/attention_tiles.h"

#include <algorithm>

namespace flotilla {
namespace {

constexpr std::uint32_t matrix_rows_min = 20;

std::int64_t rows_in_tiles(std::int64_t rows) { return (rows + tile_rows - 1) / tile_rows * tile_rows; }

}  // namespace

bool folds(const BlockSpec& block, std::int64_t rows, std::int64_t cells) {
  const std::int64_t shared = block.heads / block.kv_heads;
  const std::int64_t apart = block.heads * (rows < tile_rows ? 2 * rows : rows_in_tiles(rows));
  const std::int64_t together = block.kv_heads * rows_in_tiles(rows * shared);
  return cells >= fold_cells_min && shared > 1 && 10 * together < 9 * apart;
}

std::uint32_t rows_of_folded_tiles(const ModelSpec& spec) {
  constexpr auto tile = static_cast<std::uint32_t>(tile_rows);
  std::uint32_t rows = 0;
  for (const BlockSpec& block : spec.blocks) {
    const std::uint32_t shared = block.heads / block.kv_heads;
    std::uint32_t tiles = 1;
    while (tile * tiles / shared < matrix_rows_min) ++tiles;
    const auto fill = tile * tiles / shared;
    if (shared < 2 || (rows > 0 && rows != fill)) return 0;
    rows = fill;
  }
  return rows;
}

}  // namespace flotilla
