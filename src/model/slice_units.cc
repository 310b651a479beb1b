#include "model/slice_units.h"

#include <ggml.h>

#include <algorithm>
#include <format>
#include <numeric>

namespace flotilla {
namespace {

// Elements along a row of the matrix that cannot be parted; 1 where the layer lacks it.
std::uint32_t block_length(const Gguf& gguf, std::uint32_t layer, const char* part) {
  const TensorPlace* place = gguf.find(std::format("blk.{}.{}.weight", layer, part));
  if (place == nullptr) return 1;
  const std::int64_t length = ggml_blck_size(static_cast<ggml_type>(place->type));
  return static_cast<std::uint32_t>(std::max<std::int64_t>(length, 1));
}

// So many times `heads` that a quantization block of the output projection ends with them.
std::uint32_t whole_blocks(std::uint32_t heads, std::uint32_t value_length, std::uint32_t columns) {
  const std::uint32_t width = std::max(1u, heads * value_length);
  return heads * (std::lcm(width, columns) / width);
}

}  // namespace

SliceUnits slice_units(const Gguf& gguf, const BlockSpec& block, std::uint32_t layer) {
  const std::uint32_t queries = std::max(1u, block.heads / std::max(1u, block.kv_heads));
  const std::uint32_t columns = block_length(gguf, layer, "attn_output");
  return {.heads = whole_blocks(queries, block.value_length, columns),
          .heads_within_kv = whole_blocks(1, block.value_length, columns),
          .feed_forward = std::lcm(block_length(gguf, layer, "ffn_down"), slice_rows_together)};
}

std::uint32_t slices_max(const BlockSpec& block, const SliceUnits& units) {
  const std::uint32_t queries = block.kv_heads > 0 ? block.heads / block.kv_heads : 0;
  if (queries == 0 || block.value_length == 0) return 1;
  std::uint32_t attention = block.heads % units.heads == 0 ? block.heads / units.heads : 1;
  if (attention == block.kv_heads && queries % units.heads_within_kv == 0)
    attention = block.kv_heads * (queries / units.heads_within_kv);
  const bool is_even = block.feed_forward_length % units.feed_forward == 0;
  return std::max(1u, std::min(attention, is_even ? block.feed_forward_length / units.feed_forward : 1));
}

}  // namespace flotilla
