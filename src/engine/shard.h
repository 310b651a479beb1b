// Inside engine: what one thread holds and computes of a stage. A stage of one shard is its only shard.
// Thread: one thread uses a shard, and ggml's own threads beneath it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/attention_op.h"
#include "engine/embedding_table.h"
#include "engine/kv_cache.h"
#include "engine/output_head.h"
#include "engine/slices.h"
#include "engine/stage.h"
#include "engine/step_computer.h"
#include "engine/step_shape.h"
#include "engine/weights.h"

namespace flotilla {

// A shard's place among several.
struct ShardPlace {
  ShardSlice slice;
  std::unique_ptr<Collective> collective;
  bool embeds = false;  // on the head: holds the embedding table for all
};

// Of several shards, each is given the same batches and activations, gives the same activations, and as logits those of
// its rows of the vocabulary.
class Shard final : public Stage {
 public:
  // `spec` is the whole model's.
  static Result<std::unique_ptr<Shard>> load(std::shared_ptr<const Gguf> gguf,
                                             std::span<const std::filesystem::path> files, const ModelSpec& spec,
                                             const StageOptions& options, std::optional<ShardPlace> place,
                                             const LoadProgressFn& progress);

  Result<std::span<const float>> embed(const StepBatch& batch) override;
  Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) override;
  Result<std::span<const float>> logits(std::span<const float> rows) override;
  Result<std::span<const LikeliestToken>> likeliest(std::span<const float> rows) override;
  IndexRange vocabulary() const override { return vocabulary_; }
  const ModelSpec& spec() const override { return spec_; }
  StageMemory memory() const override;

  // A step in parts, for who computes several shards together: the batch is checked and its orders are carried out;
  // (computed;) its rows are in the cache.
  Result<StepShape> begin(const StepBatch& batch, std::span<const float> activations);
  void end(const StepShape& shape);
  HeldSlice held() { return {&spec_, &weights_, &cache_, &attention_}; }
  const StageLayers& layers() const { return layers_; }

 private:
  Shard(std::shared_ptr<const Gguf> gguf, ModelSpec spec, const StageOptions& options, IndexRange vocabulary,
        std::unique_ptr<Collective> sum, ComputeBackend backend, Weights weights, KvCache cache);
  Status add_head(std::span<const std::filesystem::path> files, bool embeds);
  Status check_is_head() const;

  const std::shared_ptr<const Gguf> gguf_;
  const ModelSpec spec_;
  const StageOptions options_;
  const IndexRange vocabulary_;
  const StageLayers layers_;
  const ComputeBackend backend_;
  const Weights weights_;
  KvCache cache_;
  AttentionOp attention_;
  StepComputer computer_;
  std::optional<EmbeddingTable> table_;  // both on the head only
  std::optional<OutputHead> head_;
  std::vector<float> embedded_;
  std::vector<LikeliestToken> likeliest_;
};

}  // namespace flotilla
