#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>

namespace flotilla {

Result<KvCache> KvCache::create(const ModelSpec& spec, LayerRange layers, std::uint32_t context_tokens,
                                std::uint32_t sequences, const ComputeBackend& backend) {
  KvCache cache;
  cache.first_layer_ = layers.first;
  cache.cells_per_sequence_ = (context_tokens + cells_unit - 1) / cells_unit * cells_unit;
  cache.lengths_.assign(sequences, 0);
  const std::int64_t cells = std::int64_t{cache.cells_per_sequence_} * sequences;
  cache.context_.reset(ggml_init({2 * (std::size_t{layers.count()} + 1) * ggml_tensor_overhead(), nullptr, true}));
  std::size_t bytes = 0;
  for (std::uint32_t layer = layers.first; layer < layers.end; ++layer) {
    const BlockSpec& block = spec.blocks[layer];
    auto& tensors = cache.layers_.emplace_back();
    tensors.keys =
        ggml_new_tensor_2d(cache.context_.get(), GGML_TYPE_F16, std::int64_t{block.kv_heads} * block.key_length, cells);
    tensors.values = ggml_new_tensor_2d(cache.context_.get(), GGML_TYPE_F16,
                                        std::int64_t{block.kv_heads} * block.value_length, cells);
    bytes += ggml_nbytes(tensors.keys) + ggml_nbytes(tensors.values);
  }
  FLOTILLA_TRY(cache.memory_, LazyMemory::map(backend.device(), bytes, "the KV cache"));
  std::byte* place = cache.memory_.data();  // sizes are multiples of 256 cells, so every tensor is well aligned
  for (const LayerCache& tensors : cache.layers_)
    for (ggml_tensor* tensor : {tensors.keys, tensors.values}) {
      ggml_backend_tensor_alloc(cache.memory_.buffer(), tensor, place);
      place += ggml_nbytes(tensor);
    }
  return cache;
}

Status KvCache::check_orders(const StepBatch& batch) const {
  Status status;
  lengths_after_orders(batch, status);
  return status;
}

// Orders build on each other (a copy may take what another order of the step left), so they are checked by playing
// them.
std::vector<std::uint32_t> KvCache::lengths_after_orders(const StepBatch& batch, Status& status) const {
  auto lengths = lengths_;
  const auto known = [&](SeqId sequence) {
    if (sequence.value < lengths.size()) return true;
    status = fail(Code::invalid_argument,
                  "[engine] expected a cache slot below {} but got {}; the head and this stage "
                  "disagree about the placement",
                  lengths.size(), sequence.value);
    return false;
  };
  for (const SeqId sequence : batch.free)
    if (known(sequence)) lengths[sequence.value] = 0;
  for (const CacheTruncate& order : batch.truncate)
    if (known(order.sequence))
      lengths[order.sequence.value] = std::min(lengths[order.sequence.value], order.keep_positions);
  for (const CacheCopy& order : batch.copy_prefix) {
    if (!known(order.from) || !known(order.to)) continue;
    if (order.positions > lengths[order.from.value])
      status = fail(Code::invalid_argument, "[engine] expected to copy at most the {} positions of slot {} but got {}",
                    lengths[order.from.value], order.from.value, order.positions);
    lengths[order.to.value] = order.positions;
  }
  return lengths;
}

void KvCache::carry_out_orders(const StepBatch& batch) {
  Status status;
  lengths_ = lengths_after_orders(batch, status);
  for (const CacheCopy& order : batch.copy_prefix) copy_prefix(order);
}

void KvCache::copy_prefix(const CacheCopy& copy) {
  if (copy.from == copy.to) return;
  for (const LayerCache& layer : layers_)
    for (ggml_tensor* tensor : {layer.keys, layer.values}) {
      const std::size_t cell_bytes = tensor->nb[1], slot_bytes = cell_bytes * cells_per_sequence_;
      auto* cells = static_cast<std::byte*>(tensor->data);
      std::memcpy(cells + copy.to.value * slot_bytes, cells + copy.from.value * slot_bytes,
                  copy.positions * cell_bytes);
    }
}

}  // namespace flotilla
