// Claims about choosing a token. All of them without a model: logits are made by hand.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "engine/likeliest.h"
#include "engine/softmax.h"

namespace flotilla {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

TokenId choose(std::vector<float> logits, const SamplingParams& params, std::vector<TokenId> tokens = {},
               std::size_t prompt_length = 0, std::uint32_t position = 0) {
  return sample(logits, params, {tokens, prompt_length}, 0, position, -1).token;
}

// How often each token is drawn in `draws` places of one answer.
std::map<TokenId, int> draw(const std::vector<float>& logits, const SamplingParams& params, int draws = 20000) {
  std::map<TokenId, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[choose(logits, params, {}, 0, static_cast<std::uint32_t>(i))];
  return counts;
}

std::vector<float> logs(std::vector<double> probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities)
    logits.push_back(static_cast<float>(std::log(p) + 3));  // a shift changes nothing
  return logits;
}

// Six standard deviations of a binomial count.
void expect_share(int count, double share, int draws = 20000) {
  EXPECT_NEAR(count, share * draws, 6 * std::sqrt(draws * share * (1 - share)) + 1) << "share " << share;
}

SamplingParams greedy() { return {.temperature = 0}; }

TEST(Sampler, GreedyTakesTheFirstOfEqualBests) {
  EXPECT_EQ(choose({1, 5, 5, -3}, greedy()), 1);
  EXPECT_EQ(choose({-infinity, -7, -infinity}, greedy()), 1);
}

TEST(Sampler, WhatIsNotANumberIsNeverChosen) {
  const float nan = std::nanf("");
  EXPECT_EQ(choose({nan, 1, 2, nan}, greedy()), 2);
  EXPECT_EQ(draw({nan, 0, -infinity, nan}, {}, 200), (std::map<TokenId, int>{{1, 200}}));
  EXPECT_EQ(draw({nan, 0, -infinity, nan}, {.top_k = 3}, 200), (std::map<TokenId, int>{{1, 200}}));
  EXPECT_EQ(draw({nan, 0, -infinity, nan}, {.top_p = 0.9f}, 200), (std::map<TokenId, int>{{1, 200}}));
  EXPECT_EQ(choose({nan, nan}, {.top_p = 0.5f}), 0);
}

TEST(Sampler, OnlyWhatIsAllowedIsChosenWhateverNarrowsTheChoice) {
  std::vector<float> logits(100);
  for (std::size_t token = 0; token < logits.size(); ++token) logits[token] = static_cast<float>(token % 37);
  TokenMask allowed{.words = std::vector<std::uint32_t>(4)};
  for (const TokenId token : {3, 64, 70}) allowed.words[static_cast<std::size_t>(token) / 32] |= 1u << (token % 32);
  for (const SamplingParams& params : std::vector<SamplingParams>{
           {.temperature = 0}, {}, {.top_k = 1}, {.top_k = 40}, {.top_p = 0.01f}, {.min_p = 0.9f}, {.temperature = 5}})
    for (std::uint32_t position = 0; position < 50; ++position) {
      auto scratch = logits;
      const auto token = sample(scratch, params, {}, 0, position, -1, &allowed).token;
      EXPECT_TRUE(allowed.contains(token)) << token;
      if (params.temperature == 0 || params.top_k == 1) EXPECT_EQ(token, 70) << "the likeliest that is allowed";
    }
}

TEST(Sampler, WhatMustBeIsChosenAlsoWithoutAProbability) {
  const TokenMask allowed{.words = {1u << 2}};
  for (const float logit : {-infinity, std::nanf(""), -1e30f}) {
    std::vector<float> logits{5, 4, logit, 3};
    EXPECT_EQ(sample(logits, {}, {}, 0, 0, -1, &allowed).token, 2);
    logits = {5, 4, logit, 3};
    EXPECT_EQ(sample(logits, {.temperature = 0}, {}, 0, 0, -1, &allowed).token, 2);
  }
}

