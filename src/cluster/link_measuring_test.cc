// Claims about measuring links: when, by whom, and which of several is best. Time is moved by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "cluster/link_probe.h"
#include "cluster/link_schedule.h"
#include "cluster/rate_gate.h"
#include "io/memory_link.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

NodeId id(std::uint8_t last) {
  NodeId id;
  id.bytes.back() = last;
  return id;
}

class LinkTimes : public testing::Test {
 protected:
  // Whom it would have measured within `time`; each measurement ends at once as told.
  std::vector<NodeId> within(Instant::duration time, void (LinkSchedule::*end)(Instant) = &LinkSchedule::on_measured) {
    std::vector<NodeId> taken;
    for (const Instant until = now_ + time; now_ < until; now_ += 50ms)
      if (const auto peer = schedule_.take_due(now_)) {
        taken.push_back(*peer);
        (schedule_.*end)(now_);
      }
    return taken;
  }

  Instant now_ = Instant{} + 1h;
  const PeerAddress switch_{"10.0.0.2", 52414}, cable_{"fe80::1%eth1", 52414};
  LinkSchedule schedule_{7};
};

TEST_F(LinkTimes, AMachineIsMeasuredSoonAfterItJoinedAndThenSeldom) {
  schedule_.see(id(2), {switch_}, now_);
  EXPECT_EQ(schedule_.take_due(now_), std::nullopt) << "its other addresses may turn up yet";
  EXPECT_EQ(within(1100ms), std::vector{id(2)});
  schedule_.see(id(2), {switch_}, now_);
  EXPECT_TRUE(within(9min).empty());
  EXPECT_EQ(within(4min).size(), 1u);
}

TEST_F(LinkTimes, AnotherAddressIsAReasonAndOneLessIsNone) {
  schedule_.see(id(2), {switch_}, now_);
  EXPECT_EQ(within(2s).size(), 1u);
  schedule_.see(id(2), {cable_, switch_}, now_);
  EXPECT_EQ(within(2s).size(), 1u);
  schedule_.see(id(2), {switch_, cable_}, now_);
  EXPECT_TRUE(within(2s).empty()) << "the same in another order";
  schedule_.see(id(2), {switch_}, now_);
  EXPECT_TRUE(within(2s).empty());
}

TEST_F(LinkTimes, OneAtATime) {
  schedule_.see(id(2), {switch_}, now_);
  schedule_.see(id(3), {cable_}, now_);
  now_ += 2s;
  ASSERT_TRUE(schedule_.take_due(now_));
  EXPECT_EQ(schedule_.take_due(now_), std::nullopt);
  schedule_.on_measured(now_);
  EXPECT_TRUE(schedule_.take_due(now_));
}

TEST_F(LinkTimes, BusyAndFailureAreTriedAgainLessAndLessOften) {
  schedule_.see(id(2), {switch_}, now_);
  EXPECT_GE(within(4s, &LinkSchedule::on_busy).size(), 2u);
  EXPECT_LE(within(60s, &LinkSchedule::on_busy).size(), 17u) << "a machine at work is not to be pestered";
  const auto first = within(60s, &LinkSchedule::on_failed).size(), later = within(60s, &LinkSchedule::on_failed).size();
  EXPECT_GE(first, 2u);
  EXPECT_LT(later, first);
  EXPECT_GE(within(30min, &LinkSchedule::on_failed).size(), 4u) << "but it is not given up";
}

TEST_F(LinkTimes, AnInterfaceThatComesMakesAllDue) {
  schedule_.see(id(2), {switch_}, now_);
  schedule_.see(id(3), {switch_}, now_);
  EXPECT_EQ(within(3s).size(), 2u);
  schedule_.measure_all(now_);
  EXPECT_EQ(within(3s).size(), 2u);
}

