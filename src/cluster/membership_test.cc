// Claims about who is a member, with several nodes whose time and connections are moved by hand.
#include "cluster/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/test_world.h"
#include "wire/control.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct TwoNodes : testing::Test {
  World world;
  std::size_t a = world.add(node("a", 1, 100)), b = world.add(node("b", 2, 200));
};

TEST_F(TwoNodes, AFinishedIntroductionMakesBothMembers) {
  world.connect(a, b);
  EXPECT_EQ(world.state(a, "b"), "unknown");
  world.settle();
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_EQ(world.state(b, "a"), "joined");
  EXPECT_EQ(world.view(a).find("b")->host, "host1");
  EXPECT_EQ(world.view(a).self().info.name, "a");
}

TEST_F(TwoNodes, ChangesOfANodeReachTheOther) {
  world.connect(a, b);
  world.settle();
  auto info = node("b", 2, 200);
  info.memory_free_bytes = 7;
  world.rules(b).set_self(info);
  world.settle();
  EXPECT_EQ(world.view(a).find("b")->info.memory_free_bytes, 7u);
  EXPECT_EQ(world.view(a).find("b")->info.revision, 1u);
  world.rules(b).set_self(info);  // nothing new: nothing to say
  EXPECT_TRUE(world.rules(b).take_effects().empty());
}

// What a handshake judged is the name it was shown with.
TEST_F(TwoNodes, NobodyTakesAnotherNameBehindTheHandshake) {
  const auto link = world.connect(a, b);
  world.send_raw(link.responder, make_frame(FrameKind::node_info, encode(node("studio", 2, 200))));
  world.settle();
  EXPECT_EQ(world.state(a, "studio"), "unknown");
  EXPECT_EQ(world.state(a, "b"), "unknown") << "who tries is shown out";
}

TEST_F(TwoNodes, HeartbeatsKeepQuietMembersJoined) {
  world.connect(a, b);
  world.settle();
  world.pass(60s);
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_THAT(world.lost(a), IsEmpty());
}

TEST_F(TwoNodes, SilenceIsSuspectAfterTwoSecondsThenLostAfterFour) {
  world.connect(a, b);
  world.settle();
  world.pass(10100ms);  // ends with a heartbeat
  world.freeze(b);
  world.pass(1900ms);
  EXPECT_EQ(world.state(a, "b"), "joined");
  world.pass(300ms);
  EXPECT_EQ(world.state(a, "b"), "suspect");
  world.pass(1500ms);
  EXPECT_EQ(world.state(a, "b"), "suspect");
  world.pass(400ms);
  EXPECT_EQ(world.state(a, "b"), "unknown");
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("b has been silent for 4.")));
}

TEST_F(TwoNodes, ASuspectThatSpeaksAgainIsJoined) {
  world.connect(a, b);
  world.settle();
  world.freeze(b);
  world.pass(3s);
  EXPECT_EQ(world.state(a, "b"), "suspect");
  world.wake_late(b);
  world.pass(500ms);
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_THAT(world.lost(a), IsEmpty());
}

TEST_F(TwoNodes, LateOwnTimersExtendDeadlines) {
  world.connect(a, b);
  world.settle();
  world.freeze(a);
  world.pass(3500ms);
  world.wake_late(a);  // 3.5 s without our tick: the others' silence is ours
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_THAT(world.lost(a), IsEmpty());
  world.freeze(b);
  world.pass(3700ms);
  EXPECT_EQ(world.state(a, "b"), "suspect");
  world.pass(500ms);
  EXPECT_EQ(world.state(a, "b"), "unknown");  // real silence still counts
}

TEST_F(TwoNodes, ABrokenConnectionIsALossAtOnce) {
  const auto link = world.connect(a, b);
  world.settle();
  world.break_off(link.initiator);
  world.settle();
  EXPECT_EQ(world.state(a, "b"), "unknown");
  EXPECT_THAT(world.lost(a), ElementsAre("reset by peer"));
  EXPECT_THAT(world.lost(b), ElementsAre("reset by peer"));
}

TEST_F(TwoNodes, GoodbyeIsALossWithItsReason) {
  world.connect(a, b);
  world.settle();
  world.rules(b).say_goodbye("shutting down");
  world.settle();
  EXPECT_EQ(world.state(a, "b"), "unknown");
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("b left: shutting down")));
}

TEST_F(TwoNodes, SimultaneousConnectsKeepTheOneOfTheLowerId) {
  const auto by_a = world.connect(a, b);
  const auto by_b = world.connect(b, a);
  world.settle();
  EXPECT_EQ(world.rules(a).connection_to(world.view(b).self().info.id), by_a.initiator.id);
  EXPECT_EQ(world.rules(b).connection_to(world.view(a).self().info.id), by_a.responder.id);
  world.pass(10s);
  EXPECT_EQ(world.rules(b).node_of(by_b.initiator.id), std::nullopt);  // the loser is closed
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_EQ(world.state(b, "a"), "joined");
  EXPECT_THAT(world.lost(a), IsEmpty());
  EXPECT_THAT(world.lost(b), IsEmpty());
  EXPECT_EQ(world.joins(a), 1u);
}

