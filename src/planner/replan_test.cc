// Claims about moving a placement in service: what it takes now, when a move pays, and when it does not yet.
#include "planner/replan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"
#include "planner/test_model.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

MachineRates rates(double gib_per_second) {
  MachineRates rates{.layer_seconds = 20e-6,
                     .attention_bytes_per_second = gib_per_second * 1e9,
                     .attention_prompt_bytes_per_second = gib_per_second * 8e9};
  for (const char* type : {"Q4_K", "Q6_K"}) {
    KernelRate kernel{.type = type, .seconds_per_gib = {}};
    for (const auto rows : kernel_rows) kernel.seconds_per_gib.push_back(std::max(1.0, rows / 64.0) / gib_per_second);
    rates.kernels.push_back(kernel);
  }
  return rates;
}

// Machines of 20 GiB/s, on links of the given latency.
ClusterView fleet(const std::vector<std::string>& names, std::uint64_t offers, double latency_seconds = 150e-6) {
  ClusterView view;
  for (const std::string& name : names) {
    Member& member = view.members.emplace_back();
    member.state = view.members.size() == 1 ? MemberState::self : MemberState::joined;
    member.info.id.bytes.back() = static_cast<std::uint8_t>(view.members.size());
    member.info.name = name;
    member.info.memory_bytes = member.info.memory_free_bytes = offers;
    member.info.rates = rates(20);
  }
  for (Member& from : view.members)
    for (const Member& to : view.members)
      if (from.info.id != to.info.id) from.info.links.push_back({to.info.id, latency_seconds, 1e9, "eth0"});
  return view;
}

void slow_down(ClusterView& view, const std::string& name, double times) {
  for (Member& member : view.members)
    if (member.info.name == name) member.info.rates = rates(20 / times);
}

class Replan : public testing::Test {
 protected:
  Plan planned(const ClusterView& view) {
    auto result = plan(view, shape_, wishes_);
    EXPECT_TRUE(result) << result.error().message;
    return result ? *std::move(result) : Plan{};
  }
  double gain(const ClusterView& view, const Plan& in_service) {
    const auto now = foretell(view, shape_, wishes_, in_service), then = foretell(view, shape_, wishes_, planned(view));
    EXPECT_TRUE(now && then);
    return now && then ? now->judged_seconds / then->judged_seconds : 0;
  }
  static std::vector<std::string> heads(const Plan& plan) {
    std::vector<std::string> names;
    for (const auto& stage : plan.stages) names.push_back(stage.node_name);
    return names;
  }

  ModelShape shape_ = model();
  PlanWishes wishes_{.mode = PlanMode::pipeline};
};

TEST_F(Replan, WhatWasPlannedIsForetoldAsItWasPlannedWhereNothingChanged) {
  for (const auto mode : {PlanMode::pipeline, PlanMode::tensor}) {
    wishes_.mode = mode;
    const auto view = fleet({"a", "b", "c"}, mode == PlanMode::pipeline ? gib : 100 * gib, 30e-6);
    const auto plan = planned(view);
    const auto now = foretell(view, shape_, wishes_, plan);
    ASSERT_TRUE(now);
    EXPECT_NEAR(now->token_seconds, plan.token_seconds, 1e-12);
    EXPECT_NEAR(now->prompt_seconds, plan.prompt_seconds, 1e-12);
    ASSERT_EQ(now->stage_seconds.size(), plan.stages.size());
    for (std::size_t i = 0; i < plan.stages.size(); ++i)
      EXPECT_NEAR(now->stage_seconds[i], plan.stages[i].token_seconds, 1e-12);
  }
}

TEST_F(Replan, AThrottledMachineIsPlannedRoundAndTheSentenceNamesItWithNumbers) {
  auto view = fleet({"desk1", "desk2"}, 100 * gib);
  const auto in_service = planned(view);
  ASSERT_THAT(heads(in_service), ElementsAre("desk1"));
  slow_down(view, "desk1", 4);
  EXPECT_GT(gain(view, in_service), 3);
  const auto better = planned(view);
  EXPECT_THAT(heads(better), ElementsAre("desk2"));
  const auto why = why_move(in_service, *foretell(view, shape_, wishes_, in_service), better,
                            *foretell(view, shape_, wishes_, better));
  EXPECT_THAT(why, HasSubstr("desk1 computes at 25 % of its former speed; to desk2 (16 layers): 57.5 ms per token"));
  EXPECT_THAT(why, HasSubstr("ms per token instead of"));
}

