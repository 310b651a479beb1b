// Keys and values of everything computed so far:
// per layer one matrix of cells for K and one for V, F16, one cell a row.
//
// Slot s owns cells [s × cells_per_sequence, (s + 1) × cells_per_sequence); position p of its sequence lies in its p-th
// cell, whether or not the layer looks through a window. So what a row sees follows from positions, and a copied prefix
// is two memory copies a layer. A slot's length is how many positions from 0 hold values.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/backend.h"
#include "engine/lazy_memory.h"
#include "model/spec.h"
#include "wire/step.h"

namespace flotilla {

struct LayerCache {
  ggml_tensor* keys = nullptr;    // [kv_heads × key_length, cells]
  ggml_tensor* values = nullptr;  // [kv_heads × value_length, cells]
};

class KvCache {
 public:
  static constexpr std::uint32_t cells_unit = 256;  // a slot has whole units, so that every tensor is well aligned

  static Result<KvCache> create(const ModelSpec& spec, LayerRange layers, std::uint32_t context_tokens,
                                std::uint32_t sequences, const ComputeBackend& backend);

  // invalid_argument for slots that do not exist or a copy of positions that hold nothing; then nothing was done.
  Status check_orders(const StepBatch& batch) const;
  void carry_out_orders(const StepBatch& batch);  // free, truncate, copy; after check_orders

  std::uint32_t length(SeqId sequence) const { return lengths_[sequence.value]; }
  void set_length(SeqId sequence, std::uint32_t positions) { lengths_[sequence.value] = positions; }

  std::uint32_t sequences() const { return static_cast<std::uint32_t>(lengths_.size()); }
  std::uint32_t cells_per_sequence() const { return cells_per_sequence_; }
  const LayerCache& layer(std::uint32_t layer) const { return layers_[layer - first_layer_]; }  // model's numbering
  std::uint64_t bytes() const { return memory_.bytes(); }

 private:
  std::vector<std::uint32_t> lengths_after_orders(const StepBatch& batch, Status& status) const;
  void copy_prefix(const CacheCopy& copy);

  std::uint32_t first_layer_ = 0, cells_per_sequence_ = 0;
  std::vector<LayerCache> layers_;
  std::vector<std::uint32_t> lengths_;  // by slot
  ggml_context_ptr context_;
  LazyMemory memory_;
};

}  // namespace flotilla
