// The tensors of one stage, read from the model's files into the device's buffers and kept until the stage goes.
// In: checked places in files.  Out: ggml tensors by their part in the block.  Owns: the weight buffers.
// Thread: loading and use by one thread at a time.
// Never: keeps a file mapped, holds a weight twice.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/lazy_memory.h"
#include "engine/slices.h"
#include "engine/stage.h"

namespace flotilla {

// Null where the model has no such part.
struct LayerWeights {
  ggml_tensor *attention_norm = nullptr, *post_attention_norm = nullptr;
  ggml_tensor *query = nullptr, *key = nullptr, *value = nullptr, *attention_output = nullptr;
  ggml_tensor *query_bias = nullptr, *key_bias = nullptr, *value_bias = nullptr, *attention_output_bias = nullptr;
  ggml_tensor *query_norm = nullptr, *key_norm = nullptr;
  ggml_tensor *feed_forward_norm = nullptr, *post_feed_forward_norm = nullptr;
  ggml_tensor *gate = nullptr, *up = nullptr, *down = nullptr;
  // An embedder's: norms behind attention and feed-forward, and biases.
  ggml_tensor *up_bias = nullptr, *down_bias = nullptr;
  ggml_tensor *attention_output_norm = nullptr, *attention_output_norm_bias = nullptr;
  ggml_tensor *layer_output_norm = nullptr, *layer_output_norm_bias = nullptr;
};

struct HeadWeights {
  ggml_tensor* output_norm = nullptr;
  ggml_tensor* output = nullptr;  // of a shard: its rows of the vocabulary
  // [embedding_length, vocabulary], in memory the host can read: == output where tied; null where tied and rearranged,
  // and where another shard embeds.
  ggml_tensor* embedding = nullptr;
  // An embedder's: added to a token's row by its kind and its position, and the norm of their sum.
  ggml_tensor *token_kinds = nullptr, *positions = nullptr;
  ggml_tensor *embedding_norm = nullptr, *embedding_norm_bias = nullptr;
};

class Weights {
 public:
  // not_found for a file that cannot be opened; corrupt, naming file and tensor, for one that ends too early;
  // no_memory.
  // `spec` is the whole model's; `slice` what a shard holds of each tensor, null for everything; `embeds`: a head's
  // embedding table too, which one shard holds for all.
  static Result<Weights> load(const Gguf& gguf, std::span<const std::filesystem::path> files, const ModelSpec& spec,
                              const StageOptions& options, const ShardSlice* slice, bool embeds,
                              const ComputeBackend& backend, const LoadProgressFn& progress);

  const LayerWeights& layer(std::uint32_t layer) const { return layers_[layer - first_layer_]; }  // model's numbering
  const HeadWeights& head() const { return head_; }
  ggml_tensor* rope_factors() const { return rope_factors_; }  // null where the model has none
  std::uint64_t bytes() const { return bytes_; }

 private:
  friend class WeightsLoader;
  std::uint32_t first_layer_ = 0;
  std::vector<LayerWeights> layers_;
  HeadWeights head_;
  ggml_tensor* rope_factors_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::vector<ggml_context_ptr> contexts_;  // the tensors' descriptions
  std::vector<ggml_backend_buffer_ptr> repacked_;
  LazyMemory plain_;
};

}  // namespace flotilla
