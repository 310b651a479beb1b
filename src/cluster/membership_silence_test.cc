// Claims about silence: whose fault it is, what others say of it, and what becomes of a link that broke.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "cluster/membership.h"
#include "cluster/test_world.h"
#include "wire/control.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct ThreeNodes : testing::Test {
  ThreeNodes() {
    world.connect(a, c);
    world.connect(b, c);
    world.settle();
    world.pass(10s);
  }
  NodeId id(std::size_t index) { return world.view(index).self().info.id; }
  void TestBody() override {}

  void check_remade(bool dialled_by_a, bool both_ways) {
    world.cut(link.initiator);
    if (both_ways) world.cut(link.responder);
    world.pass(5s);
    const auto again = dialled_by_a ? world.connect(a, b) : world.connect(b, a);
    world.settle();
    world.pass(30s);
    const auto& at_a = dialled_by_a ? again.initiator : again.responder;
    EXPECT_EQ(world.rules(a).connection_to(id(b)), at_a.id);
    for (const auto each : {a, b}) {
      EXPECT_THAT(world.lost(each), ElementsAre(HasSubstr("broke and was made anew")));
      EXPECT_EQ(world.joins(each), 3u);
    }
    EXPECT_THAT(world.lost(c), IsEmpty());
  }

  World world;
  std::size_t a = world.add(node("a", 1, 100)), b = world.add(node("b", 2, 200)), c = world.add(node("c", 3, 300));
  World::Link link = world.connect(a, b);
};

TEST_F(ThreeNodes, AMemberWhomOthersHearIsDialledAgainAndNotLost) {
  world.cut(link.initiator);
  world.pass(3400ms);
  EXPECT_THAT(world.dials(a), IsEmpty());
  world.pass(900ms);
  EXPECT_EQ(world.state(a, "b"), "suspect");
  EXPECT_THAT(world.dials(a), ElementsAre(id(b)));
  EXPECT_THAT(world.lost(a), IsEmpty());
  EXPECT_EQ(world.state(b, "a"), "joined") << "it hears us";
}

TEST_F(ThreeNodes, WhereTheOldConnectionIsHeardAgainNothingWasLost) {
  world.cut(link.initiator);
  world.cut(link.responder);
  world.pass(5s);
  world.mend();
  world.pass(20s);
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_EQ(world.rules(a).connection_to(id(b)), link.initiator.id);
  for (const auto each : {a, b, c}) EXPECT_THAT(world.lost(each), IsEmpty());
}

TEST_F(ThreeNodes, ANewConnectionTakesThePlaceOfTheBrokenOneAndBothEndsKnow) {
  for (const bool dialled_by_a : {true, false})
    for (const bool both_ways : {true, false}) {
      SCOPED_TRACE(std::format("dialled by {}, {}", dialled_by_a ? "a" : "b", both_ways ? "both ways" : "one way"));
      ThreeNodes fresh;
      fresh.check_remade(dialled_by_a, both_ways);
    }
}

TEST_F(ThreeNodes, WhereNoNewConnectionComesItIsLostAfterSomeSeconds) {
  world.cut(link.initiator);
  world.cut(link.responder);
  world.pass(5500ms);
  EXPECT_THAT(world.lost(a), IsEmpty());
  world.pass(1200ms);
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("b has been silent for 6.")));
  EXPECT_EQ(world.state(c, "b"), "joined") << "for us alone";
  EXPECT_THAT(world.lost(c), IsEmpty());
}

TEST_F(ThreeNodes, AMemberWhomNobodyHearsIsLostAfterFourSeconds) {
  world.freeze(b);
  world.pass(3400ms);
  EXPECT_THAT(world.lost(a), IsEmpty());
  world.pass(900ms);
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("b has been silent for 4.")));
  EXPECT_THAT(world.lost(c), ElementsAre(HasSubstr("b has been silent for 4.")));
  EXPECT_THAT(world.dials(a), IsEmpty());
}

