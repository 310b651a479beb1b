#include "engine/sharded_stage.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <ranges>
#include <vector>

#include "engine/likeliest.h"
#include "engine/memory_collective.h"
#include "engine/shard.h"
#include "engine/shard_team.h"

namespace flotilla {
namespace {

// Shards read at the same time; the bar shows their sum.
class SharedProgress {
 public:
  SharedProgress(std::uint32_t shards, const LoadProgressFn& progress)
      : done_(shards), total_(shards), progress_(progress) {}

  LoadProgressFn of(std::uint32_t shard) {
    return [this, shard](std::uint64_t done, std::uint64_t total) {
      const std::scoped_lock lock(mutex_);
      done_[shard] = done;
      total_[shard] = total;
      if (!progress_ || std::ranges::contains(total_, 0u)) return;  // not all have said how much it is
      progress_(sum(done_), sum(total_));
    };
  }

 private:
  static std::uint64_t sum(const std::vector<std::uint64_t>& values) {
    return std::ranges::fold_left(values, std::uint64_t{0}, std::plus());
  }

  std::mutex mutex_;
  std::vector<std::uint64_t> done_, total_;
  const LoadProgressFn& progress_;
};

// From so many rows on, all threads compute the slices together, one after the other: they share each product anew, so
// none waits for a slower one at the sums, and what is not sliced is computed once. With fewer, their meetings after
// every operation would cost more than that. Both give the same bits.
constexpr std::size_t rows_together_min = 8;

class ShardedStage final : public Stage {
 public:
  ShardedStage(std::vector<ShardSlice> slices, const ModelSpec& spec)
      : slices_(std::move(slices)),
        spec_(spec),
        shards_(slices_.size()),
        values_(slices_.size()),
        tokens_(slices_.size()),
        team_(static_cast<std::uint32_t>(slices_.size())) {}

  Status load(const std::shared_ptr<const Gguf>& gguf, std::span<const std::filesystem::path> files,
              const StageOptions& options, const LoadProgressFn& progress, std::shared_ptr<Collective> others) {
    const auto count = static_cast<std::uint32_t>(shards_.size());
    auto collectives = make_memory_collective(count, others);
    SharedProgress shared(count, progress);
    std::vector<Status> loaded(count);
    team_.run([&](std::uint32_t i) {
      auto shard = Shard::load(
          gguf, files, spec_, options,
          ShardPlace{
              .slice = slices_[i], .collective = std::move(collectives[i]), .embeds = options.first_shard + i == 0},
          shared.of(i));
      if (shard)
        shards_[i] = *std::move(shard);
      else
        loaded[i] = fail(shard.error());
    });
    for (auto& status : loaded) FLOTILLA_TRY_STATUS(std::move(status));
    return count > 1 ? prepare_to_compute_together(options, std::move(others)) : Status{};
  }

  Result<std::span<const float>> embed(const StepBatch& batch) override { return shards_.front()->embed(batch); }

  Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) override {
    if (computer_ && batch.rows.size() >= rows_together_min) return step_in_one_graph(batch, activations);
    return each(values_, [&](Shard& shard) { return shard.step(batch, activations); });
  }

  // Side by side, each shard's part of a row behind the one before.
  Result<std::span<const float>> logits(std::span<const float> rows) override {
    FLOTILLA_TRY(const auto first, each(values_, [&](Shard& shard) { return shard.logits(rows); }));
    if (rows.empty()) return first;
    const std::size_t count = rows.size() / spec_.embedding_length;
    const IndexRange own = vocabulary();
    logits_.resize(count * own.count());
    for (std::size_t i = 0; i < shards_.size(); ++i) {
      const IndexRange part = slices_[i].vocabulary;
      const std::span<const float> values = *values_[i];
      for (std::size_t row = 0; row < count; ++row)
        std::ranges::copy(values.subspan(row * part.count(), part.count()),
                          logits_.begin() + static_cast<std::ptrdiff_t>(row * own.count() + part.first - own.first));
    }
    return std::span<const float>(logits_);
  }

