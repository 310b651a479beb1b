#include "engine/shard.h"

#include <utility>

#include "base/check.h"
#include "engine/likeliest.h"

namespace flotilla {

Result<std::unique_ptr<Shard>> Shard::load(std::shared_ptr<const Gguf> gguf,
                                           std::span<const std::filesystem::path> files, const ModelSpec& spec,
                                           const StageOptions& options, std::optional<ShardPlace> place,
                                           const LoadProgressFn& progress) {
  const ShardSlice* slice = place ? &place->slice : nullptr;
  ModelSpec own = slice ? spec_of(spec, *slice) : spec;
  FLOTILLA_TRY(ComputeBackend backend, ComputeBackend::open(options.threads));
  const bool embeds = !place || place->embeds;
  FLOTILLA_TRY(Weights weights, Weights::load(*gguf, files, spec, options, slice, embeds, backend, progress));
  FLOTILLA_TRY(KvCache cache, KvCache::create(own, options.layers, options.context_tokens, options.sequences, backend));
  const IndexRange vocabulary = slice ? slice->vocabulary : IndexRange{0, spec.vocabulary};
  std::unique_ptr<Shard> shard(new Shard(std::move(gguf), std::move(own), options, vocabulary,
                                         place ? std::move(place->collective) : nullptr, std::move(backend),
                                         std::move(weights), std::move(cache)));
  if (options.is_head) FLOTILLA_TRY_STATUS(shard->add_head(files, embeds));
  FLOTILLA_TRY_STATUS(shard->computer_.reserve(options.step_rows_max));
  return shard;
}

Shard::Shard(std::shared_ptr<const Gguf> gguf, ModelSpec spec, const StageOptions& options, IndexRange vocabulary,
             std::unique_ptr<Collective> sum, ComputeBackend backend, Weights weights, KvCache cache)
    : gguf_(std::move(gguf)),
      spec_(std::move(spec)),
      options_(options),
      vocabulary_(vocabulary),
      layers_(describe_layers(spec_, options.layers)),
      backend_(std::move(backend)),
      weights_(std::move(weights)),
      cache_(std::move(cache)),
      attention_(options.shards * options.threads),
      computer_(layers_, {held()}, std::move(sum),
                overlap_of(spec_.embedding_length, options.exchange_values_per_second), backend_) {}

Status Shard::add_head(std::span<const std::filesystem::path> files, bool embeds) {
  if (embeds) table_.emplace(*gguf_, files, weights_.head(), spec_);
  head_.emplace(spec_, weights_.head(), backend_);
  if (table_) FLOTILLA_TRY_STATUS(table_->open());
  return head_->reserve();
}

Result<std::span<const float>> Shard::embed(const StepBatch& batch) {
  FLOTILLA_TRY_STATUS(check_is_head());
  check(table_.has_value(), "the first shard embeds for all");
  FLOTILLA_TRY_STATUS(table_->embed(batch, embedded_));
  return std::span<const float>(embedded_);
}

Result<StepShape> Shard::begin(const StepBatch& batch, std::span<const float> activations) {
  if (activations.size() != batch.rows.size() * spec_.embedding_length)
    return fail(Code::invalid_argument, "[engine] expected {} rows of {} activations but got {} values",
                batch.rows.size(), spec_.embedding_length, activations.size());
  FLOTILLA_TRY_STATUS(cache_.check_orders(batch));
  cache_.carry_out_orders(batch);
  FLOTILLA_TRY(StepShape shape,
               shape_step(batch, spec_, layers_, cache_, options_.context_tokens, options_.step_rows_max));
  if (options_.ggml_attention) FLOTILLA_TRY_STATUS(let_ggml_attend(shape));
  return shape;
}

Result<std::span<const float>> Shard::step(const StepBatch& batch, std::span<const float> activations) {
  FLOTILLA_TRY(const StepShape shape, begin(batch, activations));
  if (shape.rows == 0) return std::span<const float>();
  FLOTILLA_TRY(const auto result, computer_.compute(shape, activations));
  end(shape);
  return result;
}

void Shard::end(const StepShape& shape) {
  for (const RowGroup& group : shape.groups) cache_.set_length(group.sequence, group.first_position + group.rows);
}

Result<std::span<const float>> Shard::logits(std::span<const float> rows) {
  FLOTILLA_TRY_STATUS(check_is_head());
  return head_->logits(rows);
}

Result<std::span<const LikeliestToken>> Shard::likeliest(std::span<const float> rows) {
  FLOTILLA_TRY(const auto values, logits(rows));
  likeliest_of_rows(values, vocabulary_.count(), vocabulary_.first, likeliest_);
  return std::span<const LikeliestToken>(likeliest_);
}

StageMemory Shard::memory() const {
  return {weights_.bytes(), cache_.bytes(), computer_.buffer_bytes() + (head_ ? head_->buffer_bytes() : 0)};
}

Status Shard::check_is_head() const {
  if (head_) return {};
  return fail(Code::invalid_argument, "[engine] expected the head's stage but this one holds only layers [{}, {})",
              layers_.range.first, layers_.range.end);
}

}  // namespace flotilla
