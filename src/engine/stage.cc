#include "engine/stage.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/shard.h"
#include "engine/sharded_stage.h"

namespace flotilla {
namespace {

Status check_options(const StageOptions& options, const ModelSpec& spec) {
  const LayerRange layers = options.layers;
  if (layers.first > layers.end || layers.end > spec.blocks.size())
    return fail(Code::invalid_argument, "[engine] expected layers within [0, {}) but got [{}, {})", spec.blocks.size(),
                layers.first, layers.end);
  if (options.sequences == 0 || options.sequences > limits::sequences_max)
    return fail(Code::invalid_argument, "[engine] expected 1 to {} sequences but got {}", limits::sequences_max,
                options.sequences);
  if (options.context_tokens == 0 || options.context_tokens > limits::context_tokens_max)
    return fail(Code::invalid_argument, "[engine] expected a context of 1 to {} tokens but got {}",
                limits::context_tokens_max, options.context_tokens);
  if (options.shards == 0) return fail(Code::invalid_argument, "[engine] expected a shard or more but got none");
  const std::size_t shards = options.shares.empty() ? options.shards : options.shares.size();
  if (options.first_shard > shards || options.shards > shards - options.first_shard)
    return fail(Code::invalid_argument, "[engine] expected shards within the stage's {} but got {} from {} on", shards,
                options.shards, options.first_shard);
  if (options.threads == 0 || options.step_rows_max == 0 || options.step_rows_max > limits::step_rows_max)
    return fail(Code::invalid_argument, "[engine] expected a thread or more and 1 to {} rows a step but got {} and {}",
                limits::step_rows_max, options.threads, options.step_rows_max);
  return {};
}

}  // namespace

Result<std::unique_ptr<Stage>> Stage::load(std::shared_ptr<const Gguf> gguf, std::vector<std::filesystem::path> files,
                                           const StageOptions& options, const LoadProgressFn& progress,
                                           std::unique_ptr<Collective> others) {
  FLOTILLA_TRY(const ModelSpec spec, read_spec(*gguf));
  if (spec.embeds())
    return fail(Code::unsupported, "[engine] expected a model that generates text but {} makes vectors of it",
                spec.name);
  FLOTILLA_TRY_STATUS(check_options(options, spec));
  if (files.empty()) files = gguf->files();
  std::unique_ptr<Stage> stage;
  if (options.shards == 1 && !others) {
    FLOTILLA_TRY(stage, Shard::load(std::move(gguf), files, spec, options, std::nullopt, progress));
  } else {
    FLOTILLA_TRY(stage, load_sharded_stage(std::move(gguf), files, spec, options, progress, std::move(others)));
  }
  const StageMemory memory = stage->memory();
  log(LogLevel::info, "engine", "layers [{}, {}){} loaded: {} weights, {} KV cache, {} for computing",
      options.layers.first, options.layers.end, options.is_head ? " and head" : "", format_bytes(memory.weight_bytes),
      format_bytes(memory.kv_bytes), format_bytes(memory.compute_bytes));
  return stage;
}

}  // namespace flotilla
