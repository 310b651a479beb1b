#include "pipeline/scripted_stage.h"

#include <algorithm>
#include <utility>

#include "engine/likeliest.h"

namespace flotilla {
namespace {

constexpr std::uint32_t modulus = 65'521;  // a prime below 2^16: values are exact in F32, and in 31 × them in 32 bits

std::uint32_t through_layer(std::uint32_t layer, std::uint32_t state, std::uint32_t value) {
  return (state * 31 + value + layer + 1) % modulus;
}

class ScriptedStage final : public Stage {
 public:
  explicit ScriptedStage(ScriptedStageOptions options) : options_(std::move(options)), states_(options_.sequences) {
    spec_.name = "scripted";
    spec_.embedding_length = options_.model.width;
    spec_.vocabulary = options_.model.vocabulary;
    spec_.context_length = options_.context_tokens;
    vocabulary_ = options_.vocabulary.count() > 0 ? options_.vocabulary : IndexRange{0, spec_.vocabulary};
  }

  Result<std::span<const float>> embed(const StepBatch& batch) override {
    values_.assign(batch.rows.size() * spec_.embedding_length, 0);
    for (std::size_t row = 0; row < batch.rows.size(); ++row) {
      float* out = values_.data() + row * spec_.embedding_length;
      out[0] = static_cast<float>(batch.rows[row].token);
      out[1] = static_cast<float>(batch.rows[row].sequence.value);
      out[2] = static_cast<float>(batch.rows[row].position);
    }
    return values_;
  }

  Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) override {
    if (options_.before_step) FLOTILLA_TRY_STATUS(options_.before_step(batch));
    FLOTILLA_TRY_STATUS(carry_out_orders(batch));
    const std::size_t width = spec_.embedding_length;
    if (activations.size() != batch.rows.size() * width)
      return fail(Code::invalid_argument, "[script] expected {} rows but got {} values", batch.rows.size(),
                  activations.size());
    const bool last = options_.layers.end == options_.model.layers;
    std::vector<float> out;
    for (std::size_t row = 0; row < batch.rows.size(); ++row) {
      FLOTILLA_TRY(const auto value, compute(batch.rows[row], activations.subspan(row * width, width)));
      if (last && !batch.rows[row].wants_logits) continue;
      out.insert(out.end(), activations.begin() + static_cast<std::ptrdiff_t>(row * width),
                 activations.begin() + static_cast<std::ptrdiff_t>((row + 1) * width));
      out[out.size() - width] = static_cast<float>(value);
    }
    values_ = std::move(out);
    return values_;
  }

  Result<std::span<const float>> logits(std::span<const float> rows) override {
    const std::size_t width = spec_.embedding_length, count = rows.size() / width;
    logits_.clear();
    for (std::size_t row = 0; row < count; ++row)
      for (std::uint32_t token = vocabulary_.first; token < vocabulary_.end; ++token)
        logits_.push_back(logit_of(static_cast<std::uint32_t>(rows[row * width]), token));
    return logits_;
  }

  Result<std::span<const LikeliestToken>> likeliest(std::span<const float> rows) override {
    FLOTILLA_TRY(const auto values, logits(rows));
    likeliest_of_rows(values, vocabulary_.count(), vocabulary_.first, likeliest_);
    return likeliest_;
  }

  IndexRange vocabulary() const override { return vocabulary_; }
  const ModelSpec& spec() const override { return spec_; }
  StageMemory memory() const override { return {.weight_bytes = 1, .kv_bytes = 2, .compute_bytes = 3}; }

 private:
  float logit_of(std::uint32_t value, std::uint32_t token) const {
    if (options_.logit) return options_.logit(value, token);
    return token == value % spec_.vocabulary ? 10.0f : 0.0f;
  }

  Status carry_out_orders(const StepBatch& batch) {
    for (const auto slot : batch.free) {
      FLOTILLA_TRY_STATUS(check_slot(slot));
      states_[slot.value].clear();
    }
    for (const auto& [slot, keep] : batch.truncate) {
      FLOTILLA_TRY_STATUS(check_slot(slot));
      states_[slot.value].resize(std::min<std::size_t>(keep, states_[slot.value].size()));
    }
    for (const auto& [from, to, positions] : batch.copy_prefix) {
      FLOTILLA_TRY_STATUS(check_slot(from));
      FLOTILLA_TRY_STATUS(check_slot(to));
      const auto& held = states_[from.value];
      if (positions > held.size())
        return fail(Code::invalid_argument, "[script] expected to copy at most {} positions of slot {} but got {}",
                    held.size(), from.value, positions);
      states_[to.value].assign(held.begin(), held.begin() + positions);
    }
    return {};
  }

  Status check_slot(SeqId slot) const {
    if (slot.value < options_.sequences) return {};
    return fail(Code::invalid_argument, "[script] expected a slot below {} but got {}", options_.sequences, slot.value);
  }

  Result<std::uint32_t> compute(const StepRow& row, std::span<const float> in) {
    FLOTILLA_TRY_STATUS(check_slot(row.sequence));
    const auto slot = row.sequence.value;
    auto& states = states_[slot];
    if (row.position != states.size() || in[1] != static_cast<float>(slot) || in[2] != static_cast<float>(row.position))
      return fail(Code::invalid_argument,
                  "[script] expected position {} of slot {} but got {} (activations of slot {}, {})", states.size(),
                  slot, row.position, in[1], in[2]);
    LayerStates next = states.empty() ? LayerStates(options_.layers.count()) : states.back();
    auto value = static_cast<std::uint32_t>(in[0]);
    for (std::uint32_t layer = options_.layers.first; layer < options_.layers.end; ++layer) {
      auto& state = next[layer - options_.layers.first];
      value = state = through_layer(layer, state, value);
    }
    states.push_back(std::move(next));
    return value;
  }

  const ScriptedStageOptions options_;
  ModelSpec spec_;
  IndexRange vocabulary_;
  using LayerStates = std::vector<std::uint32_t>;
  std::vector<std::vector<LayerStates>> states_;  // of each slot, after each of its positions
  std::vector<float> values_, logits_;
  std::vector<LikeliestToken> likeliest_;
};

}  // namespace

std::unique_ptr<Stage> make_scripted_stage(ScriptedStageOptions options) {
  return std::make_unique<ScriptedStage>(std::move(options));
}

std::vector<TokenId> scripted_answer(const ScriptedModel& model, std::span<const TokenId> prompt, std::size_t tokens) {
  std::vector<std::uint32_t> states(model.layers);
  std::vector<TokenId> history(prompt.begin(), prompt.end());
  for (std::size_t row = 0; history.size() < prompt.size() + tokens; ++row) {
    auto value = static_cast<std::uint32_t>(history[row]);
    for (std::uint32_t layer = 0; layer < model.layers; ++layer)
      value = states[layer] = through_layer(layer, states[layer], value);
    if (row + 1 == history.size()) history.push_back(static_cast<TokenId>(value % model.vocabulary));
  }
  return {history.begin() + static_cast<std::ptrdiff_t>(prompt.size()), history.end()};
}

}  // namespace flotilla
