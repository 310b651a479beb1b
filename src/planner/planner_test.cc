// Claims about plans: as few machines as can hold the model, every layer once, never more than a machine offers, and
// sentences that say why.
#include "planner/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "base/units.h"
#include "planner/split.h"

namespace flotilla {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* fingerprint = "f00d";

ModelShape model_of(std::uint32_t layers, std::uint64_t layer_bytes, std::uint64_t head_bytes = 0) {
  ModelShape shape;
  shape.name = "example";
  shape.architecture = "llama";
  shape.context_length = 8192;
  shape.embedding_length = 64;
  shape.vocabulary = 1000;
  shape.layers.assign(layers, {.weight_bytes = layer_bytes, .cache = {.bytes_per_token = 128, .window = 0}});
  shape.embedding_bytes = head_bytes;
  return shape;
}

// A cluster built by naming machines; the first is this one.
class Fleet {
 public:
  Fleet& with(const std::string& name, std::uint64_t offered_bytes, MemberState state = MemberState::joined,
              bool has_file = false) {
    Member member;
    member.info.id.bytes.back() = static_cast<std::uint8_t>(view.members.size() + 1);
    member.info.name = name;
    member.info.memory_bytes = member.info.memory_free_bytes = offered_bytes;
    if (has_file)
      member.info.models.push_back({.name = "example", .fingerprint = fingerprint, .file_bytes = 1, .complete = true});
    member.state = view.members.empty() ? MemberState::self : state;
    if (state == MemberState::seen) member.reason = "started without --trust-lan";
    view.members.push_back(member);
    return *this;
  }
  Fleet& with_file(const std::string& name, std::uint64_t offered_bytes) {
    return with(name, offered_bytes, MemberState::joined, true);
  }
  NodeId id(const std::string& name) const { return view.find(name)->info.id; }

  ClusterView view;
};

// What a machine must offer to hold `layers` of the model, as head or not.
std::uint64_t room_for(const ModelShape& shape, std::uint32_t layers, bool is_head) {
  return stage_need(shape, {0, layers}, is_head, 4096, 4).total() + memory_reserve_bytes;
}

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> out;
  for (const auto& stage : plan.stages) out.push_back(stage.node_name);
  return out;
}

std::vector<std::uint32_t> counts(const Plan& plan) {
  std::vector<std::uint32_t> out;
  for (const auto& stage : plan.stages) out.push_back(stage.layers.count());
  return out;
}

void expect_sound(const Plan& plan, const ModelShape& shape) {
  ASSERT_FALSE(plan.stages.empty());
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const auto& stage = plan.stages[i];
    EXPECT_EQ(stage.layers.first, next);
    EXPECT_GE(stage.layers.count(), 1u);
    EXPECT_EQ(stage.is_head, i == 0);
    EXPECT_LE(stage.need().total() + memory_reserve_bytes, stage.offered_bytes()) << stage.node_name;
    next = stage.layers.end;
  }
  EXPECT_EQ(next, shape.layers.size());
}