TEST_F(LinkTimes, WhoLeavesWhileItIsMeasuredIsForgotten) {
  schedule_.see(id(2), {switch_}, now_);
  now_ += 2s;
  ASSERT_TRUE(schedule_.take_due(now_));
  schedule_.forget(id(2));
  schedule_.on_measured(now_);
  EXPECT_TRUE(within(20min).empty());
}

TEST(BestLink, IsTheOneThatBringsAMessageFirst) {
  const LinkFigures gigabit{150e-6, 117e6, "eth0", true}, cable{40e-6, 1.1e9, "eth1", true},
      tunnel{20e-6, 5e9, "wg0", false};
  EXPECT_TRUE(is_better(cable, gigabit));
  EXPECT_FALSE(is_better(gigabit, cable));
  EXPECT_FALSE(is_better(tunnel, gigabit)) << "whatever it measures: it ends somewhere real";
  EXPECT_TRUE(is_better(gigabit, tunnel));
}

TEST(BestLink, DoesNotChangeForNoise) {
  const LinkFigures one{100e-6, 1e9, "eth0", true}, other{96e-6, 1.02e9, "eth1", true};
  EXPECT_FALSE(is_better(other, one));
  EXPECT_FALSE(is_better(one, other));
}

class Gate : public testing::Test {
 protected:
  Instant now_ = Instant{} + 1h;
  std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> one_ = make_memory_link_pair(),
                                                          two_ = make_memory_link_pair();
  RateGate gate_;
};

TEST_F(Gate, AnswersOneAtATime) {
  EXPECT_TRUE(gate_.admit(*one_.first, 0, now_));
  EXPECT_EQ(gate_.admit(*two_.first, 0, now_).error().code, Code::busy);
  EXPECT_FALSE(gate_.begin_asking(now_));
  gate_.leave(*two_.first);
  EXPECT_TRUE(gate_.admit(*one_.first, 0, now_)) << "who did not hold it cannot give it up";
  gate_.leave(*one_.first);
  EXPECT_TRUE(gate_.admit(*two_.first, 0, now_));
}

TEST_F(Gate, AnswersNobodyWhileItAsksOrComputes) {
  EXPECT_TRUE(gate_.begin_asking(now_));
  EXPECT_EQ(gate_.admit(*one_.first, 0, now_).error().code, Code::busy);
  gate_.end_asking();
  gate_.set_open(false);
  EXPECT_EQ(gate_.admit(*one_.first, 0, now_).error().code, Code::busy);
  EXPECT_FALSE(gate_.begin_asking(now_));
  gate_.set_open(true);
  EXPECT_TRUE(gate_.admit(*one_.first, 0, now_));
}

TEST_F(Gate, NobodyKeepsItOrFillsTheLink) {
  ASSERT_TRUE(gate_.admit(*one_.first, limits::rate_bytes_max, now_));
  ASSERT_TRUE(gate_.admit(*one_.first, limits::rate_bytes_max, now_));
  EXPECT_EQ(gate_.admit(*one_.first, 1, now_).error().code, Code::too_large);
  EXPECT_EQ(gate_.admit(*two_.first, 1, now_).error().code, Code::busy);
  now_ += RateGate::session_time_max + 1s;
  EXPECT_TRUE(gate_.admit(*two_.first, 1, now_));
}

TEST_F(Gate, WhatIsAskedForComesAndNoMore) {
  constexpr std::uint64_t bytes = limits::bulk_chunk_bytes * 2 + 17;
  std::jthread answering([this] { EXPECT_TRUE(answer_rate(*one_.first, {bytes})); });
  std::uint64_t got = 0;
  Frame frame;
  while (one_.second->receive(frame, 5s) && frame.header.kind == FrameKind::range_data) got += frame.body.size();
  EXPECT_EQ(got, bytes);
  ASSERT_EQ(frame.header.kind, FrameKind::range_end);
  EXPECT_TRUE(decode_range_end(frame.body)->ok);
}

}  // namespace
}  // namespace flotilla