TEST_F(Replan, AMachineOnBatteryThatOffersNothingIsRelievedWhateverItsSpeed) {
  auto view = fleet({"desk", "laptop"}, 100 * gib);
  const auto in_service = planned(view);
  ASSERT_THAT(heads(in_service), ElementsAre("desk"));
  EXPECT_EQ(who_withdraws(view, in_service), "");
  NodeInfo& desk = view.members[0].info;
  desk.on_battery = true;
  desk.battery_percent = 43;
  EXPECT_EQ(who_withdraws(view, in_service), "") << "it offers what it offered";
  desk.memory_bytes = desk.memory_free_bytes = 0;
  const std::string withdrawal = who_withdraws(view, in_service);
  EXPECT_EQ(withdrawal, "desk runs on battery at 43 % and offers nothing");
  const auto better = planned(view);
  EXPECT_EQ(why_hand_over(withdrawal, better), withdrawal + "; to laptop (16 layers)");
  ASSERT_EQ(better.left_out.size(), 1u);
  EXPECT_THAT(better.left_out[0].reason, HasSubstr("runs on battery at 43 %; "));
  ReplanWatch watch(0, {});
  const auto then = foretell(view, shape_, wishes_, better);
  EXPECT_FALSE(watch.on_finding(beyond_all(in_service), *then, {}));
  EXPECT_TRUE(watch.on_finding(beyond_all(in_service), *then, ReplanWatch::Time(ReplanWatch::held_min)));
}

TEST_F(Replan, OfAThrottledStageMostLayersGo) {
  auto view = fleet({"a", "b"}, gib);
  const auto in_service = planned(view);
  ASSERT_EQ(in_service.stages.size(), 2u);
  const std::string slow = in_service.stages[1].node_name;
  slow_down(view, slow, 4);
  EXPECT_GT(gain(view, in_service), 1);
  for (const auto& stage : planned(view).stages) {
    if (stage.node_name == slow) {
      EXPECT_LT(stage.layers.count(), in_service.stages[1].layers.count());
    }
  }
}

TEST_F(Replan, WhatWasChosenByHandStays) {
  auto view = fleet({"a", "b"}, 100 * gib);
  wishes_.nodes = {"a", "b"};
  wishes_.layers = {8, 8};
  const auto by_hand = planned(view);
  slow_down(view, "b", 4);
  EXPECT_NEAR(gain(view, by_hand), 1, 1e-9) << "layers are given: nothing is left to choose";
  wishes_.layers = {};
  EXPECT_GT(gain(view, by_hand), 1.25) << "machines are given, their layers are not";
  EXPECT_THAT(heads(planned(view)), ElementsAre("a", "b"));
}

TEST_F(Replan, AMachineThatIsSilentOrUnmeasuredOrGoneTellsNothing) {
  const auto view = fleet({"a", "b"}, 100 * gib);
  const auto in_service = planned(view);
  auto silent = view, unmeasured = view, gone = view;
  silent.members[0].state = MemberState::suspect;
  unmeasured.members[0].info.rates = {};
  gone.members.erase(gone.members.begin());
  for (const auto& other : {silent, unmeasured, gone})
    EXPECT_EQ(foretell(other, shape_, wishes_, in_service), std::nullopt);
}

TEST_F(Replan, APlanFitsWhereItsMachinesOfferItBesideWhatTheyHold) {
  auto view = fleet({"a"}, 100 * gib);
  const auto plan = planned(view);
  EXPECT_TRUE(fits_now(view, plan));
  view.members[0].info.memory_free_bytes = plan.stages[0].need().total() + memory_reserve_bytes;
  EXPECT_TRUE(fits_now(view, plan));
  --view.members[0].info.memory_free_bytes;
  EXPECT_FALSE(fits_now(view, plan));
}

// --- When ---

