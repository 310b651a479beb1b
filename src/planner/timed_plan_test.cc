// Claims about plans made by measurements: the fastest machine, groups where links are quick, and sentences with
// numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <format>
#include <print>

#include "base/units.h"
#include "planner/planner.h"
#include "planner/test_model.h"

namespace flotilla {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Machine {
  std::string name;
  double gib_per_second = 20;
  std::uint64_t offers = 100 * gib;
  bool is_measured = true, has_file = false;
  std::uint32_t shards = 1;
  double dear_eights = 1;  // a step of eight rows takes so many of one
};

ClusterView fleet(const std::vector<Machine>& machines, double latency_seconds = 150e-6,
                  double bytes_per_second = 117e6, const std::string& interface = "eth0") {
  ClusterView view;
  for (const Machine& machine : machines) {
    Member member{.state = view.members.empty() ? MemberState::self : MemberState::joined};
    member.info.id.bytes.back() = static_cast<std::uint8_t>(view.members.size() + 1);
    member.info.name = machine.name;
    member.info.memory_bytes = member.info.memory_free_bytes = machine.offers;
    member.info.rates.shards = machine.shards;
    if (machine.has_file) member.info.models = {{.name = "example", .fingerprint = "f00d", .complete = true}};
    for (const char* type : {"Q4_K", "Q6_K"}) {
      if (!machine.is_measured) continue;
      KernelRate kernel{.type = type, .seconds_per_gib = {}};
      for (const auto rows : kernel_rows)
        kernel.seconds_per_gib.push_back((rows == 8 ? machine.dear_eights : std::max(1.0, rows / 64.0)) /
                                         machine.gib_per_second);
      member.info.rates.kernels.push_back(kernel);
      member.info.rates.layer_seconds = 20e-6;
      member.info.rates.attention_bytes_per_second = machine.gib_per_second * 1e9;
    }
    view.members.push_back(member);
  }
  for (Member& from : view.members)
    for (const Member& to : view.members)
      if (from.info.id != to.info.id)
        from.info.links.push_back({to.info.id, latency_seconds, bytes_per_second, interface});
  return view;
}

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> out;
  for (const auto& stage : plan.stages) {
    std::string name;
    for (const auto& member : stage.members) name += (name.empty() ? "" : "+") + member.node_name;
    out.push_back(name);
  }
  return out;
}

Plan planned(const ClusterView& view, PlanWishes wishes = {}) {
  const auto result = plan(view, model(), wishes);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : Plan{};
}

std::string why(const Plan& plan, const std::string& name) {
  for (const LeftOut& left : plan.left_out)
    if (left.node_name == name) return left.reason;
  return "";
}

TEST(TimedPlan, TheFastestMachineIsTakenAndItsFiguresAreSaid) {
  const auto plan =
      planned(fleet({{.name = "big", .gib_per_second = 10}, {.name = "fast", .gib_per_second = 40, .offers = 8 * gib}}),
              {.mode = PlanMode::pipeline});
  EXPECT_THAT(names(plan), ElementsAre("fast"));
  // A gibibyte and an eighth at 40 GiB/s, 16 x 20 us, and 1152 positions of 16 KiB at 40 GB/s.
  EXPECT_NEAR(plan.token_seconds, 1.125 / 40 + 16 * 20e-6 + 1152 * 16384 / 40e9, 1e-9);
  EXPECT_EQ(plan.prompt_tokens, 1024u);
  // Sixteen pieces of 64 rows, which look back on 512 positions in the middle.
  EXPECT_NEAR(plan.prompt_seconds, 16 * (1 / 40.0 + 16 * 20e-6 + 64 * 512 * 16384 / 40e9) + 0.125 / 40, 1e-9);
  EXPECT_NEAR(plan.stages[0].token_seconds, plan.token_seconds, 1e-12);
  EXPECT_TRUE(plan.notes.empty());
}

