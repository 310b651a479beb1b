// How ggml's attention on CPUs takes rows, and what follows for us: in tiles of 64 rows of one head, each as dear as a
// full one, and fewer than 64 one by one, at about twice the price of a row in a full tile. Query heads that share a KV
// head may as well be rows of one head with more rows; then fewer rows of a step fill whole tiles. Pure.
#pragma once

#include <cstdint>

#include "model/spec.h"

namespace flotilla {

inline constexpr std::int64_t tile_rows = 64;
// Tiles round differently than rows one by one (which add up values in F16). So where it hardly matters how long
// attention takes we do as llama.cpp does, which never folds.
inline constexpr std::uint32_t fold_cells_min = 2048;

// Whether a step's `rows` that look at `cells` had better be folded: where that more than pays for copying them.
bool folds(const BlockSpec& block, std::int64_t rows, std::int64_t cells);

// The fewest rows, but not less than matrices are quick with, that are read as fast as many at depths where heads are
// folded. 0 where that is not so for every layer.
std::uint32_t rows_of_folded_tiles(const ModelSpec& spec);

}  // namespace flotilla