TEST_F(ThreeNodes, WhoOnlySaysToHearOneThatIsGoneDelaysItsEndBySecondsOnly) {
  world.freeze(b);
  const auto liar = *world.rules(c).connection_to(id(a));
  for (int i = 0; i < 90; ++i) {
    world.pass(100ms);
    world.send_raw({c, liar}, make_frame(FrameKind::heard, encode(Heard{id(b), true, 0})));
  }
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("b has been silent for 6.")));
}

TEST_F(ThreeNodes, WhatNobodyAskedIsPassedOver) {
  const auto talker = *world.rules(c).connection_to(id(a));
  world.send_raw({c, talker}, make_frame(FrameKind::heard, encode(Heard{id(b), true, 0})));
  world.send_raw({c, talker}, make_frame(FrameKind::heard, encode(Heard{random_node_id(), true, UINT64_MAX})));
  world.send_raw({c, talker}, make_frame(FrameKind::is_heard, encode(IsHeard{random_node_id()})));
  world.send_raw({c, talker}, make_frame(FrameKind::is_heard, Bytes(9, std::byte{0xFF})));
  world.settle();
  EXPECT_EQ(world.state(a, "c"), "joined");
  world.freeze(b);
  world.pass(4300ms);
  EXPECT_EQ(world.lost(a).size(), 1u);
}

TEST_F(ThreeNodes, OneThatStoodStillForLongLeavesEveryoneAndJoinsAgain) {
  world.freeze(a);
  world.pass(10s);
  EXPECT_EQ(world.state(b, "a"), "unknown");
  world.wake_late(a);
  EXPECT_THAT(world.view(a).members, testing::SizeIs(1)) << "before anything of the others' closing is read";
  world.settle();
  const auto lost = world.lost(a);
  EXPECT_EQ(lost.size(), 2u);
  EXPECT_THAT(lost, testing::Each(HasSubstr("this machine stood still for 9.9 s")));
  world.connect(a, b);
  world.connect(c, a);
  world.settle();
  world.pass(10s);
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_EQ(world.state(c, "a"), "joined");
}

TEST_F(ThreeNodes, OneThatStoodStillForAMomentLosesNobody) {
  world.freeze(a);
  world.pass(3s);
  world.wake_late(a);
  world.pass(10s);
  for (const auto each : {a, b, c}) EXPECT_THAT(world.lost(each), IsEmpty());
}

TEST_F(ThreeNodes, WhoseOwnTicksComeLateWaitsLongerForOthers) {
  world.pass_with_late_ticks(a, 10s, 500ms);
  world.freeze(b);
  world.pass_with_late_ticks(a, 6s, 500ms);
  EXPECT_THAT(world.lost(a), IsEmpty());
  EXPECT_EQ(world.lost(c).size(), 1u) << "who is on time does not";
  world.pass_with_late_ticks(a, 12s, 500ms);
  EXPECT_EQ(world.lost(a).size(), 1u);
}

TEST_F(ThreeNodes, OnceItsTicksAreOnTimeAgainItWaitsAsLongAsAll) {
  world.pass_with_late_ticks(a, 10s, 500ms);
  world.pass(30s);
  world.freeze(b);
  world.pass(4600ms);
  EXPECT_EQ(world.lost(a).size(), 1u);
}

TEST(Hearsay, TwoAreAskedOnceASecondAndNotAlwaysTheSame) {
  Hearsay hearsay;
  std::vector<NodeId> others(3);
  for (auto& other : others) other = random_node_id();
  const NodeId silent = random_node_id();
  const Instant now{1h};
  EXPECT_THAT(hearsay.whom_to_ask(silent, others, now), ElementsAre(others[0], others[1]));
  EXPECT_THAT(hearsay.whom_to_ask(silent, others, now + 900ms), IsEmpty());
  EXPECT_THAT(hearsay.whom_to_ask(silent, others, now + 1s), ElementsAre(others[2], others[0]));
  EXPECT_THAT(hearsay.whom_to_ask(silent, {}, now + 2s), IsEmpty());
}

}  // namespace
}  // namespace flotilla