TEST(Planner, OneMachineThatHoldsTheModelIsEnough) {
  const auto shape = model_of(30, 4 * mib, 20 * mib);
  const Fleet fleet = Fleet().with("laptop", 100 * gib).with("studio", 200 * gib);
  const auto result = plan(fleet.view, shape, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(names(*result), ElementsAre("studio"));
  EXPECT_EQ(result->stages[0].need().weights, shape.weight_bytes());
  ASSERT_EQ(result->left_out.size(), 1u);
  EXPECT_EQ(result->left_out[0].node_name, "laptop");
  EXPECT_EQ(result->left_out[0].reason, "studio alone holds the whole model; more machines would only add hops");
  EXPECT_THAT(result->stages[0].reason, HasSubstr("holds 30 of 30 layers and, as head, embedding and output"));
}

TEST(Planner, TheMachineWithTheFileIsHeadBeforeTheLargerOne) {
  const auto shape = model_of(30, 4 * mib);
  const Fleet fleet = Fleet().with("big", 200 * gib).with_file("owner", 100 * gib);
  EXPECT_THAT(names(*plan(fleet.view, shape, {.fingerprint = fingerprint})), ElementsAre("owner"));
  EXPECT_THAT(names(*plan(fleet.view, shape, {.fingerprint = "another file"})), ElementsAre("big"));
  EXPECT_THAT(names(*plan(fleet.view, shape, {})), ElementsAre("big"));
}

TEST(Planner, FewerMachinesBeatTheFile) {
  const auto shape = model_of(30, 4 * mib);
  const Fleet fleet = Fleet().with("big", 200 * gib).with_file("owner", room_for(shape, 20, true));
  EXPECT_THAT(names(*plan(fleet.view, shape, {.fingerprint = fingerprint})), ElementsAre("big"));
}

TEST(Planner, LayersFollowWhatIsLeftAfterTheHeadsParts) {
  const auto shape = model_of(30, 100 * mib, 1000 * mib);
  // The head's parts weigh ten layers: with equal offers the head takes ten layers less.
  const Fleet fleet = Fleet().with("a", room_for(shape, 11, true)).with("b", room_for(shape, 21, false));
  const auto result = plan(fleet.view, shape, {.head = fleet.id("a")});
  ASSERT_TRUE(result) << result.error().message;
  expect_sound(*result, shape);
  EXPECT_THAT(counts(*result), ElementsAre(10, 20));
}

TEST(Planner, HeadComesFirstAndTheOthersByName) {
  const auto shape = model_of(12, 100 * mib);
  const auto third = room_for(shape, 4, false);
  const Fleet fleet = Fleet().with("m", third).with("z", room_for(shape, 5, true)).with("a", third);
  const auto result = plan(fleet.view, shape, {.head = fleet.id("z")});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(names(*result), ElementsAre("z", "a", "m"));
  expect_sound(*result, shape);
}

TEST(Planner, AnUnevenOrderIsTakenWhereOnlyItFits) {
  auto shape = model_of(4, 10 * mib);
  shape.layers[2].weight_bytes = 500 * mib;  // only "large" takes it, and by name it would come second, at layer 1
  shape.layers[3].weight_bytes = 500 * mib;
  const auto small = stage_need(shape, {1, 2}, false, 4096, 4).total() + memory_reserve_bytes;
  const auto large = stage_need(shape, {2, 4}, false, 4096, 4).total() + memory_reserve_bytes;
  const Fleet fleet = Fleet().with("head", room_for(shape, 1, true)).with("a-large", large).with("b-small", small);
  const auto result = plan(fleet.view, shape, {.head = fleet.id("head")});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(names(*result), ElementsAre("head", "b-small", "a-large"));
  expect_sound(*result, shape);
}

TEST(Planner, AMachineLeavesALayerThatTheNextCannotBeginWith) {
  auto shape = model_of(4, 10 * mib);
  shape.layers[2].weight_bytes = 500 * mib;
  // In proportion, "large" would take two layers, and "small" begin at the one that it cannot hold.
  const auto small = stage_need(shape, {0, 2}, false, 4096, 4).total() + memory_reserve_bytes;
  const Fleet fleet = Fleet().with("large", 1000 * gib).with("small", small).with("third", 100 * gib);
  const auto result = plan(fleet.view, shape, {.nodes = {"large", "small", "third"}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(counts(*result), ElementsAre(1, 1, 2));
  expect_sound(*result, shape);
}

TEST(Planner, WishedMachinesAndLayersAreTakenAsGiven) {
  const auto shape = model_of(30, 4 * mib);
  const Fleet fleet = Fleet().with("a", 100 * gib).with("b", 100 * gib).with("c", 100 * gib);
  const auto result = plan(fleet.view, shape, {.nodes = {"c", "a"}, .layers = {12, 18}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(names(*result), ElementsAre("c", "a"));
  EXPECT_THAT(counts(*result), ElementsAre(12, 18));
  EXPECT_EQ(result->left_out[0].reason, "not among the machines asked for");
  EXPECT_THAT(counts(*plan(fleet.view, shape, {.nodes = {"c", "a"}})), ElementsAre(15, 15));
}

TEST(Planner, WishesThatContradictThemselvesAreRefusedWithTheReason) {
  const auto shape = model_of(30, 4 * mib);
  const Fleet fleet = Fleet().with("a", 100 * gib).with("b", 100 * gib).with("s", 100 * gib, MemberState::seen);
  const auto refusal = [&](const PlanWishes& wishes) { return plan(fleet.view, shape, wishes).error(); };
  EXPECT_EQ(refusal({.nodes = {"a", "nobody"}}).code, Code::not_found);
  EXPECT_THAT(refusal({.nodes = {"a", "nobody"}}).message, HasSubstr("there are only: a, b"));
  EXPECT_EQ(refusal({.nodes = {"s"}}).code, Code::unavailable);
  EXPECT_THAT(refusal({.nodes = {"s"}}).message, HasSubstr("seen, but not joined: started without --trust-lan"));
  EXPECT_EQ(refusal({.nodes = {"a", "a"}}).code, Code::invalid_argument);
  EXPECT_THAT(refusal({.nodes = {"a", "b"}, .layers = {30}}).message, HasSubstr("for each of 2 machines but got 1"));
  EXPECT_THAT(refusal({.nodes = {"a", "b"}, .layers = {10, 10}}).message, HasSubstr("expected 30 layers altogether"));
  EXPECT_THAT(refusal({.nodes = {"a", "b"}, .layers = {30, 0}}).message, HasSubstr("at least 1 layer"));
  EXPECT_THAT(refusal({.nodes = {"a", "b"}, .head = fleet.id("b")}).message, HasSubstr("name it first"));
  EXPECT_EQ(refusal({.head = random_node_id()}).code, Code::not_found);
  EXPECT_THAT(refusal({.context_tokens = 8193}).message, HasSubstr("at most 8192 tokens"));
  EXPECT_EQ(refusal({.sequences = 257}).code, Code::invalid_argument);
  EXPECT_EQ(plan(fleet.view, model_of(0, 0), {}).error().code, Code::invalid_argument);
}

TEST(Planner, WishedLayersBeyondAMachinesOfferNameWhatIsMissing) {
  const auto shape = model_of(10, gib);
  const Fleet fleet = Fleet().with("a", 100 * gib).with("b", 4 * gib);
  const auto result = plan(fleet.view, shape, {.nodes = {"a", "b"}, .layers = {2, 8}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::no_memory);
  EXPECT_THAT(result.error().message, HasSubstr("for 8 of 10 layers but offers 4.0 GiB"));
}

TEST(Planner, AModelThatFitsNowhereSaysWhatIsMissingWhere) {
  const auto shape = model_of(40, gib);
  const Fleet fleet = Fleet().with("laptop", 8 * gib).with("studio", 24 * gib);
  const auto result = plan(fleet.view, shape, {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::no_memory);
  const auto& message = result.error().message;
  EXPECT_THAT(message, HasSubstr("40.0 GiB of weights"));
  EXPECT_THAT(message, HasSubstr("laptop offers 8.0 GiB, studio offers 24.0 GiB"));
  EXPECT_THAT(message, HasSubstr("10.0 GiB are missing for 10 of 40 layers"));  // 7 and 23 fit beside KV and reserve
}

TEST(Planner, AHeadTooSmallForItsPartsSaysSo) {
  const auto shape = model_of(4, 10 * mib, 10 * gib);
  const Fleet fleet = Fleet().with("a", 2 * gib).with("b", 2 * gib);
  const auto result = plan(fleet.view, shape, {});
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("every machine is at least"));
  EXPECT_THAT(result.error().message, HasSubstr("for the embedding, the output head and one layer"));
  EXPECT_THAT(plan(fleet.view, shape, {.head = fleet.id("b")}).error().message, HasSubstr("b, the head, is"));
}

TEST(Planner, MachinesThatCannotHelpAreLeftOutWithTheirReason) {
  const auto shape = model_of(20, 100 * mib);
  const Fleet fleet = Fleet()
                          .with("a", room_for(shape, 10, true))
                          .with("b", room_for(shape, 10, false))
                          .with("c", room_for(shape, 1, false))
                          .with("d", 70 * mib)
                          .with("e", 100 * gib, MemberState::seen)
                          .with("f", 100 * gib, MemberState::suspect);
  const auto result = plan(fleet.view, shape, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_THAT(names(*result), ElementsAre("a", "b"));
  ASSERT_EQ(result->left_out.size(), 4u);
  EXPECT_EQ(result->left_out[0].reason, "a and b hold the whole model; more machines would only add hops");
  EXPECT_THAT(result->left_out[1].reason, HasSubstr("offers 70 MiB, less than the smallest layer plus the reserve"));
  EXPECT_EQ(result->left_out[2].reason, "seen, but not joined: started without --trust-lan");
  EXPECT_THAT(result->left_out[3].reason, HasSubstr("silent"));
  EXPECT_THAT(result->summary, HasSubstr("2 machines"));
}

TEST(Planner, ContextIsTheDefaultButNeverMoreThanTheModelKnows) {
  auto shape = model_of(4, mib);
  const Fleet fleet = Fleet().with("a", 100 * gib);
  EXPECT_EQ(plan(fleet.view, shape, {})->context_tokens, 4096u);
  EXPECT_EQ(plan(fleet.view, shape, {.context_tokens = 8192, .sequences = 2})->sequences, 2u);
  shape.context_length = 512;
  EXPECT_EQ(plan(fleet.view, shape, {})->context_tokens, 512u);
  const auto small = plan(fleet.view, shape, {.context_tokens = 128, .sequences = 1})->stages[0].need().kv;
  EXPECT_EQ(small, 4u * 128 * 128);
}

TEST(Planner, ManyMachinesAreChosenByMemory) {
  const auto shape = model_of(40, 100 * mib);
  Fleet fleet;
  for (int i = 0; i < 30; ++i) fleet.with(std::format("n{:02}", i), room_for(shape, 2, true));
  const auto result = plan(fleet.view, shape, {});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->stages.size(), 20u);
  expect_sound(*result, shape);
  const auto headed = plan(fleet.view, shape, {.head = fleet.id("n29")});
  ASSERT_TRUE(headed);
  EXPECT_EQ(headed->stages.front().node_name, "n29");
  EXPECT_EQ(headed->stages.size(), 20u);
  Fleet larger = fleet;
  larger.with("z", 100 * gib);
  EXPECT_THAT(names(*plan(larger.view, shape, {})), ElementsAre("z"));
}

// The least time of the slowest stage over every division.
double soonest(std::uint32_t layers, const std::vector<BusyStage>& stages, std::size_t at = 0, double slowest = 0) {
  if (at == stages.size()) return layers == 0 ? slowest : std::numeric_limits<double>::infinity();
  double best = std::numeric_limits<double>::infinity();
  for (std::uint32_t count = 1; count <= std::min(layers, stages[at].room); ++count) {
    const double end = stages[at].fixed_seconds + count * stages[at].layer_seconds;
    best = std::min(best, soonest(layers - count, stages, at + 1, std::max(slowest, end)));
  }
  return best;
}

TEST(Planner, NoDivisionEndsTheSlowestStageSoonerThanEvenLayers) {
  std::mt19937 random(11);
  const auto up_to = [&](std::uint32_t most) { return static_cast<std::uint32_t>(1 + random() % most); };
  int held = 0;
  for (int fleet = 0; fleet < 300; ++fleet) {
    const auto layer_count = up_to(16);
    std::vector<BusyStage> stages(up_to(4));
    for (auto& stage : stages) stage = {.layer_seconds = up_to(9) * 1.0, .fixed_seconds = 0, .room = up_to(13) - 1};
    stages.front().fixed_seconds = up_to(40);
    const auto layers = even_layers(layer_count, stages);
    const double best = soonest(layer_count, stages);
    EXPECT_EQ(layers.empty(), std::isinf(best)) << fleet;
    if (layers.empty()) continue;
    ++held;
    double slowest = 0;
    for (std::size_t at = 0; at < stages.size(); ++at)
      slowest = std::max(slowest, stages[at].fixed_seconds + layers[at] * stages[at].layer_seconds);
    EXPECT_EQ(slowest, best) << fleet;
    EXPECT_EQ(std::accumulate(layers.begin(), layers.end(), 0U), layer_count);
  }
  EXPECT_GT(held, 100);
}

TEST(Planner, SharesAreExactToOneLayer) {
  EXPECT_THAT(largest_remainder(30, {1, 1, 1}), ElementsAre(10, 10, 10));
  EXPECT_THAT(largest_remainder(10, {1, 1, 1}), ElementsAre(4, 3, 3));
  EXPECT_THAT(largest_remainder(10, {50, 30, 20}), ElementsAre(5, 3, 2));
  EXPECT_THAT(largest_remainder(7, {56, 23, 21}), ElementsAre(4, 2, 1));  // 3.92, 1.61, 1.47
  EXPECT_THAT(largest_remainder(5, {1000000, 1, 1}), ElementsAre(3, 1, 1));
  EXPECT_THAT(largest_remainder(3, {0, 0, 0}), ElementsAre(1, 1, 1));
  EXPECT_THAT(largest_remainder(4, {UINT64_MAX, UINT64_MAX}), ElementsAre(2, 2));
}

// --- Against brute force ---

// Whether these machines hold the layers from `first` on, in this order, each at least one; tried in every way.
bool fits_in_order(const std::vector<std::uint64_t>& usable, const ModelShape& shape, std::size_t at,
                   std::uint32_t first) {
  const auto layers = static_cast<std::uint32_t>(shape.layers.size());
  if (at == usable.size()) return first == layers;
  for (std::uint32_t end = first + 1; end <= layers; ++end) {
    if (stage_need(shape, {first, end}, at == 0, 4096, 4).total() > usable[at]) break;
    if (fits_in_order(usable, shape, at + 1, end)) return true;
  }
  return false;
}

// The smallest number of machines that hold the model in any order; 0 where none does.
std::size_t fewest_by_force(const ClusterView& view, const ModelShape& shape) {
  std::vector<std::uint64_t> usable;
  for (const auto& member : view.members)
    usable.push_back(member.info.memory_free_bytes - std::min(memory_reserve_bytes, member.info.memory_free_bytes));
  std::ranges::sort(usable);
  for (std::size_t count = 1; count <= usable.size(); ++count) {
    auto all = usable;
    do {  // every ordered selection is a prefix of some permutation
      if (fits_in_order({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count)}, shape, 0, 0)) return count;
    } while (std::ranges::next_permutation(all).found);
  }
  return 0;
}

TEST(Planner, AgreesWithBruteForceOnSmallFleets) {
  std::mt19937 random(20241);
  const auto between = [&](std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution(low, high)(random);
  };
  int feasible = 0, infeasible = 0;
  for (int round = 0; round < 300; ++round) {
    auto shape = model_of(static_cast<std::uint32_t>(between(1, 7)), 0, between(0, 200) * mib);
    for (auto& layer : shape.layers) {
      layer.weight_bytes = between(10, 200) * mib;
      layer.cache.bytes_per_token = between(0, 1) * 1024;
    }
    Fleet fleet;
    for (std::uint64_t machines = between(1, 5), i = 0; i < machines; ++i)
      fleet.with(std::string(1, static_cast<char>('a' + i)), between(0, 700) * mib);
    const auto fewest = fewest_by_force(fleet.view, shape);
    const auto result = plan(fleet.view, shape, {});
    ASSERT_EQ(result.has_value(), fewest > 0) << "round " << round << (result ? "" : result.error().message);
    if (!result) {
      EXPECT_EQ(result.error().code, Code::no_memory);
      ++infeasible;
      continue;
    }
    EXPECT_EQ(result->stages.size(), fewest) << "round " << round;
    expect_sound(*result, shape);
    ++feasible;
  }
  EXPECT_GT(feasible, 50);
  EXPECT_GT(infeasible, 50);
}

// Machines in an order that is wished for: what the split gives up is what no division could have.
TEST(Planner, AgreesWithBruteForceOnWishedOrders) {
  std::mt19937 random(74);
  const auto between = [&](std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution(low, high)(random);
  };
  int feasible = 0, infeasible = 0;
  for (int round = 0; round < 3000; ++round) {
    auto shape = model_of(static_cast<std::uint32_t>(between(2, 9)), 0, between(0, 100) * mib);
    for (auto& layer : shape.layers) layer.weight_bytes = (between(0, 2) == 0 ? between(300, 500) : 10) * mib;
    Fleet fleet;
    PlanWishes wishes;
    for (std::uint64_t machines = between(1, std::min<std::uint64_t>(5, shape.layers.size())), i = 0; i < machines;
         ++i) {
      wishes.nodes.emplace_back(1, static_cast<char>('a' + i));
      fleet.with(wishes.nodes.back(), (between(0, 1) == 0 ? between(130, 200) : between(400, 2000)) * mib);
    }
    std::vector<std::uint64_t> usable;
    for (const auto& member : fleet.view.members)
      usable.push_back(member.info.memory_free_bytes - memory_reserve_bytes);
    const bool fits = fits_in_order(usable, shape, 0, 0);
    const auto result = plan(fleet.view, shape, wishes);
    ASSERT_EQ(result.has_value(), fits) << "round " << round << (result ? "" : result.error().message);
    if (result) expect_sound(*result, shape);
    ++(fits ? feasible : infeasible);
  }
  EXPECT_GT(feasible, 500);
  EXPECT_GT(infeasible, 500);
}

TEST(Planner, WindowsAndUnevenLayersKeepWithinEveryOffer) {
  auto shape = model_of(18, 5 * mib, 170 * mib);
  for (std::size_t layer = 0; layer < shape.layers.size(); ++layer) {
    shape.layers[layer].cache.bytes_per_token = 1024;
    shape.layers[layer].cache.window = layer % 6 == 5 ? 0 : 512;  // five of six layers see a window only
  }
  const Fleet fleet = Fleet().with("a", 420 * mib).with("b", 230 * mib).with("c", 210 * mib);
  const auto result = plan(fleet.view, shape, {.nodes = {"a", "b", "c"}});
  ASSERT_TRUE(result) << result.error().message;
  expect_sound(*result, shape);
}

TEST(Groups, AreOfTheMachinesWithRoomUnlessSomeWereNamed) {
  ModelShape shape = model_of(8, gib);
  shape.shards_max = 8;
  Fleet fleet;
  fleet.with("door", 0).with("a", 6 * gib).with("small", 2 * gib).with("b", 6 * gib);
  const auto made = plan(fleet.view, shape, {.mode = PlanMode::tensor});
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->stages.size(), 1u);
  EXPECT_THAT(made->stages.front().members, ElementsAre(testing::Field(&PlannedMember::node_name, "a"),
                                                        testing::Field(&PlannedMember::node_name, "b")));
  const auto named = plan(fleet.view, shape, {.mode = PlanMode::tensor, .nodes = {"a", "b", "small"}});
  ASSERT_FALSE(named);
  EXPECT_THAT(named.error().message, HasSubstr("small needs"));
  fleet.view.members.pop_back();
  EXPECT_FALSE(plan(fleet.view, shape, {.mode = PlanMode::tensor}));
}

TEST(Groups, AreCutIntoNoMoreSlicesThanTheModelHas) {
  ModelShape shape = model_of(8, gib);
  shape.shards_max = 3;
  Fleet fleet;
  fleet.with("a", 16 * gib).with("b", 16 * gib).with("c", 16 * gib);
  fleet.view.members[0].info.rates.shards = 4;  // the others have not measured themselves
  const auto made = plan(fleet.view, shape, {.mode = PlanMode::tensor, .nodes = {"a", "b"}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->stages[0].members[0].shards, 2u);
  EXPECT_EQ(made->stages[0].members[1].shards, 1u);
  shape.shards_max = 2;
  const auto named = plan(fleet.view, shape, {.mode = PlanMode::tensor, .nodes = {"a", "b", "c"}});
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().code, Code::unsupported);
  EXPECT_THAT(named.error().message, AllOf(HasSubstr("at most 2 machines"), HasSubstr("got 3")));
  const auto chosen = plan(fleet.view, shape, {.mode = PlanMode::tensor});
  ASSERT_TRUE(chosen) << chosen.error().message;
  EXPECT_EQ(chosen->stages[0].members.size(), 2u);
}

TEST(Groups, AreDescribedByAllTheirMembers) {
  ModelShape shape = model_of(8, gib);
  shape.shards_max = 8;
  Fleet fleet;
  fleet.with("a", 6 * gib).with("b", 6 * gib).with("small", 2 * gib);
  const auto made = plan(fleet.view, shape, {.mode = PlanMode::tensor});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GE(made->stages[0].need().weights, shape.weight_bytes());
  EXPECT_EQ(made->stages[0].offered_bytes(), 12 * gib);
  EXPECT_THAT(made->summary, HasSubstr("2 machines with " + format_bytes(made->stages[0].need().total())));
  ASSERT_EQ(made->left_out.size(), 1u);
  EXPECT_THAT(made->left_out[0].reason, HasSubstr("a and b hold the whole model"));
}

// The model of one KV head takes as many caches as there are slices.
TEST(Planner, AMachineInSlicesHoldsACacheForEach) {
  ModelShape shape = model_of(8, 64 * mib);
  shape.shards_max = 4;
  for (LayerShape& layer : shape.layers) layer.cache = {.bytes_per_token = 1024, .heads = 1};
  Fleet fleet;
  fleet.with("a", 8 * gib);
  const auto whole = plan(fleet.view, shape, {})->stages[0].need();
  fleet.view.members[0].info.rates.shards = 4;
  EXPECT_EQ(plan(fleet.view, shape, {})->stages[0].need().kv, 4 * whole.kv);
}

// --- Models that make vectors ---

ModelShape embedder() {
  ModelShape shape = model_of(6, 4 * mib, 24 * mib);
  shape.context_length = 512;
  shape.embeds = true;
  for (LayerShape& layer : shape.layers) layer.cache.bytes_per_token = 0;
  return shape;
}

MachineRates rates_of(double seconds_per_gib) {
  MachineRates rates;
  rates.kernels.push_back({.type = "F16", .seconds_per_gib = std::vector<double>(kernel_rows.size(), seconds_per_gib)});
  return rates;
}

std::vector<std::string> copies(const Plan& plan) {
  std::vector<std::string> out;
  for (const auto& stage : plan.copies) out.push_back(stage.node_name);
  return out;
}

TEST(Copies, AreOnEveryMachineWithRoomTheQuickestFirst) {
  Fleet fleet;
  fleet.with("slow", 8 * gib)
      .with("quick", 8 * gib)
      .with("full", 80 * mib)
      .with("crawling", 8 * gib)
      .with("new", 8 * gib);
  const double seconds[] = {2, 1, 1, 9};
  for (std::size_t i = 0; i < std::size(seconds); ++i) fleet.view.members[i].info.rates = rates_of(seconds[i]);
  const auto made = plan(fleet.view, embedder(), {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->embeds);
  EXPECT_THAT(names(*made), ElementsAre("quick"));
  EXPECT_THAT(counts(*made), ElementsAre(6));
  EXPECT_THAT(copies(*made), ElementsAre("slow"));
  EXPECT_EQ(made->context_tokens, 512u);
  std::string why;
  for (const auto& left : made->left_out) why += left.node_name + ": " + left.reason + "\n";
  EXPECT_THAT(why, HasSubstr("crawling: takes"));
  EXPECT_THAT(why, HasSubstr("full: offers 80 MiB"));
  EXPECT_THAT(why, HasSubstr("new: has not measured itself yet"));
}

TEST(Copies, AreWhereTheyWereWishedAndNowhereElse) {
  Fleet fleet;
  fleet.with("a", 8 * gib).with("b", 8 * gib).with("c", 8 * gib).with("full", 80 * mib);
  const auto made = plan(fleet.view, embedder(), {.nodes = {"c", "a"}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(names(*made), ElementsAre("c"));
  EXPECT_THAT(copies(*made), ElementsAre("a"));
  const auto crowded = plan(fleet.view, embedder(), {.nodes = {"a", "full"}});
  ASSERT_FALSE(crowded);
  EXPECT_EQ(crowded.error().code, Code::no_memory);
  EXPECT_THAT(crowded.error().message, HasSubstr("full offers"));
  const auto parted = plan(fleet.view, embedder(), {.nodes = {"a", "b"}, .layers = {3, 3}});
  ASSERT_FALSE(parted);
  EXPECT_THAT(parted.error().message, HasSubstr("every machine holds all of it"));
}

TEST(Copies, AHeadPlansForItselfAlone) {
  Fleet fleet;
  fleet.with("a", 8 * gib).with("b", 8 * gib);
  const auto made = plan(fleet.view, embedder(), {.head = fleet.id("b")});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(names(*made), ElementsAre("b"));
  EXPECT_THAT(copies(*made), testing::IsEmpty());
}

}  // namespace
}  // namespace flotilla