  // Each looks through its own part, where it has just written it.
  Result<std::span<const LikeliestToken>> likeliest(std::span<const float> rows) override {
    FLOTILLA_TRY(const auto first, each(tokens_, [&](Shard& shard) { return shard.likeliest(rows); }));
    likeliest_.assign(first.begin(), first.end());
    for (const auto& later : tokens_ | std::views::drop(1)) keep_likeliest(likeliest_, *later);
    return std::span<const LikeliestToken>(likeliest_);
  }

  IndexRange vocabulary() const override { return {slices_.front().vocabulary.first, slices_.back().vocabulary.end}; }
  const ModelSpec& spec() const override { return spec_; }

  StageMemory memory() const override {
    StageMemory sum;
    for (const auto& shard : shards_) {
      const StageMemory memory = shard->memory();
      sum.weight_bytes += memory.weight_bytes;
      sum.kv_bytes += memory.kv_bytes;
      sum.compute_bytes += memory.compute_bytes;
    }
    if (computer_) sum.compute_bytes += computer_->buffer_bytes();
    return sum;
  }

 private:
  Status prepare_to_compute_together(const StageOptions& options, std::shared_ptr<Collective> others) {
    FLOTILLA_TRY(ComputeBackend backend, ComputeBackend::open(options.shards * options.threads));
    backend_.emplace(std::move(backend));
    std::vector<HeldSlice> held;
    for (const auto& shard : shards_) held.push_back(shard->held());
    computer_.emplace(shards_.front()->layers(), std::move(held), std::move(others),
                      overlap_of(spec_.embedding_length, options.exchange_values_per_second), *backend_);
    return computer_->reserve(options.step_rows_max);
  }

  Result<std::span<const float>> step_in_one_graph(const StepBatch& batch, std::span<const float> activations) {
    std::vector<Result<StepShape>> shapes(shards_.size());
    team_.run([&](std::uint32_t i) { shapes[i] = shards_[i]->begin(batch, activations); });
    for (const auto& shape : shapes)
      if (!shape) return fail(shape.error());
    FLOTILLA_TRY(const auto result, computer_->compute(*shapes.front(), activations));
    for (const auto& shard : shards_) shard->end(*shapes.front());
    return result;
  }

  // The first shard's result, or the first failure: what fails one fails all, or ends the others' waits.
  template <class Found, class Use>
  Found each(std::vector<Found>& results, const Use& use) {
    team_.run([&](std::uint32_t i) { results[i] = use(*shards_[i]); });
    for (const auto& result : results)
      if (!result) return fail(result.error());
    return results.front();
  }

  const std::vector<ShardSlice> slices_;
  const ModelSpec spec_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::optional<ComputeBackend> backend_;               // all threads; both only where there are several shards here
  std::optional<StepComputer> computer_;                // of all slices in one graph
  std::vector<Result<std::span<const float>>> values_;  // both by shard
  std::vector<Result<std::span<const LikeliestToken>>> tokens_;
  std::vector<float> logits_;
  std::vector<LikeliestToken> likeliest_;
  ShardTeam team_;  // last: its threads end before what they use
};

}  // namespace

Result<std::unique_ptr<Stage>> load_sharded_stage(std::shared_ptr<const Gguf> gguf,
                                                  std::span<const std::filesystem::path> files, const ModelSpec& spec,
                                                  const StageOptions& options, const LoadProgressFn& progress,
                                                  std::unique_ptr<Collective> others) {
  const auto shares = options.shares.empty() ? std::vector(options.shards, 1.0) : options.shares;
  FLOTILLA_TRY(const auto all, cut_model(*gguf, spec, shares));
  const auto own = std::span(all).subspan(options.first_shard, options.shards);
  auto stage = std::make_unique<ShardedStage>(std::vector(own.begin(), own.end()), spec);
  FLOTILLA_TRY_STATUS(stage->load(gguf, files, options, progress, std::move(others)));
  return stage;
}

}  // namespace flotilla
