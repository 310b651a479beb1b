// Decides which slice of every layer each shard of a stage holds. Pure.
//
// Attention is cut between KV heads, and where there are fewer KV heads than shards, between the query heads of each:
// its keys and values are then held by all of them. The feed-forward is cut between its hidden values, the output head
// between rows of the vocabulary. Query, key, value, gate and up matrices lose rows; the two output projections lose
// columns, whole quantization blocks of them, and give summands (collective.h). Norms and biases of sums stay whole.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/gguf.h"
#include "model/spec.h"

namespace flotilla {

struct IndexRange {  // [first, end)
  std::uint32_t first = 0, end = 0;
  std::uint32_t count() const { return end - first; }
  bool operator==(const IndexRange&) const = default;
};

struct BlockSlice {
  IndexRange heads, kv_heads, feed_forward;
};

struct ShardSlice {
  std::vector<BlockSlice> blocks;  // of all the model's layers
  IndexRange vocabulary;
};

// A slice per share; shares are relative weights, how much of each layer's work a shard should do. unsupported, saying
// which layer and why, where the model cannot be cut into so many.
Result<std::vector<ShardSlice>> cut_model(const Gguf& gguf, const ModelSpec& spec, std::span<const double> shares);

// The spec as graphs and caches of one shard see it: fewer heads, a shorter feed-forward, the same widths between.
ModelSpec spec_of(const ModelSpec& spec, const ShardSlice& slice);

}  // namespace flotilla