TEST(Sampler, LogprobsStayTheModelsOwnWhereTheChoiceIsConstrained) {
  std::vector<float> logits = logs({0.5, 0.3, 0.2});
  const TokenMask allowed{.words = {1u << 2}};
  const auto chosen = sample(logits, {}, {}, 0, 0, 2, &allowed);
  EXPECT_EQ(chosen.token, 2);
  EXPECT_NEAR(chosen.logprob, std::log(0.2), 1e-4);
  EXPECT_EQ(chosen.top.at(0).token, 0);
}

TEST(Sampler, DrawsFollowTheDistribution) {
  const auto counts = draw(logs({0.5, 0.3, 0.2}), {});
  expect_share(counts.at(0), 0.5);
  expect_share(counts.at(1), 0.3);
  expect_share(counts.at(2), 0.2);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  const double cold = 0.25 / (0.25 + 0.09 + 0.04);  // T = 1/2 squares
  expect_share(draw(logs({0.5, 0.3, 0.2}), {.temperature = 0.5f}).at(0), cold);
  expect_share(draw(logs({0.5, 0.3, 0.2}), {.temperature = 0.5f, .top_k = 2}).at(0), 0.25 / 0.34);
  expect_share(draw(logs({0.5, 0.3, 0.2}), {.temperature = 100}).at(2), 1.0 / 3 - 0.003);
}

TEST(Sampler, TopKKeepsTheBestK) {
  const auto counts = draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_k = 2});
  EXPECT_EQ(counts.size(), 2u);
  expect_share(counts.at(1), 4.0 / 7);
  expect_share(counts.at(3), 3.0 / 7);
  EXPECT_EQ(draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_k = 1}).size(), 1u);
  EXPECT_EQ(draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_k = 99}).size(), 4u);
}

TEST(Sampler, TopPKeepsTheFewestThatHoldTheMass) {
  EXPECT_EQ(draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_p = 0.65f}).size(), 2u);
  EXPECT_EQ(draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_p = 0.75f}).size(), 3u);
  EXPECT_EQ(draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_p = 0.0f}).size(), 1u);
  // After top-k the mass is that of the k: 0.4 of 0.7 alone holds half.
  EXPECT_EQ(draw(logs({0.1, 0.4, 0.2, 0.3}), {.top_k = 2, .top_p = 0.5f}).size(), 1u);
}

TEST(Sampler, TopPWidensUntilTheMassIsFound) {
  std::vector<float> flat(20000, 0.0f);
  flat[7] = 1;
  SamplingParams params{.top_p = 0.5f};
  std::map<TokenId, int> counts = draw(flat, params, 300);
  // Half the mass of 20000 near-equal tokens: the lower ids among equals, and none beyond.
  EXPECT_LT(counts.rbegin()->first, 10100);
  EXPECT_GT(counts.rbegin()->first, 8000);
}

TEST(Sampler, MinPIsRelativeToTheBest) {
  EXPECT_EQ(draw(logs({0.5, 0.24, 0.26}), {.min_p = 0.5f}).size(), 2u);
  EXPECT_EQ(draw(logs({0.5, 0.24, 0.26}), {.top_k = 3, .min_p = 0.5f}).size(), 2u);
  EXPECT_EQ(draw(logs({0.5, 0.24, 0.26}), {.min_p = 1.0f}).size(), 1u);
}

TEST(Sampler, BiasForbidsAndForces) {
  auto params = greedy();
  params.logit_bias = {{0, -100.0f}, {2, 100.0f}, {99, 5.0f}, {-1, 5.0f}};
  EXPECT_EQ(choose({9, 1, 0}, params), 2);
  SamplingParams drawn{.logit_bias = {{0, -100.0f}}};
  EXPECT_FALSE(draw({3, 1, 0}, drawn).contains(0));
}