TEST(TimedPlan, SaysWhatStepsOfSeveralRowsTake) {
  const auto alone = planned(fleet({{.name = "a", .gib_per_second = 40, .dear_eights = 5}}));
  ASSERT_EQ(alone.step_seconds.size(), 8u) << "1 to 128";
  const auto seconds = [](double rows, double weights) {
    return weights * 1.125 / 40 + 16 * 20e-6 + rows * 1152 * 16384 / 40e9;
  };
  EXPECT_NEAR(alone.step_seconds[0], seconds(1, 1), 1e-9);
  EXPECT_NEAR(alone.step_seconds[3], seconds(8, 5), 1e-9);
  EXPECT_NEAR(alone.step_seconds[4], seconds(16, 1), 1e-9);
  EXPECT_NEAR(alone.step_seconds[7], seconds(128, 2), 1e-9);
  for (const auto mode : {PlanMode::pipeline, PlanMode::tensor}) {
    const auto plan = planned(fleet({{.name = "a", .offers = gib}, {.name = "b", .offers = gib}}), {.mode = mode});
    ASSERT_FALSE(plan.step_seconds.empty());
    EXPECT_NEAR(plan.step_seconds[0], plan.token_seconds, 1e-9) << "links among it";
  }
  EXPECT_THAT(planned(fleet({{.name = "new", .is_measured = false}})).step_seconds, testing::IsEmpty());
}

TEST(TimedPlan, OfTwoAlikeTheOneWithTheFileIsHead) {
  EXPECT_THAT(names(planned(fleet({{.name = "a"}, {.name = "b", .has_file = true}}),
                            {.mode = PlanMode::pipeline, .fingerprint = "f00d"})),
              ElementsAre("b"));
}

TEST(TimedPlan, AMachineWithoutMeasurementsIsLeftOutWhereTheOthersSuffice) {
  const auto plan = planned(fleet({{.name = "a"}, {.name = "new", .offers = 500 * gib, .is_measured = false}}));
  EXPECT_THAT(names(plan), ElementsAre("a"));
  EXPECT_THAT(why(plan, "new"), HasSubstr("has not measured itself yet"));
}

TEST(TimedPlan, WithoutMeasurementsMemoryDecidesAndThePlanSaysSo) {
  const auto plan = planned(fleet({{.name = "small", .offers = gib / 2}, {.name = "new", .is_measured = false}}));
  EXPECT_THAT(names(plan), ElementsAre("new"));
  EXPECT_EQ(plan.token_seconds, 0);
  EXPECT_THAT(plan.notes, ElementsAre("planned by memory alone: new has not measured itself yet"));
}

TEST(TimedPlan, LayersGoToTheFastAsFarAsTheyFit) {
  const auto plan = planned(fleet({{.name = "slow", .gib_per_second = 5, .offers = gib},
                                   {.name = "fast", .gib_per_second = 40, .offers = gib}}),
                            {.mode = PlanMode::pipeline});
  ASSERT_EQ(plan.stages.size(), 2u);
  for (const auto& stage : plan.stages) {
    EXPECT_LE(stage.need().total() + memory_reserve_bytes, stage.offered_bytes());
    if (stage.node_name == "fast") {
      EXPECT_GT(stage.layers.count(), 8u);
    }
  }
}

// The output head takes as long as eight layers for each token of an answer, which one user notices wherever it is.
TEST(TimedPlan, ForManyAnswersAtATimeTheHeadHasFewerLayers) {
  const auto view = fleet({{.name = "a"}, {.name = "b"}});
  auto shape = model();
  shape.output_matrix = {"Q6_K", 512 * mib};
  const auto layers = [&](std::uint32_t sequences) {
    const auto plan =
        flotilla::plan(view, shape, {.mode = PlanMode::pipeline, .nodes = {"a", "b"}, .sequences = sequences}).value();
    const auto note = std::format("layers are divided for {} answers at a time", sequences);
    EXPECT_EQ(std::ranges::count_if(plan.notes, [&](const auto& said) { return said.starts_with(note); }),
              sequences >= 16 ? 1 : 0);
    return std::pair(plan.stages.at(0).layers.count(), plan.stages.at(1).layers.count());
  };
  EXPECT_EQ(layers(4), std::pair(8U, 8U));
  EXPECT_EQ(layers(15), std::pair(8U, 8U));
  EXPECT_EQ(layers(16), std::pair(6U, 10U)) << "here a step of eight rows takes as long as one of 64";
  EXPECT_EQ(layers(64), std::pair(7U, 9U));
}