TEST_F(TwoNodes, CrossedConnectsAgreeWhicheverIntroductionComesFirst) {
  const auto by_b = world.connect(b, a);
  world.settle();
  EXPECT_EQ(world.rules(a).connection_to(world.view(b).self().info.id), by_b.responder.id);
  const auto by_a = world.connect(a, b);
  world.settle();
  world.pass(10s);
  EXPECT_EQ(world.rules(a).connection_to(world.view(b).self().info.id), by_a.initiator.id);
  EXPECT_EQ(world.rules(b).connection_to(world.view(a).self().info.id), by_a.responder.id);
  EXPECT_THAT(world.lost(a), IsEmpty());
  EXPECT_THAT(world.lost(b), IsEmpty());
}

TEST_F(TwoNodes, ASecondDialToAnotherAddressOfAMemberChangesNothing) {
  const auto first = world.connect(a, b);
  world.settle();
  world.pass(20s);
  const auto second = world.connect(a, b);
  world.settle();
  world.pass(10s);
  EXPECT_EQ(world.rules(a).connection_to(world.view(b).self().info.id), first.initiator.id);
  EXPECT_EQ(world.rules(b).connection_to(world.view(a).self().info.id), first.responder.id);
  EXPECT_EQ(world.rules(a).node_of(second.initiator.id), std::nullopt);
  EXPECT_THAT(world.lost(a), IsEmpty());
  EXPECT_THAT(world.lost(b), IsEmpty());
}

// As where a --peer address of a member is reached for the first time long after the other side's dial.
TEST_F(TwoNodes, ALateDialFromTheOtherSideLosesNobody) {
  for (const auto& [first, second] : {std::pair(a, b), std::pair(b, a)}) {
    World fresh;
    fresh.add(node("a", 1, 100));
    fresh.add(node("b", 2, 200));
    const auto early = fresh.connect(first, second);
    fresh.settle();
    fresh.pass(20s);
    const auto late = fresh.connect(second, first);
    fresh.settle();
    fresh.pass(10s);
    const auto& kept = first == a ? early : late;  // the one of the lower id
    const auto& of_first = first == a ? kept.initiator : kept.responder;
    EXPECT_EQ(fresh.rules(of_first.node).connection_to(fresh.view(1 - of_first.node).self().info.id), of_first.id);
    for (const auto each : {a, b}) {
      EXPECT_THAT(fresh.lost(each), IsEmpty());
      EXPECT_EQ(fresh.joins(each), 1u);
    }
  }
}

// The peer lost its end without our hearing of it (it left a wireless network for a cable) and has dialled again.
TEST_F(TwoNodes, AConnectionThatHasFallenSilentDoesNotOutliveTheOneThatReplacesIt) {
  const auto old = world.connect(a, b);
  world.settle();
  world.pass(20s);
  world.lose_unnoticed(old.responder);
  EXPECT_EQ(world.lost(b).size(), 1u);
  const auto again = world.connect(b, a);
  world.settle();
  world.pass(10s);
  EXPECT_EQ(world.rules(a).connection_to(world.view(b).self().info.id), again.responder.id);
  EXPECT_THAT(world.lost(a), IsEmpty());
  EXPECT_THAT(world.lost(b), IsEmpty());
}

TEST_F(TwoNodes, ACopiedHomeIsRefusedAndNamedByOthers) {
  world.connect(a, b);
  world.settle();
  const auto copy = world.add(node("b", 2, 300));  // started later, elsewhere
  world.connect(copy, a);
  world.settle();
  EXPECT_EQ(world.view(a).find("b")->info.incarnation, 300u);
  world.connect(b, a);  // the original comes back: it is alive
  world.settle();
  EXPECT_EQ(world.view(a).find("b")->info.incarnation, 300u) << "the later one stays";
  EXPECT_THAT(world.view(b).members.back().reason, HasSubstr("a home folder was copied"));
}

TEST_F(TwoNodes, RestartedNodeReplacesItsOldSelf) {
  world.connect(a, b);
  world.settle();
  world.freeze(b);  // the machine lost power: no goodbye, no reset
  const auto again = world.add(node("b", 2, 300));
  world.connect(again, a);
  world.settle();
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_EQ(world.view(a).find("b")->info.incarnation, 300u);
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("b has restarted")));
  world.pass(10s);
  EXPECT_EQ(world.state(a, "b"), "joined");
  EXPECT_THAT(world.lost(a), IsEmpty());
}

TEST_F(TwoNodes, DuplicateNameIsRefusedForTheNewcomer) {
  const auto twin = world.add(node("a", 3, 300));
  world.connect(a, b);
  world.settle();
  world.connect(twin, a);
  world.settle();
  EXPECT_EQ(world.reason(twin, 1), "another machine is already called \"a\"; start this one with --name");
  EXPECT_THAT(world.reason(a, 3), HasSubstr("start it there with --name"));
  EXPECT_EQ(world.joins(twin), 0u);
  // Also where only a third machine knows both.
  world.connect(twin, b);
  world.settle();
  EXPECT_EQ(world.joins(twin), 0u);
  EXPECT_EQ(world.reason(twin, 2), "another machine is already called \"a\"; start this one with --name");
  EXPECT_EQ(world.state(b, "a"), "joined");
  EXPECT_EQ(world.view(b).find("a")->info.id.bytes.back(), 1);
}

