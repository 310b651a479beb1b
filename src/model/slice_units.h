// How finely a layer can be cut into the slices of shards: engine/slices cuts by these units, and planners promise no
// more slices than they allow. A slice of the two output projections is whole quantization blocks of their rows.
#pragma once

#include <cstdint>

#include "model/gguf.h"
#include "model/spec.h"

namespace flotilla {

// Repacked kernels take rows of a matrix by eight: a slice that is no multiple of it falls back to slower ones.
inline constexpr std::uint32_t slice_rows_together = 8;

struct SliceUnits {
  std::uint32_t heads = 1;            // query heads, of one KV head or of several that cannot be parted
  std::uint32_t heads_within_kv = 1;  // query heads, where shards share a KV head
  std::uint32_t feed_forward = 1;     // hidden values
};

// `block` is of that layer, and generates text: every block of read_spec() but an embedder's.
SliceUnits slice_units(const Gguf& gguf, const BlockSpec& block, std::uint32_t layer);

// Into how many slices the layer can be cut; at least 1.
std::uint32_t slices_max(const BlockSpec& block, const SliceUnits& units);

}  // namespace flotilla
