// Verbs for tests of stages: load a real model whole or cut into stages, and send steps through it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/stage.h"

namespace flotilla::testing {

inline constexpr const char* smollm = "SmolLM2-135M-Instruct.Q4_1";
inline constexpr const char* gemma = "gemma-3-270m.Q4_K_M";

inline std::filesystem::path model_path(const std::string& name) {
  return std::filesystem::path(FLOTILLA_SOURCE_DIR) / ".cache" / "models" / (name + ".gguf");
}

inline std::shared_ptr<const Gguf> open_model(const std::string& name) {
  auto gguf = Gguf::open(model_path(name));
  if (!gguf) throw std::runtime_error(gguf.error().message + " (scripts/setup fetches the models)");
  return *gguf;
}

inline std::unique_ptr<Stage> load_stage(const std::shared_ptr<const Gguf>& gguf, const StageOptions& options) {
  auto stage = Stage::load(gguf, {}, options, {});
  if (!stage) throw std::runtime_error(stage.error().message);
  return std::move(*stage);
}

// Rows of `tokens` from `position` on; the last wants logits.
inline void add_rows(StepBatch& batch, std::uint32_t slot, std::uint32_t position, std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) batch.rows.push_back({SeqId{slot}, position++, token, false});
  batch.rows.back().wants_logits = true;
}

// Tokens without meaning, the same for the same arguments. Ids below 1000 exist in every vocabulary.
inline std::vector<TokenId> some_tokens(std::size_t count, std::uint32_t kind = 0) {
  std::vector<TokenId> tokens;
  std::uint32_t x = 12345 + kind * 7919;
  while (tokens.size() < count)
    tokens.push_back(static_cast<TokenId>(300 + ((x = x * 1664525 + 1013904223) >> 16) % 600));
  return tokens;
}

// The same behind token 2, which begins every text Gemma has seen: without it, its answers hang on the last bits.
inline std::vector<TokenId> some_prompt(std::size_t count, std::uint32_t kind = 0) {
  auto tokens = some_tokens(count - 1, kind);
  tokens.insert(tokens.begin(), 2);
  return tokens;
}

// Largest difference of log-probability among tokens that matter (within 8 nats of the best).
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  const SampledToken best_a = score(a, 0, 20), first_b = score(b, 0, 0);
  double worst = 0;
  for (const auto& entry : best_a.top)
    if (entry.logprob > best_a.top[0].logprob - 8) {
      const float other = b[static_cast<std::size_t>(entry.token)] - b[0] + first_b.logprob;
      worst = std::max(worst, std::abs(static_cast<double>(entry.logprob) - other));
    }
  return worst;
}

// How far the same answer may move when its rows are computed beside other rows. SmolLM2's types (Q4_1, Q8_0) give each
// row the same bits in any company. Gemma's K-quants do not, and it amplifies them: 0.4 nats were measured between two
// ways of cutting one prompt. A wrong mask, slot or position moves an answer by several nats.
inline double noise(const std::string& model) { return model == smollm ? 0.02 : 1.0; }

// A model in stages that hand each other F32 activations, as a ring would, without the sockets.
class Chain {
 public:
  // `cuts`: where a new stage begins, e.g. {10, 20} for three stages.
  Chain(const std::string& model, const std::vector<std::uint32_t>& cuts, StageOptions options = chain_options()) {
    const auto gguf = open_model(model);
    const auto layers = static_cast<std::uint32_t>(read_spec(*gguf).value().blocks.size());
    std::uint32_t first = 0;
    for (std::size_t i = 0; i <= cuts.size(); ++i) {
      options.layers = {first, i < cuts.size() ? cuts[i] : layers};
      options.is_head = i == 0;
      stages_.push_back(load_stage(gguf, options));
      first = options.layers.end;
    }
  }

  static StageOptions chain_options() { return {.context_tokens = 1024, .sequences = 4}; }

  // Logits of the rows that want them, [rows, vocabulary].
  std::vector<float> step(const StepBatch& batch) {
    std::vector<float> rows = copy(stages_.front()->embed(batch));
    for (auto& stage : stages_) rows = copy(stage->step(batch, rows));
    return copy(stages_.front()->logits(rows));
  }

  std::vector<float> step(std::uint32_t slot, std::uint32_t position, const std::vector<TokenId>& tokens) {
    StepBatch batch;
    add_rows(batch, slot, position, tokens);
    return step(batch);
  }

  Stage& head() { return *stages_.front(); }

 private:
  static std::vector<float> copy(const Result<std::span<const float>>& values) {
    if (!values) throw std::runtime_error(values.error().message);
    return {values->begin(), values->end()};
  }

  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace flotilla::testing
