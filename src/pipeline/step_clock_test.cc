// Claims about what a runner tells of itself: time and processor time are handed in.
#include "pipeline/step_clock.h"

#include <gtest/gtest.h>

#include "pipeline/pulse.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

class Vital : public testing::Test {
 protected:
  void compute(std::size_t rows, std::chrono::milliseconds time, int times = 1) {
    for (int i = 0; i < times; ++i) {
      clock_.begin(rows, now_);
      now_ += time;
      clock_.end(now_);
    }
  }
  // Time passes, of which `share` is spent on a processor, with a beat every interval; the last beat.
  RunnerPulse pass(std::chrono::milliseconds time, double share) {
    RunnerPulse pulse;
    for (const auto end = now_ + time; now_ < end;) {
      now_ += limits::pulse_interval;
      used_ += std::chrono::duration_cast<std::chrono::nanoseconds>(limits::pulse_interval * share);
      pulse = vitals_.beat(now_, used_);
    }
    return pulse;
  }

  StepClock::Now now_{1h};
  std::chrono::nanoseconds used_{0};
  StepClock clock_;
  Vitals vitals_{clock_, now_};
};

TEST_F(Vital, WhatIsUsualIsKnownAfterSomeStepsAndGrowsWithTheRows) {
  clock_.begin(1, now_);
  EXPECT_EQ(clock_.read(now_ + 1ms).usual, 0ms);
  clock_.end(now_ + 10ms);
  compute(1, 10ms, 8);
  clock_.begin(1, now_);
  EXPECT_EQ(clock_.read(now_ + 1ms).usual, 10ms);
  clock_.end(now_ + 10ms);
  clock_.begin(512, now_);
  EXPECT_EQ(clock_.read(now_ + 1ms).usual, 5120ms) << "a prompt that is read is no hang";
  clock_.end(now_ + 900ms);
  compute(512, 900ms, 8);
  clock_.begin(512, now_);
  EXPECT_EQ(clock_.read(now_ + 1ms).usual, 900ms) << "once it is known, what is known counts";
}

TEST_F(Vital, FewerRowsTakeAtMostWhatMoreTook) {
  compute(512, 900ms, 8);
  clock_.begin(1, now_);
  EXPECT_EQ(clock_.read(now_ + 1ms).usual, 900ms);
}

TEST_F(Vital, WaitingForOtherMachinesIsNoPartOfAStep) {
  compute(1, 10ms, 8);
  clock_.begin(1, now_);
  clock_.wait_begins(now_ + 5ms);
  EXPECT_EQ(clock_.read(now_ + 10s).step, 0s) << "whoever waits for a hung one is not hung";
  clock_.wait_ends(now_ + 10s);
  EXPECT_EQ(clock_.read(now_ + 10s + 1ms).step, 6ms);
  clock_.end(now_ + 10s + 1ms);
  clock_.begin(1, now_);
  EXPECT_EQ(clock_.read(now_ + 1ms).usual, 10ms);
}

TEST_F(Vital, AComputationIsNeverStillHoweverLong) {
  clock_.begin(1, now_);
  const auto pulse = pass(60s, 0.05);  // on a twentieth of a processor
  EXPECT_GE(pulse.step_seconds, 60);
  EXPECT_LT(pulse.still_seconds, 0.5);
}

TEST_F(Vital, AStepThatUsesNoProcessorIsStill) {
  clock_.begin(1, now_);
  pass(1s, 1);
  const auto pulse = pass(5s, 0.001);
  EXPECT_GE(pulse.step_seconds, 6);
  EXPECT_NEAR(pulse.still_seconds, 5, 0.3);
}

TEST_F(Vital, BetweenStepsNothingIsStill) {
  const auto pulse = pass(60s, 0);
  EXPECT_EQ(pulse.step_seconds, 0);
  EXPECT_EQ(pulse.still_seconds, 0);
}

TEST_F(Vital, WhereTheWholeProcessStoodStillTheStepIsNotToBlame) {
  clock_.begin(1, now_);
  pass(500ms, 1);
  now_ += 30s;  // stopped, or its machine asleep
  const auto pulse = vitals_.beat(now_, used_);
  EXPECT_LT(pulse.step_seconds, 1);
  EXPECT_LT(pulse.still_seconds, 0.5);
}

}  // namespace
}  // namespace flotilla
