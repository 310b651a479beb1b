// Claims about what tokens, prompts and hops cost, each against a sum done by hand.
#include "planner/cost.h"

#include <gtest/gtest.h>

#include "base/units.h"

namespace flotilla {
namespace {

// Reads at `gib_per_second` however many rows there are, up to eight; from then on each row costs as much again.
MachineRates machine(double gib_per_second, const char* type = "Q4_K") {
  KernelRate kernel{.type = type, .seconds_per_gib = {}};
  for (const auto rows : kernel_rows) kernel.seconds_per_gib.push_back(std::max(1.0, rows / 8.0) / gib_per_second);
  return {.kernels = {kernel}, .layer_seconds = 1e-4, .attention_bytes_per_second = 1e9};
}

ModelShape model() {
  ModelShape shape;
  shape.embedding_length = 1000;
  shape.layers.assign(4,
                      {.weight_bytes = gib / 8, .cache = {.bytes_per_token = 1000}, .matrices = {{"q4_K", gib / 8}}});
  shape.output_matrix = {"Q4_K", gib / 2};
  return shape;
}

constexpr ExpectedUse chat{.prompt_tokens = 1000, .answer_tokens = 200};

TEST(Cost, ALayerIsItsProductsItsAttentionAndItsOwnTime) {
  const ModelCost cost(model(), chat, {});
  EXPECT_EQ(cost.seen_while_answering(), 1100);
  EXPECT_NEAR(cost.layer_seconds(machine(10), 1, 0), 0.0125 + 1e-4, 1e-12);
  EXPECT_NEAR(cost.layer_seconds(machine(10), 1, 1100), 0.0125 + 1e-4 + 1.1e-3, 1e-12);
  EXPECT_NEAR(cost.layer_seconds(machine(10), 16, 0), 0.025 + 1e-4, 1e-12);
  EXPECT_NEAR(cost.layer_seconds(machine(10), 12, 0), 0.01875 + 1e-4, 1e-12) << "between what was measured";
  EXPECT_NEAR(cost.layer_seconds(machine(10), 1024, 0), 1.6 + 1e-4, 1e-9) << "beyond it";
  EXPECT_NEAR(cost.head_seconds(machine(10), 1), 0.05, 1e-12);
  EXPECT_NEAR(cost.head_seconds(machine(10), 16), 0.1, 1e-12);
}

TEST(Cost, ATypeThatWasNotMeasuredCountsAsTheSlowest) {
  auto rates = machine(10, "Q8_0");
  rates.kernels.push_back(machine(5, "F16").kernels[0]);
  EXPECT_NEAR(ModelCost(model(), chat, {}).head_seconds(rates, 1), 0.1, 1e-12);
}

TEST(Cost, AWindowBoundsWhatAttentionReads) {
  auto shape = model();
  for (std::size_t layer = 0; layer < 3; ++layer) shape.layers[layer].cache.window = 100;
  // Three layers see 100 tokens, one sees all 1100: 350 on average.
  EXPECT_NEAR(ModelCost(shape, chat, {}).layer_seconds(machine(10), 1, 1100), 0.0126 + 350e-6, 1e-12);
}

TEST(Cost, RowsReadOnlyTheExpertsTheyTake) {
  auto shape = model();
  shape.experts = 8;
  shape.experts_used = 2;
  for (auto& layer : shape.layers) layer.experts = {{"Q4_K", gib}};
  const ModelCost cost(shape, chat, {});
  EXPECT_NEAR(cost.layer_seconds(machine(10), 1, 0), 0.0125 + 1e-4 + 0.1 * 2 / 8, 1e-12);
  EXPECT_NEAR(cost.layer_seconds(machine(10), 2, 0), 0.0125 + 1e-4 + 0.1 * (1 - 0.75 * 0.75), 1e-12);
}

TEST(Cost, AHopIsOursTheLinksAndTheBytes) {
  const ModelCost cost(model(), chat, {.hop_seconds = 1e-5});
  const LinkCost gigabit{.latency_seconds = 1.5e-4, .bytes_per_second = 1.25e8};
  EXPECT_NEAR(cost.hop_seconds(gigabit, 1), 1e-5 + 1.5e-4 + 4000 / 1.25e8, 1e-12);
  EXPECT_NEAR(cost.hop_seconds(gigabit, 512), 1e-5 + 1.5e-4 + 512 * 4000 / 1.25e8, 1e-12);
}

TEST(Cost, AnExchangeGoesToAllAtOnce) {
  const ModelCost cost(model(), chat, {.exchange_seconds = 1e-5});
  const LinkCost link{.latency_seconds = 1e-3, .bytes_per_second = 1e9};
  EXPECT_NEAR(cost.exchange_seconds(4, link, 1), 1e-5 + 1e-3 + 3 * 4e-6, 1e-12);
}

TEST(Cost, AGroupPartsTheOutputHeadAndSendsTheLogits) {
  auto shape = model();
  shape.vocabulary = 250000;
  const ModelCost cost(shape, chat, {.exchange_seconds = 0});
  const auto fast = machine(30), slow = machine(10);
  const std::vector<SharedWork> group{{&fast, 0.75}, {&slow, 0.25}};
  const LinkCost link{.latency_seconds = 1e-3, .bytes_per_second = 1e9};
  EXPECT_NEAR(cost.head_seconds(group, link, 1), 0.5 * 0.25 / 10 + 1e-3 + 0.25 * 1e6 / 1e9, 1e-12);
  EXPECT_NEAR(cost.head_seconds(group, link, 4), 0.5 * 0.25 / 10 + 1e-3 + 4 * 0.25 * 1e6 / 1e9, 1e-12)
      << "logits of each row";
}

TEST(Cost, AGroupIsAsFastAsItsSlowestPartAndItsTwoSums) {
  const ModelCost cost(model(), chat, {.exchange_seconds = 0, .whole_share = 0.1});
  const auto fast = machine(30), slow = machine(10);
  const std::vector<SharedWork> group{{&fast, 0.75}, {&slow, 0.25}};
  const LinkCost wire{.latency_seconds = 2e-5, .bytes_per_second = 1e12};
  const double each = 0.0125 * 0.25;  // both parts take the same
  EXPECT_NEAR(cost.layer_seconds(group, wire, 1, 0), 1e-4 + 0.9 * each + 0.1 * 0.0125 + 2 * 2e-5, 1e-7);
}

TEST(Cost, OverASlowLinkAPromptsSumsHideBehindComputingOrComputingBehindThem) {
  const ModelCost cost(model(), chat, {.exchange_seconds = 0, .whole_share = 0, .overlap_seconds = 1e-4});
  const auto each = machine(1000);
  const std::vector<SharedWork> group{{&each, 0.5}, {&each, 0.5}};
  const LinkCost gigabit{.latency_seconds = 0, .bytes_per_second = 117e6};
  const double own = 1e-4, sums = 2 * 64 * 4000 / 117e6;
  const auto computed = [&](double rows) { return (cost.layer_seconds(each, rows, 0) - own) / 2; };
  EXPECT_LT(computed(32) * 2, sums);
  EXPECT_NEAR(cost.layer_seconds(group, gigabit, 64, 0), own + sums + 1e-4, 1e-9);
  const auto slow = machine(10);
  const std::vector<SharedWork> slow_group{{&slow, 0.5}, {&slow, 0.5}};
  const double parts = cost.layer_seconds(slow, 32, 0) - own;  // two, of half the work each
  EXPECT_GT(parts, sums);
  EXPECT_NEAR(cost.layer_seconds(slow_group, gigabit, 64, 0), own + parts + 1e-4, 1e-9);
  EXPECT_NEAR(cost.layer_seconds(group, gigabit, 1, 0), own + computed(1) + sums / 64, 1e-9) << "a token does not";
  // While one part waits for its sums the other's go over the wire, and a delay is seen only where both are over
  // sooner.
  const LinkCost far{.latency_seconds = 5e-4, .bytes_per_second = 117e6},
      farther{.latency_seconds = 2e-3, .bytes_per_second = 117e6};
  EXPECT_NEAR(cost.layer_seconds(group, far, 64, 0), own + sums + 1e-4, 1e-9);
  EXPECT_NEAR(cost.layer_seconds(group, farther, 64, 0), own + computed(32) + sums / 2 + 2 * 2e-3 + 1e-4, 1e-9);
}

// Attention of half of a prompt's rows is no slower a row than that of all.
TEST(Cost, PartsOfAStepAttendAsItsRowsDo) {
  const ModelCost cost(model(), chat, {.exchange_seconds = 0, .whole_share = 0, .overlap_seconds = 0});
  auto each = machine(1000);
  each.attention_prompt_bytes_per_second = 4e9;
  const std::vector<SharedWork> group{{&each, 0.5}, {&each, 0.5}};
  const LinkCost gigabit{.latency_seconds = 0, .bytes_per_second = 117e6};
  const double attention = 64 * 1000 * 1000 / 4e9, sums = 2 * 64 * 4000 / 117e6;
  const double products = 2 * (cost.layer_seconds(each, 32, 0) - 1e-4);
  ASSERT_GT((products + attention) / 2, sums);
  EXPECT_NEAR(cost.layer_seconds(group, gigabit, 64, 1000), 1e-4 + (products + attention) / 2, 1e-9);
}

TEST(Cost, SharesFollowSpeedAsFarAsMemoryGoes) {
  const auto shares = [](std::vector<double> seconds, std::vector<double> most) { return fair_shares(seconds, most); };
  EXPECT_EQ(shares({1, 3}, {1, 1}), (std::vector<double>{0.75, 0.25}));
  EXPECT_EQ(shares({1, 3}, {0.5, 1}), (std::vector<double>{0.5, 0.5}));
  const auto three = shares({1, 1, 2}, {0.2, 1, 1});
  EXPECT_NEAR(three[0], 0.2, 1e-12);
  EXPECT_NEAR(three[1], 0.8 * 2 / 3, 1e-12);
  EXPECT_NEAR(three[2], 0.8 / 3, 1e-12);
  EXPECT_TRUE(shares({1, 1}, {0.4, 0.5}).empty());
}

}  // namespace
}  // namespace flotilla
