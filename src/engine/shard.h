// Inside engine: what one thread computes of a stage. A stage of one shard is its only shard.
// Thread: one thread uses a shard, and ggml's own threads beneath it.
#pragma once

#include <memory>
#include <optional>

#include "engine/collective.h"
#include "engine/slices.h"
#include "engine/stage.h"

namespace flotilla {

// A shard's place among several.
struct ShardPlace {
  ShardSlice slice;
  std::unique_ptr<Collective> collective;
  bool embeds = false;  // on the head: holds the embedding table for all
};

// Of several shards, each is given the same batches and activations, gives the same activations, and as logits those of
// its rows of the vocabulary. `spec` is the whole model's.
Result<std::unique_ptr<Stage>> load_shard(std::shared_ptr<const Gguf> gguf,
                                          std::span<const std::filesystem::path> files, const ModelSpec& spec,
                                          const StageOptions& options, std::optional<ShardPlace> place,
                                          const LoadProgressFn& progress);

}  // namespace flotilla
