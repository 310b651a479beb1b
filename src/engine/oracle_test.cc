// Our answers beside those of llama.cpp, recorded once (tests/data/oracle): the recorded tokens are given to a stage
// one by one, and what it expects at each place is compared. Teacher-forced, so one near tie does not spoil what
// follows.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "engine/sampler.h"
#include "engine/stage_testing.h"

namespace flotilla {
namespace {

constexpr double logprob_tolerance = 0.02;  // nats; last bits differ where the oracle orders sums otherwise
constexpr double likely = -6;               // below, a hundredth of a bit of a logit is many percent of a probability
constexpr double clear_gap = 0.05;          // where the oracle's best two are further apart, ours must agree

struct Comparison {
  std::size_t compared = 0, tokens = 0;
  double worst = 0;
  std::vector<std::string> disagreements;
};

// A row of a K-quant matrix changes in its last bits with the number of rows computed beside it, and Gemma turns last
// bits into tenths of a nat. So the prompt is read in the pieces the server reads it in: 512 rows at most.
std::vector<float> read_prompt(testing::Chain& chain, const std::vector<TokenId>& prompt) {
  std::vector<float> logits;
  for (std::size_t first = 0; first < prompt.size(); first += 512)
    logits = chain.step(0, static_cast<std::uint32_t>(first),
                        {prompt.begin() + first, prompt.begin() + std::min(prompt.size(), first + 512)});
  return logits;
}

void compare_place(const std::vector<float>& logits, const nlohmann::json& top, const std::string& where,
                   Comparison& comparison) {
  const TokenId best = top[0][0];
  const SampledToken ours = score(logits, best, 1);
  const double gap = top[0][1].get<double>() - top[1][1].get<double>();
  ++comparison.tokens;
  if (gap > clear_gap && ours.top[0].token != best) comparison.disagreements.push_back(where);
  for (const auto& entry : top) {
    if (entry[1].get<double>() < likely) continue;
    const double difference = std::abs(score(logits, entry[0], 0).logprob - entry[1].get<double>());
    comparison.worst = std::max(comparison.worst, difference);
    if (difference > logprob_tolerance) comparison.disagreements.push_back(where + " by " + std::to_string(difference));
    ++comparison.compared;
  }
}

void compare_prompt(testing::Chain& chain, const nlohmann::json& recorded, Comparison& comparison) {
  const auto prompt = recorded.at("prompt_tokens").get<std::vector<TokenId>>();
  const auto tokens = recorded.at("tokens").get<std::vector<TokenId>>();
  const auto& top = recorded.at("top");
  auto logits = read_prompt(chain, prompt);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    compare_place(logits, top.at(i), recorded.value("name", "?") + " token " + std::to_string(i), comparison);
    logits = chain.step(0, static_cast<std::uint32_t>(prompt.size() + i), {tokens[i]});
  }
}

class Oracle : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(, Oracle, ::testing::Values(testing::smollm, testing::gemma), [](const auto& model) {
  return std::string(model.param == testing::smollm ? "llama" : "gemma3");
});

// Kernels of two processor generations round at other places, and that moves single log-probabilities by tenths: the
// answers were recorded with ggml's AVX2 kernels, and the build runs this program with the same (CMakeLists.txt).
TEST_P(Oracle, WeExpectWhatLlamaCppExpects) {
  std::ifstream file(std::string(FLOTILLA_SOURCE_DIR "/tests/data/oracle/") + GetParam() + ".json");
  ASSERT_TRUE(file) << "the recorded answers are part of the repository";
  if (const auto started = start_engine(); !started) GTEST_SKIP() << started.error().message;
  const auto recorded = nlohmann::json::parse(file);
  testing::Chain chain(GetParam(), {}, {.context_tokens = 4096, .ggml_attention = true});
  Comparison comparison;
  for (const auto& prompt : recorded.at("prompts")) compare_prompt(chain, prompt, comparison);
  RecordProperty("worst", std::to_string(comparison.worst));
  std::printf("%zu tokens, %zu log-probabilities, worst difference %.4f\n", comparison.tokens, comparison.compared,
              comparison.worst);
  EXPECT_GE(recorded.at("prompts").size(), 24u);
  for (const auto& where : comparison.disagreements) ADD_FAILURE() << where;
}

}  // namespace
}  // namespace flotilla