TEST(Sampler, RepetitionPenaltyLooksBackOnlyThroughItsWindow) {
  auto params = greedy();
  params.repetition_penalty = 2;
  EXPECT_EQ(choose({4, 3, -9}, params, {0}), 1);           // 4 / 2 < 3
  EXPECT_EQ(choose({-2, -3, -9}, params, {0}), 1);         // -2 × 2 < -3
  EXPECT_EQ(choose({4, 1.5f, -9}, params, {0, 0, 0}), 0);  // once, however often it was seen
  params.repetition_window = 1;
  EXPECT_EQ(choose({4, 3, -9}, params, {0, 2}), 0);
  params.repetition_window = -1;
  EXPECT_EQ(choose({4, 3, -9}, params, {0, 2}), 1);
}

TEST(Sampler, PresenceAndFrequencyCountTheAnswerOnly) {
  auto params = greedy();
  params.presence_penalty = 1;
  EXPECT_EQ(choose({4, 3.5f}, params, {0}, 1), 0);        // in the prompt
  EXPECT_EQ(choose({4, 3.5f}, params, {1, 0}, 1), 1);     // in the answer
  EXPECT_EQ(choose({4, 2.5f}, params, {0, 0, 0}, 0), 0);  // once, however often
  params = greedy();
  params.frequency_penalty = 1;
  EXPECT_EQ(choose({4, 2.5f}, params, {0, 0}, 0), 1);
  EXPECT_EQ(choose({4, 2.5f}, params, {0}, 0), 0);
}

TEST(Sampler, LogprobsAreTheModelsAfterBiasBeforePenalties) {
  std::vector<float> logits = logs({0.5, 0.3, 0.2});
  const std::vector<TokenId> tokens = {0, 0};
  SamplingParams params{.temperature = 0, .presence_penalty = 2, .logit_bias = {{2, std::log(2.0f)}}};
  const auto sampled = sample(logits, params, {tokens, 0}, 0, 0, 2);
  EXPECT_EQ(sampled.token, 2);
  EXPECT_NEAR(sampled.logprob, std::log(0.4 / 1.2), 1e-5);
  ASSERT_EQ(sampled.top.size(), 2u);
  EXPECT_EQ(sampled.top[0].token, 0);
  EXPECT_NEAR(sampled.top[0].logprob, std::log(0.5 / 1.2), 1e-5);
  EXPECT_EQ(sampled.top[1].token, 2);
}

TEST(Sampler, AskingForLogprobsChangesNoChoice) {
  std::vector<float> logits;
  for (int i = 0; i < 5000; ++i) logits.push_back(static_cast<float>(std::sin(i * 12.9898) * 4));
  for (std::uint32_t position = 0; position < 50; ++position) {
    auto a = logits, b = logits;
    EXPECT_EQ(sample(a, {.seed = 9}, {}, 1, position, 5).token, sample(b, {.seed = 9}, {}, 1, position, -1).token);
  }
}

TEST(Sampler, ScoreSumsToOneAndOrdersTheBest) {
  const auto logits = logs({0.1, 0.4, 0.2, 0.3});
  double mass = 0;
  for (TokenId token = 0; token < 4; ++token) mass += std::exp(score(logits, token, 0).logprob);
  EXPECT_NEAR(mass, 1, 1e-5);
  const auto best = score(logits, 2, 9).top;
  ASSERT_EQ(best.size(), 4u);
  EXPECT_EQ(best[0].token, 1);
  EXPECT_EQ(best[3].token, 0);
}