// One user's layers lie on the fast machine as far as it holds them; many at a time would all wait for it.
TEST(TimedPlan, ForManyAnswersAtATimeTheSlowTakeTheirPart) {
  const auto view =
      fleet({{.name = "fast", .gib_per_second = 40}, {.name = "slow", .gib_per_second = 20}}, 30e-6, 1.2e9);
  PlanWishes wishes{.mode = PlanMode::pipeline, .nodes = {"fast", "slow"}, .context_tokens = 64, .sequences = 4};
  EXPECT_EQ(planned(view, wishes).stages.at(0).layers.count(), 15U);
  wishes.sequences = 64;
  const auto plan = planned(view, wishes);
  EXPECT_THAT(plan.stages.at(0).layers.count(), testing::AllOf(testing::Ge(9U), testing::Le(11U)));
  ASSERT_EQ(plan.notes.size(), 1u);
  EXPECT_THAT(plan.notes[0], AllOf(HasSubstr("a token of one alone takes"), HasSubstr("by its own plan")));
}

// Who is left out was compared with the plan that the search found, before its layers were divided for many.
TEST(TimedPlan, ForManyAnswersAtATimeTheReasonsAreThoseOfTheSearch) {
  const auto view = fleet({{.name = "fast", .gib_per_second = 20, .offers = 1200 * mib},
                           {.name = "slow", .gib_per_second = 10},
                           {.name = "late", .gib_per_second = 10}},
                          30e-6, 1.2e9);
  PlanWishes wishes{.mode = PlanMode::pipeline, .context_tokens = 16, .sequences = 4, .head = view.members[0].info.id};
  const auto for_few = planned(view, wishes);
  wishes.sequences = 64;
  const auto for_many = planned(view, wishes);
  ASSERT_THAT(names(for_few), ElementsAre("fast", "slow"));
  ASSERT_THAT(names(for_many), ElementsAre("fast", "slow"));
  EXPECT_LT(for_many.stages[0].layers.count(), for_few.stages[0].layers.count());
  EXPECT_EQ(why(for_many, "late"), why(for_few, "late"));
}

TEST(TimedPlan, AGroupIsChosenOnAQuickLinkAndNotOnASlowOne) {
  const std::vector<Machine> pair{{.name = "a"}, {.name = "b"}};
  const auto quick = planned(fleet(pair, 30e-6, 1.2e9));
  EXPECT_THAT(names(quick), ElementsAre("a+b"));
  ASSERT_TRUE(quick.stages[0].is_group());
  EXPECT_NEAR(quick.stages[0].members[0].share, 0.5, 1e-9);
  EXPECT_LT(quick.token_seconds, 0.7 * planned(fleet(pair, 30e-6, 1.2e9), {.mode = PlanMode::pipeline}).token_seconds);
  const auto slow = planned(fleet(pair, 2e-3, 30e6, "wlan0"));
  EXPECT_THAT(names(slow), ElementsAre("a"));
  EXPECT_THAT(why(slow, "b"), HasSubstr("its Wi-Fi adds"));
}

TEST(TimedPlan, AGroupThatWouldBeSlowerIsNamedWithItsSums) {
  const auto plan =
      planned(fleet({{.name = "a", .gib_per_second = 400}, {.name = "b", .gib_per_second = 400}}, 200e-6, 117e6));
  EXPECT_THAT(names(plan), ElementsAre("a"));
  EXPECT_THAT(why(plan, "b"), HasSubstr("per token"));
}

