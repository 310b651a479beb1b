// Inside engine: a stage computed by several shards, each on a thread of its own with its slice of the weights. They meet
// twice a layer, where ggml's own threads meet after every operation.
#pragma once

#include <memory>

#include "engine/stage.h"

namespace flotilla {

// options.shards of them, options.threads each. `others`: the exchange with the shards that are elsewhere, or null.
Result<std::unique_ptr<Stage>> load_sharded_stage(std::shared_ptr<const Gguf> gguf,
                                                  std::span<const std::filesystem::path> files, const ModelSpec& spec,
                                                  const StageOptions& options, const LoadProgressFn& progress,
                                                  std::unique_ptr<Collective> others);

}  // namespace flotilla
