// The promise of the ring, with a real model and real processes: greedy tokens are the same bit for bit whether one,
// two or three machines hold the layers, where links carry F32 and batches have equal shapes.
#include <gtest/gtest.h>

#include <filesystem>

#include "pipeline/local_ring.h"

namespace flotilla {
namespace {

// Ids of SmolLM2's own vocabulary; which text they are does not matter, that they lie within it does.
std::vector<TokenId> prompt_of(std::size_t length) {
  std::vector<TokenId> prompt(length);
  for (std::size_t i = 0; i < length; ++i) prompt[i] = static_cast<TokenId>(500 + (i * 7919 + length) % 40'000);
  return prompt;
}

// How a stage is divided: over `members` machines, each with `shards` threads.
struct Division {
  std::uint32_t stages = 1, members = 1, shards = 1;
  std::string link = "";                   // modelled
  double exchange_bytes_per_second = 1e7;  // so slow that all that can overlap does; 0: nothing overlaps
};

std::vector<LocalRing::Answer> answers_of(const Division& division, const std::vector<std::vector<TokenId>>& prompts,
                                          std::int32_t top_logprobs = 0) {
  const std::string file = FLOTILLA_SOURCE_DIR "/.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(file)) {
    ADD_FAILURE() << file << " is missing; scripts/setup gets it";
    return {};
  }
  ProcessRunners runners({FLOTILLA_RUNNER_TOOL, "--link", division.link});
  auto ring = LocalRing::form(runners, {.model = "SmolLM2-135M-Instruct.Q4_1",
                                        .files = {file},
                                        .stages = even_stages(30, division.stages),
                                        .context_tokens = 1024,
                                        .sequences = 1,
                                        .threads = 1,
                                        .shards = division.shards,
                                        .shares = std::vector(division.members, 1.0),
                                        .exchange_bytes_per_second = division.exchange_bytes_per_second});
  if (!ring) {
    ADD_FAILURE() << ring.error().message;
    return {};
  }
  std::vector<LocalRing::Answer> answers;
  for (const auto& prompt : prompts) {  // one after the other: equal batch shapes
    GenerateRequest request;
    request.id = RequestId{answers.size() + 1};
    request.prompt = prompt;
    request.tokens_max = 16;
    request.sampling.temperature = 0;
    request.top_logprobs = top_logprobs;
    EXPECT_TRUE(ring->send(request));
    auto answer = ring->answers(1);
    if (!answer) {
      ADD_FAILURE() << answer.error().message;
      return {};
    }
    answers.push_back(std::move(answer->begin()->second));
  }
  return answers;
}

TEST(RingModel, OneTwoAndThreeProcessesGiveTheSameGreedyTokensBitForBit) {
  // The last is longer than a step: it goes round in two chunks.
  const std::vector<std::vector<TokenId>> prompts = {prompt_of(1), prompt_of(7), prompt_of(100), prompt_of(520)};
  const auto alone = answers_of({.stages = 1}, prompts);
  ASSERT_EQ(alone.size(), prompts.size());
  for (const auto& answer : alone) ASSERT_EQ(answer.tokens.size(), 16u);
  for (const std::uint32_t stage_count : {2u, 3u}) {
    const auto together = answers_of({.stages = stage_count}, prompts);
    ASSERT_EQ(together.size(), prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(together[i].tokens, alone[i].tokens) << stage_count << " stages, prompt " << i;
      EXPECT_EQ(together[i].logprobs, alone[i].logprobs) << stage_count << " stages, prompt " << i;
    }
  }
}

// Without probabilities, members tell their likeliest tokens instead of their logits.
TEST(RingModel, LikeliestTokensGiveTheAnswersOfWholeLogits) {
  const std::vector<std::vector<TokenId>> prompts = {prompt_of(1), prompt_of(100)};
  for (const auto& division : {Division{.members = 2}, Division{.stages = 2, .members = 2}}) {
    const auto by_logits = answers_of(division, prompts, 0), by_likeliest = answers_of(division, prompts, -1);
    ASSERT_EQ(by_logits.size(), prompts.size());
    ASSERT_EQ(by_likeliest.size(), prompts.size());
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(by_likeliest[i].tokens.size(), 16u);
      EXPECT_EQ(by_likeliest[i].tokens, by_logits[i].tokens) << division.stages << " of " << division.members;
    }
  }
}

// Sums run in the same order wherever the shards are. (That slices add up to the whole model is shard_test's claim.)
TEST(RingModel, ShardsOnSeveralMachinesGiveTheBitsOfShardsOnOne) {
  // Over slow links groups take steps of many rows in two parts and projections in two halves; one process never does.
  // Some steps have rows beyond the last four.
  const std::vector<std::vector<TokenId>> prompts = {prompt_of(1), prompt_of(99), prompt_of(110), prompt_of(520)};
  const std::vector<std::pair<Division, std::vector<Division>>> alike = {
      {{.shards = 2},
       {{.members = 2},
        {.stages = 2, .members = 2},
        {.members = 2, .link = "delay=100us"},
        {.members = 2, .exchange_bytes_per_second = 0}}},
      {{.shards = 3}, {{.members = 3}}}};
  for (const auto& [one, several] : alike) {
    const auto alone = answers_of(one, prompts);
    ASSERT_EQ(alone.size(), prompts.size());
    for (const Division& division : several) {
      const auto together = answers_of(division, prompts);
      ASSERT_EQ(together.size(), prompts.size());
      for (std::size_t i = 0; i < prompts.size(); ++i) {
        EXPECT_EQ(together[i].tokens, alone[i].tokens)
            << division.stages << " stages of " << division.members << ", prompt " << i;
        EXPECT_EQ(together[i].logprobs, alone[i].logprobs)
            << division.stages << " stages of " << division.members << ", prompt " << i;
      }
    }
  }
}

}  // namespace
}  // namespace flotilla