TEST_F(TwoNodes, TheOlderOfTwoNamesakesKeepsTheNameAlsoWhereItComesLater) {
  const auto elder = world.add(node("b", 9, 50));
  world.connect(a, b);
  world.settle();
  world.connect(elder, a);
  world.settle();
  EXPECT_EQ(world.view(a).find("b")->info.id.bytes.back(), 9);
  EXPECT_THAT(world.lost(a), ElementsAre(HasSubstr("start it there with --name")));
  EXPECT_EQ(world.reason(b, 1), "another machine is already called \"b\"; start this one with --name");
}

TEST_F(TwoNodes, FramesOfOtherKindsAreHandedOnOnlyFromMembers) {
  const auto link = world.connect(a, b);
  const auto load = make_frame(FrameKind::load_model, {});
  EXPECT_TRUE(world.rules(b).on_frame(link.responder.id, load, world.now()));  // not introduced: closed
  EXPECT_EQ(world.rules(b).node_of(link.responder.id), std::nullopt);
  world.settle();
  const auto again = world.connect(a, b);
  world.settle();
  EXPECT_FALSE(world.rules(b).on_frame(again.responder.id, load, world.now()));
}

TEST_F(TwoNodes, APeerThatSpeaksForAnotherIsClosed) {
  const auto link = world.connect(a, b);
  world.settle();
  world.send_raw(link.initiator, make_frame(FrameKind::node_info, encode(node("c", 7, 1))));
  world.settle();
  EXPECT_EQ(world.state(b, "a"), "unknown");
  const auto garbage = world.connect(a, b);
  world.send_raw(garbage.initiator, make_frame(FrameKind::node_info, Bytes(40, std::byte{0xFF})));
  world.settle();
  EXPECT_EQ(world.state(b, "a"), "unknown");
}

TEST_F(TwoNodes, AConnectionThatNeverIntroducesItselfIsClosed) {
  world.rules(a).on_connected(999, {.node = node("c", 3, 1).id, .name = "c", .release = "", .version = 1}, false,
                              "host", world.now());
  for (int i = 0; i < 60; ++i) {  // it answers pings but sends no node_info
    world.pass(100ms);
    world.rules(a).on_frame(999, make_frame(FrameKind::pong, {}), world.now());
  }
  EXPECT_EQ(world.rules(a).node_of(999), std::nullopt);
  EXPECT_EQ(world.joins(a), 0u);
}

TEST_F(TwoNodes, SeenMachinesAreShownWithTheirReasonUntilTheyFallSilent) {
  const auto stranger = node("kitchen", 8, 1).id;
  world.rules(a).on_seen(stranger, "kitchen", "", "192.168.1.9", "", world.now());  // only a beacon: not shown
  EXPECT_EQ(world.state(a, "kitchen"), "unknown");
  world.rules(a).on_seen(stranger, "kitchen", "0.2.0", "192.168.1.9", "no secret", world.now());
  EXPECT_THAT(world.rules(a).take_effects().news,
              ElementsAre(HasSubstr("kitchen at 192.168.1.9 is seen but not joined: no secret")));
  EXPECT_EQ(world.state(a, "kitchen"), "seen");
  world.pass(50s);
  world.rules(a).on_seen(stranger, "kitchen", "", "192.168.1.9", "", world.now());  // a beacon keeps the reason
  world.pass(50s);
  EXPECT_EQ(world.reason(a, 8), "no secret");
  world.pass(11s);
  EXPECT_EQ(world.state(a, "kitchen"), "unknown");
}

TEST_F(TwoNodes, ForgedBeaconIsOnlyAHint) {
  world.connect(a, b);
  world.settle();
  world.pass(1s);
  // Someone says to be b, elsewhere and under another name: the member stays what it was.
  world.rules(a).on_seen(world.view(b).self().info.id, "evil", "9.9", "10.0.0.66", "whatever", world.now());
  const auto seen_by_a = world.view(a);
  EXPECT_EQ(seen_by_a.members.size(), 2u);
  EXPECT_EQ(seen_by_a.find("b")->state, MemberState::joined);
  EXPECT_EQ(seen_by_a.find("b")->host, "host1");
  EXPECT_THAT(world.lost(a), IsEmpty());
}

TEST_F(TwoNodes, AFloodOfSeenMachinesIsBounded) {
  for (int i = 0; i < 1000; ++i)
    world.rules(a).on_seen(random_node_id(), "n" + std::to_string(i), "", "h", "flood", world.now());
  EXPECT_LE(world.view(a).members.size(), limits::nodes_max + 1);
}

}  // namespace
}  // namespace flotilla