TEST(Sampler, RandomnessIsAFunctionOfSeedChoiceAndPosition) {
  EXPECT_EQ(uniform(1, 2, 3), uniform(1, 2, 3));
  EXPECT_NE(uniform(1, 2, 3), uniform(2, 2, 3));
  EXPECT_NE(uniform(1, 2, 3), uniform(1, 3, 2));
  double sum = 0;
  for (std::uint32_t position = 0; position < 10000; ++position) {
    const double u = uniform(42, 0, position);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Softmax, AgreesWithTheLibrarysExponential) {
  std::vector<float> values;
  double expected = 0;
  for (int i = 0; i < 100003; ++i) {
    values.push_back(-static_cast<float>(i % 1000) * 0.07f);
    expected += std::exp(static_cast<double>(values.back()));
  }
  EXPECT_NEAR(sum_of_exponentials(values, 0) / expected, 1, 1e-6);
  EXPECT_NEAR(sum_of_exponentials({{-3.0f}}, 0, 2) / std::exp(-1.5), 1, 1e-6);
  EXPECT_EQ(largest({}), -infinity);
  EXPECT_NEAR(log_sum_exp({{1000.0f, 1000.0f}}), 1000 + std::log(2.0), 1e-4);
}

TEST(Likeliest, IsTheFirstOfTheLargestWhereverItLies) {
  std::vector<float> logits(5000, -1.0f);
  for (const std::size_t at : {4999u, 4096u, 2047u, 1024u, 1023u, 0u}) {
    logits[at] = 3;
    EXPECT_EQ(likeliest(logits), (LikeliestToken{static_cast<TokenId>(at), 3})) << "and of those behind it";
  }
  EXPECT_EQ(likeliest({{0.0f, -0.0f}}).token, 0);
  EXPECT_EQ(likeliest({{-0.0f, 0.0f}}).token, 0);
  EXPECT_EQ(likeliest({{1, 2}}, 700), (LikeliestToken{701, 2}));
}

TEST(Likeliest, OfNoNumberIsTheFirstAndAsUnlikelyAsCanBe) {
  const float nothing = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(likeliest({}, 7), (LikeliestToken{7, -infinity}));
  EXPECT_EQ(likeliest(std::vector<float>(3000, nothing), 7), (LikeliestToken{7, -infinity}));
  EXPECT_EQ(likeliest({{nothing, -infinity, -5}}), (LikeliestToken{2, -5}));
}

TEST(Likeliest, OfPartsIsThatOfTheWholeAndOfEqualsTheEarlier) {
  const std::vector<float> logits = {1, 4, 0, 9, 4, 2, 9, 3};  // two rows of four
  std::vector<LikeliestToken> rows, first, later;
  likeliest_of_rows(logits, 4, 0, rows);
  EXPECT_EQ(rows, (std::vector<LikeliestToken>{{3, 9}, {2, 9}}));
  likeliest_of_rows({{1, 4, 4, 2}}, 2, 0, first);
  likeliest_of_rows({{0, 9, 4, 3}}, 2, 2, later);
  keep_likeliest(first, later);
  EXPECT_EQ(first, (std::vector<LikeliestToken>{{3, 9}, {0, 4}}));
}

TEST(Sampler, ATemperatureBeyondAFloatsReachIsGreedy) {
  SamplingParams params;
  params.temperature = 1e-40f;  // 1 / temperature is no float
  for (std::uint32_t position = 0; position < 50; ++position) {
    std::vector<float> logits = {0, 1, 5, 2};
    EXPECT_EQ(sample(logits, params, {.tokens = {}, .prompt_length = 0}, 0, position, -1).token, 2);
  }
}

// A message with another number would be refused where it arrives, and the request's end with it.
TEST(Sampler, LogprobsAreFiniteWhateverTheLogits) {
  const float nothing = std::numeric_limits<float>::quiet_NaN(), never = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(score(std::vector<float>{0, never, 1}, 1, 0).logprob, -9999);
  EXPECT_EQ(score(std::vector<float>{0, nothing, 1}, 1, 0).logprob, -9999);
  for (const auto& entry : score(std::vector<float>{0, never, nothing}, 0, 3).top)
    EXPECT_TRUE(std::isfinite(entry.logprob));
}

}  // namespace
}  // namespace flotilla
