#include "engine/shard.h"

#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/attention_op.h"
#include "engine/backend.h"
#include "engine/embedding_table.h"
#include "engine/graph.h"
#include "engine/graph_cache.h"
#include "engine/kv_cache.h"
#include "engine/output_head.h"
#include "engine/shard_sum.h"
#include "engine/step_inputs.h"
#include "engine/step_shape.h"
#include "engine/weights.h"

namespace flotilla {
namespace {

class Shard final : public Stage {
 public:
  Shard(std::shared_ptr<const Gguf> gguf, std::span<const std::filesystem::path> files, ModelSpec spec,
        const StageOptions& options, std::unique_ptr<ShardSum> sum, bool embeds, ComputeBackend backend,
        Weights weights, KvCache cache)
      : gguf_(std::move(gguf)),
        spec_(std::move(spec)),
        options_(options),
        attention_(std::make_unique<AttentionOp>(options.threads)),
        sum_(std::move(sum)),
        layers_(describe_layers(spec_, options.layers)),
        backend_(std::move(backend)),
        weights_(std::move(weights)),
        cache_(std::move(cache)),
        graphs_(backend_.plain()) {
    if (!options.is_head) return;
    if (embeds) table_.emplace(*gguf_, files, weights_.head(), spec_);
    head_.emplace(spec_, weights_.head(), backend_);
  }

  // What the largest step of one sequence needs, so that a stage that loads also runs. (Many sequences in a step take
  // more masks and fewer cells each.)
  Status reserve() {
    if (table_) FLOTILLA_TRY_STATUS(table_->open());
    if (head_) FLOTILLA_TRY_STATUS(head_->reserve());
    if (layers_.range.count() == 0) return {};
    return graphs_.reserve(build_step_graph(parts(), largest_step(layers_, cache_, options_.step_rows_max)));
  }

  Result<std::span<const float>> embed(const StepBatch& batch) override {
    FLOTILLA_TRY_STATUS(check_is_head());
    check(table_.has_value(), "the first shard embeds for all");
    FLOTILLA_TRY_STATUS(table_->embed(batch, embedded_));
    return std::span<const float>(embedded_);
  }

  Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) override {
    if (activations.size() != batch.rows.size() * spec_.embedding_length)
      return fail(Code::invalid_argument, "[engine] expected {} rows of {} activations but got {} values",
                  batch.rows.size(), spec_.embedding_length, activations.size());
    FLOTILLA_TRY_STATUS(cache_.check_orders(batch));
    cache_.carry_out_orders(batch);
    FLOTILLA_TRY(StepShape shape,
                 shape_step(batch, spec_, layers_, cache_, options_.context_tokens, options_.step_rows_max));
    if (options_.ggml_attention) FLOTILLA_TRY_STATUS(let_ggml_attend(shape));
    if (shape.rows == 0) return std::span<const float>();
    if (layers_.range.count() == 0)
      result_.assign(activations.begin(), activations.end());
    else
      FLOTILLA_TRY_STATUS(compute(shape, activations));
    for (const RowGroup& group : shape.groups) cache_.set_length(group.sequence, group.first_position + group.rows);
    return std::span<const float>(result_);
  }

  Result<std::span<const float>> logits(std::span<const float> rows) override {
    FLOTILLA_TRY_STATUS(check_is_head());
    return head_->logits(rows);
  }

  const ModelSpec& spec() const override { return spec_; }

  StageMemory memory() const override {
    return {weights_.bytes(), cache_.bytes(), graphs_.buffer_bytes() + (head_ ? head_->buffer_bytes() : 0)};
  }

 private:
  StageParts parts() const { return {&spec_, &layers_, &weights_, &cache_, attention_.get(), sum_.get()}; }

  Status check_is_head() const {
    if (head_) return {};
    return fail(Code::invalid_argument, "[engine] expected the head's stage but this one holds only layers [{}, {})",
                layers_.range.first, layers_.range.end);
  }

  // Where one shard cannot go on, the others must not wait for it.
  Status compute(const StepShape& shape, std::span<const float> activations) {
    auto status = compute_alone(shape, activations);
    if (!status && sum_) sum_->close(status.error());
    return status;
  }

  Status compute_alone(const StepShape& shape, std::span<const float> activations) {
    const GraphKey key = shape.key();
    StepGraph* graph = graphs_.find(key);
    if (!graph) {
      FLOTILLA_TRY(graph, graphs_.keep(key, build_step_graph(parts(), shape)));
    }
    inputs_.write(*graph, shape, layers_, cache_, activations);
    FLOTILLA_TRY_STATUS(backend_.compute(graph->graph));
    if (sum_) FLOTILLA_TRY_STATUS(sum_->status());
    result_.resize(graph->result ? static_cast<std::size_t>(ggml_nelements(graph->result)) : 0);
    if (graph->result) ggml_backend_tensor_get(graph->result, result_.data(), 0, ggml_nbytes(graph->result));
    return {};
  }

  const std::shared_ptr<const Gguf> gguf_;
  const ModelSpec spec_;
  const StageOptions options_;
  const std::unique_ptr<AttentionOp> attention_;
  const std::unique_ptr<ShardSum> sum_;  // null where there is no other shard
  const StageLayers layers_;
  ComputeBackend backend_;
  Weights weights_;
  KvCache cache_;
  GraphCache graphs_;
  StepInputs inputs_;
  std::optional<EmbeddingTable> table_;  // both on the head only
  std::optional<OutputHead> head_;
  std::vector<float> embedded_, result_;
};

}  // namespace

Result<std::unique_ptr<Stage>> load_shard(std::shared_ptr<const Gguf> gguf,
                                          std::span<const std::filesystem::path> files, const ModelSpec& spec,
                                          const StageOptions& options, std::optional<ShardPlace> place,
                                          const LoadProgressFn& progress) {
  const ShardSlice* slice = place ? &place->slice : nullptr;
  ModelSpec own = slice ? spec_of(spec, *slice) : spec;
  FLOTILLA_TRY(ComputeBackend backend, ComputeBackend::open(options.threads));
  FLOTILLA_TRY(Weights weights, Weights::load(*gguf, files, spec, options, slice, backend, progress));
  FLOTILLA_TRY(KvCache cache, KvCache::create(own, options.layers, options.context_tokens, options.sequences, backend));
  auto sum = place ? std::make_unique<ShardSum>(std::move(place->collective)) : nullptr;
  auto shard =
      std::make_unique<Shard>(std::move(gguf), files, std::move(own), options, std::move(sum), !place || place->embeds,
                              std::move(backend), std::move(weights), std::move(cache));
  FLOTILLA_TRY_STATUS(shard->reserve());
  return shard;
}

}  // namespace flotilla
