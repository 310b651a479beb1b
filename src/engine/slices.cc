#include "engine/slices.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <numeric>
#include <string>

#include "model/slice_units.h"

namespace flotilla {
namespace {

// Borders after which each shard ends, in units of [0, units): as near to `wanted` (which need not sum to one) as whole
// units allow, and never an empty slice. `wanted` has one entry a shard; units >= shards.
std::vector<std::uint32_t> borders(std::uint32_t units, std::span<const double> wanted) {
  const double total = std::accumulate(wanted.begin(), wanted.end(), 0.0);
  std::vector<std::uint32_t> ends;
  double so_far = 0;
  for (std::size_t shard = 0; shard < wanted.size(); ++shard) {
    so_far += wanted[shard];
    const auto left = static_cast<std::uint32_t>(wanted.size() - shard - 1);
    const std::uint32_t lowest = (ends.empty() ? 0 : ends.back()) + 1, highest = units - left;
    const auto nearest = static_cast<std::uint32_t>(std::lround(units * so_far / total));
    ends.push_back(std::clamp(shard + 1 == wanted.size() ? units : nearest, lowest, highest));
  }
  return ends;
}

IndexRange range_of(const std::vector<std::uint32_t>& ends, std::size_t shard, std::uint32_t unit) {
  return {shard == 0 ? 0 : ends[shard - 1] * unit, ends[shard] * unit};
}

class BlockCutter {
 public:
  BlockCutter(const Gguf& gguf, const ModelSpec& spec, std::uint32_t layer, std::span<const double> shares)
      : gguf_(gguf),
        spec_(spec),
        block_(spec.blocks[layer]),
        units_(slice_units(gguf, block_, layer)),
        layer_(layer),
        shares_(shares) {}

  Result<std::vector<BlockSlice>> cut() {
    std::vector<BlockSlice> slices(shares_.size());
    FLOTILLA_TRY_STATUS(cut_attention(slices));
    FLOTILLA_TRY_STATUS(cut_feed_forward(slices));
    return slices;
  }

 private:
  Status cut_attention(std::vector<BlockSlice>& slices) const {
    return shares_.size() <= block_.kv_heads ? cut_between_kv_heads(slices) : cut_within_kv_heads(slices);
  }

  // The unit is a KV head with its queries, or several.
  Status cut_between_kv_heads(std::vector<BlockSlice>& slices) const {
    const std::uint32_t queries = block_.heads / block_.kv_heads, unit = units_.heads;
    if (block_.heads % unit != 0 || block_.heads / unit < shares_.size())
      return too_many("KV heads", block_.heads / unit);
    const auto ends = borders(block_.heads / unit, shares_);
    for (std::size_t shard = 0; shard < slices.size(); ++shard) {
      slices[shard].heads = range_of(ends, shard, unit);
      slices[shard].kv_heads = {slices[shard].heads.first / queries, slices[shard].heads.end / queries};
    }
    return {};
  }

  // With more shards than KV heads, each shard has queries of one KV head, whose keys and values all its shards hold:
  // several KV heads would need as many queries for each.
  Status cut_within_kv_heads(std::vector<BlockSlice>& slices) const {
    const std::uint32_t queries = block_.heads / block_.kv_heads, unit = units_.heads_within_kv;
    const auto shards = static_cast<std::uint32_t>(shares_.size());
    for (std::uint32_t kv_head = 0, first = 0; kv_head < block_.kv_heads; ++kv_head) {
      const std::uint32_t end = shards * (kv_head + 1) / block_.kv_heads;
      if (queries % unit != 0 || queries / unit < end - first)
        return too_many("query heads", block_.kv_heads * (queries / unit));
      const auto ends = borders(queries / unit, shares_.subspan(first, end - first));
      for (std::uint32_t shard = first; shard < end; ++shard) {
        const IndexRange own = range_of(ends, shard - first, unit);
        slices[shard].heads = {kv_head * queries + own.first, kv_head * queries + own.end};
        slices[shard].kv_heads = {kv_head, kv_head + 1};
      }
      first = end;
    }
    return {};
  }

  // Takes up what whole heads left uneven, so that a layer's work is shared as wanted.
  Status cut_feed_forward(std::vector<BlockSlice>& slices) const {
    const std::uint32_t unit = units_.feed_forward;
    const std::uint32_t units = block_.feed_forward_length / unit;
    if (block_.feed_forward_length % unit != 0 || units < shares_.size()) return too_many("feed-forward blocks", units);
    const double width = spec_.embedding_length;
    const auto attention = [&](const BlockSlice& slice) {
      return width * (slice.heads.count() * (block_.key_length + block_.value_length) +
                      slice.kv_heads.count() * (block_.key_length + block_.value_length));
    };
    const double feed_forward = 3 * width * block_.feed_forward_length;
    double total = feed_forward;
    for (const BlockSlice& slice : slices) total += attention(slice);
    const double all = std::accumulate(shares_.begin(), shares_.end(), 0.0);
    std::vector<double> wanted;
    for (std::size_t shard = 0; shard < slices.size(); ++shard)
      wanted.push_back(std::max(total * shares_[shard] / all - attention(slices[shard]), feed_forward / units));
    const auto ends = borders(units, wanted);
    for (std::size_t shard = 0; shard < slices.size(); ++shard)
      slices[shard].feed_forward = range_of(ends, shard, unit);
    return {};
  }

  Status too_many(const char* what, std::uint32_t units) const {
    return fail(Code::unsupported,
                "[engine] expected at most {} shards of layer {} of '{}' (it has so many {} to part) but got {}", units,
                layer_, gguf_.name(), what, shares_.size());
  }

  const Gguf& gguf_;
  const ModelSpec& spec_;
  const BlockSpec& block_;
  const SliceUnits units_;
  const std::uint32_t layer_;
  const std::span<const double> shares_;
};

}  // namespace

Result<std::vector<ShardSlice>> cut_model(const Gguf& gguf, const ModelSpec& spec, std::span<const double> shares) {
  std::vector<ShardSlice> slices(shares.size());
  for (std::uint32_t layer = 0; layer < spec.blocks.size(); ++layer) {
    FLOTILLA_TRY(const auto of_block, BlockCutter(gguf, spec, layer, shares).cut());
    for (std::size_t shard = 0; shard < shares.size(); ++shard) slices[shard].blocks.push_back(of_block[shard]);
  }
  if (spec.vocabulary / slice_rows_together < shares.size())
    return fail(Code::unsupported, "[engine] expected fewer shards than rows of the vocabulary but got {}",
                shares.size());
  const auto ends = borders(spec.vocabulary / slice_rows_together, shares);
  for (std::size_t shard = 0; shard < shares.size(); ++shard)
    slices[shard].vocabulary = range_of(ends, shard, slice_rows_together);
  slices.back().vocabulary.end = spec.vocabulary;  // what is left of the last eight
  return slices;
}

ModelSpec spec_of(const ModelSpec& spec, const ShardSlice& slice) {
  ModelSpec own = spec;
  for (std::size_t layer = 0; layer < own.blocks.size(); ++layer) {
    own.blocks[layer].heads = slice.blocks[layer].heads.count();
    own.blocks[layer].kv_heads = slice.blocks[layer].kv_heads.count();
    own.blocks[layer].feed_forward_length = slice.blocks[layer].feed_forward.count();
  }
  return own;
}

}  // namespace flotilla