TEST(TimedPlan, SharesFollowSpeedAndMemory) {
  const auto plan =
      planned(fleet({{.name = "a", .gib_per_second = 30}, {.name = "b", .gib_per_second = 10}}, 10e-6, 5e9),
              {.mode = PlanMode::tensor});
  EXPECT_THAT(names(plan), ElementsAre("a+b"));
  EXPECT_NEAR(plan.stages[0].members[0].share, 0.75, 1e-3);
  const auto tight =
      planned(fleet({{.name = "a", .gib_per_second = 30, .offers = gib * 3 / 4}, {.name = "b", .gib_per_second = 10}},
                    10e-6, 5e9),
              {.mode = PlanMode::tensor, .sequences = 1});
  EXPECT_LT(tight.stages[0].members[0].share, 0.7);
  for (const auto& member : tight.stages[0].members)
    EXPECT_LE(member.need.total() + memory_reserve_bytes, member.offered_bytes) << member.node_name;
}

TEST(TimedPlan, ShardsAreAsManyAsTheModelCanBeCutInto) {
  auto shape = model();
  shape.shards_max = 3;
  const auto view = fleet({{.name = "a", .shards = 2}, {.name = "b", .shards = 2}}, 10e-6, 5e9);
  const auto grouped = plan(view, shape, {.mode = PlanMode::tensor});
  ASSERT_TRUE(grouped) << grouped.error().message;
  EXPECT_EQ(grouped->stages[0].members[0].shards + grouped->stages[0].members[1].shards, 3u);
}

// Two machines with half the layers each. A piece of 64 rows is 512 KiB on the wire.
TEST(TimedPlan, PiecesOfAPromptFollowAtTheSlowestStageOrWireOrAsTheyComeBack) {
  const double stage = 8 * (1 / 16.0 / 20 + 20e-6 + 64 * 512 * 1024 / 20e9), head = 0.125 / 20, own = 50e-6;
  const auto prompt_seconds = [](double latency, double rate) {
    return planned(fleet({{.name = "a"}, {.name = "b"}}, latency, rate), {.nodes = {"a", "b"}, .layers = {8, 8}})
        .prompt_seconds;
  };
  const auto round = [&](double latency, double rate) {
    return 2 * stage + 2 * (own + latency) + 65 * 2048 * 4 / rate;
  };
  EXPECT_NEAR(prompt_seconds(100e-6, 1e9), round(100e-6, 1e9) + head + 15 * stage, 1e-9);
  EXPECT_NEAR(prompt_seconds(100e-6, 5e6), round(100e-6, 5e6) + head + 15 * (64 * 2048 * 4 / 5e6), 1e-9);
  EXPECT_NEAR(prompt_seconds(0.1, 1e9), round(0.1, 1e9) + head + 15 * round(0.1, 1e9) / 3.5, 1e-4)
      << "so many pieces are under way over two stages";
}

TEST(TimedPlan, WishedMachinesInTheirOrderAreDividedByTime) {
  const auto view = fleet({{.name = "a", .gib_per_second = 10}, {.name = "b", .gib_per_second = 40}});
  const auto plan = planned(view, {.mode = PlanMode::pipeline, .nodes = {"a", "b"}});
  EXPECT_THAT(names(plan), ElementsAre("a", "b"));
  EXPECT_EQ(plan.stages[0].layers.count(), 1u);
  EXPECT_THAT(names(planned(fleet({{.name = "a"}, {.name = "b"}}, 10e-6, 5e9), {.nodes = {"a", "b"}})),
              ElementsAre("a", "b"))
      << "a group is asked for by its mode";
  const auto by_hand = planned(view, {.nodes = {"a", "b"}, .layers = {8, 8}});
  EXPECT_EQ(by_hand.stages[0].layers.count(), 8u);
  EXPECT_GT(by_hand.token_seconds, plan.token_seconds);
  const auto by_memory = planned(view, {.mode = PlanMode::pipeline, .nodes = {"a", "b"}, .by_memory = true});
  EXPECT_GT(by_memory.token_seconds, plan.token_seconds);
}