class When : public testing::Test {
 protected:
  // Once a second the same finding; so many seconds until it says to move.
  std::optional<int> seconds_until_move(ReplanWatch& watch, double gain, int seconds) {
    for (int i = 0; i < seconds; ++i, now_ += 1s)
      if (watch.on_finding(taking(gain), taking(1), now_)) return i;
    return std::nullopt;
  }
  static Foretold taking(double seconds) {
    return {.token_seconds = seconds / 256, .judged_seconds = seconds, .stage_seconds = {}};
  }

  ReplanWatch::Time now_{std::chrono::hours(100)};
};

TEST_F(When, AClearGainMovesOnceItHasHeld) {
  ReplanWatch watch(0, now_);
  EXPECT_EQ(seconds_until_move(watch, 1.3, 100), 3);
}

TEST_F(When, ALittleGainNeverMoves) {
  ReplanWatch watch(0, now_);
  EXPECT_EQ(seconds_until_move(watch, 1.24, 10000), std::nullopt);
}

TEST_F(When, AQuickPromptDoesNotBuySlowWords) {
  ReplanWatch watch(0, now_);
  for (int i = 0; i < 100; ++i, now_ += 1s)
    EXPECT_FALSE(watch.on_finding({.token_seconds = 0.010, .judged_seconds = 2, .stage_seconds = {}},
                                  {.token_seconds = 0.011, .judged_seconds = 1, .stage_seconds = {}}, now_));
}

TEST_F(When, AGainThatComesAndGoesDoesNotMove) {
  ReplanWatch watch(0, now_);
  for (int i = 0; i < 1000; ++i, now_ += 1s)
    EXPECT_FALSE(watch.on_finding(taking(i % 3 == 2 ? 1.1 : 4), taking(1), now_));
  ReplanWatch other(0, now_);
  for (int i = 0; i < 1000; ++i, now_ += 1s) {
    EXPECT_FALSE(other.on_finding(taking(4), taking(1), now_));
    if (i % 3 == 2) other.on_nothing_known();
  }
}

TEST_F(When, AfterAMoveItStaysAMinuteAndTwiceAsLongEachTime) {
  for (std::uint32_t moves = 1; moves <= 3; ++moves) {
    ReplanWatch watch(moves, now_);
    EXPECT_EQ(seconds_until_move(watch, 4, 1000), 60 << (moves - 1));
    EXPECT_EQ(watch.moves_with_this(now_), moves + 1);
  }
  ReplanWatch watch(30, now_);
  EXPECT_EQ(seconds_until_move(watch, 4, 10000), 3600);
}

TEST_F(When, AllIsForgivenAfterTwoHoursWithoutMoves) {
  ReplanWatch watch(5, now_);
  EXPECT_EQ(watch.moves_with_this(now_ + 119min), 6u);
  EXPECT_EQ(watch.moves_with_this(now_ + 120min), 1u);
}

TEST_F(When, AMovePutOffIsTriedAgainEverMoreSeldom) {
  ReplanWatch watch(0, now_);
  for (const int pause : {60, 120, 240}) {
    watch.on_put_off(now_);
    EXPECT_EQ(seconds_until_move(watch, 4, 1000), pause);
  }
}

TEST_F(When, AMovePutOffIsForgivenAfterTwoHoursForGood) {
  ReplanWatch watch(0, now_);
  watch.on_put_off(now_);
  EXPECT_EQ(watch.moves_with_this(now_ + 119min), 2u);
  now_ += 121min;
  EXPECT_EQ(watch.moves_with_this(now_), 1u);
  watch.on_put_off(now_);
  EXPECT_EQ(watch.moves_with_this(now_), 2u) << "this one and the last, not that of long ago";
  EXPECT_EQ(seconds_until_move(watch, 4, 1000), 60);
}

TEST_F(When, WhatNeverSucceedsIsTriedOnceAnHour) {
  ReplanWatch watch(20, now_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(seconds_until_move(watch, 4, 4000), 3600);
    watch.on_put_off(now_);
  }
}

TEST_F(When, MovesAndMovesPutOffCountTogether) {
  ReplanWatch watch(5, now_);
  EXPECT_EQ(seconds_until_move(watch, 4, 1000), 60 << 4);
  watch.on_put_off(now_);
  EXPECT_EQ(watch.moves_with_this(now_), 7u);
  EXPECT_EQ(seconds_until_move(watch, 4, 2000), 60 << 5);
}

}  // namespace
}  // namespace flotilla