TEST(TimedPlan, TheHeadOfAPlanMakesTheSamePlanAgain) {
  for (const double latency : {30e-6, 150e-6, 2e-3}) {
    const auto view = fleet({{.name = "a", .gib_per_second = 12, .offers = gib},
                             {.name = "b", .gib_per_second = 20, .offers = gib},
                             {.name = "c", .offers = gib}},
                            latency, 5e8);
    const auto asked = planned(view);
    const auto headed = planned(view, {.head = asked.stages[0].node});
    EXPECT_EQ(names(asked), names(headed)) << latency;
    EXPECT_EQ(asked.token_seconds, headed.token_seconds) << latency;
  }
}

TEST(TimedPlan, AFurtherMachineThatSavesLittleIsNamedWithBothFigures) {
  // a holds all but is slow; b would take half of it.
  const auto view =
      fleet({{.name = "a", .gib_per_second = 20}, {.name = "b", .gib_per_second = 23, .offers = gib}}, 150e-6, 117e6);
  const auto plan = planned(view, {.mode = PlanMode::pipeline});
  EXPECT_THAT(names(plan), ElementsAre("a"));
  EXPECT_THAT(why(plan, "b"), HasSubstr("a further machine must save 10 %"));
  EXPECT_THAT(why(plan, "b"), HasSubstr("its memory saves"));
}

TEST(TimedPlan, AFurtherMachineThatShortensTheWayIsNotSaidToAddANegativeTime) {
  // a and b are needed; from b back to a it is far, but not by way of c, which is slow.
  auto view = fleet({{.name = "a", .offers = gib}, {.name = "b", .offers = gib}, {.name = "c", .gib_per_second = 5}},
                    100e-6, 1e9);
  for (auto* pair : {&view.members[0].info.links, &view.members[1].info.links})
    for (LinkRate& link : *pair)
      if (link.peer != view.members[2].info.id) link.latency_seconds = 5e-3;
  const auto plan = planned(view, {.mode = PlanMode::pipeline, .sequences = 1});
  ASSERT_EQ(plan.stages.size(), 2u);
  EXPECT_THAT(why(plan, "c"), AllOf(HasSubstr("with it a token takes"), Not(HasSubstr("-"))));
}

TEST(TimedPlan, ALinkThatNobodyMeasuredIsSaid) {
  auto view = fleet({{.name = "a", .offers = gib}, {.name = "b", .offers = gib}});
  for (auto& member : view.members) member.info.links.clear();
  const auto plan = planned(view, {.mode = PlanMode::pipeline});
  ASSERT_EQ(plan.stages.size(), 2u);
  ASSERT_EQ(plan.notes.size(), 1u);
  EXPECT_THAT(plan.notes[0],
              HasSubstr("the link between a and b is not measured; taken as 0.15 ms one way and 117 MB/s"));
}

// Groups, hops and sentences counted. Printed; the bound is what no machine should need.
TEST(TimedPlan, ThirtyTwoMachinesArePlannedWhileSomeoneWaits) {
  std::vector<Machine> machines;
  for (int i = 0; i < 32; ++i)
    machines.push_back(
        {.name = std::format("m{:02}", i), .gib_per_second = 8 + i % 7 * 5.0, .offers = gib / 2 + i * mib});
  for (const double latency : {100e-6, 2e-3}) {
    const auto view = fleet(machines, latency);
    std::vector<double> milliseconds;
    std::size_t stages = 0;
    for (int round = 0; round < 5; ++round) {
      const auto before = std::clock();  // of the processor: others may use it too
      stages = planned(view, {.sequences = 1}).stages.size();
      milliseconds.push_back(1e3 * static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
    }
    std::ranges::sort(milliseconds);
    std::println("32 machines, {:.1f} ms apart, {} stages: {:.1f} ms (median of 5)", latency * 1e3, stages,
                 milliseconds[2]);
    EXPECT_LT(milliseconds[0], 5000);
  }
}

}  // namespace
}  // namespace flotilla
