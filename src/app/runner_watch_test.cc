// Claims about runners that live and do not move, with silence planted by hand.
#include "app/runner_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Watched : public testing::Test {
 protected:
  // Pulses and ticks for so long; empty where the runner is thought to be well all the time.
  std::string pass(std::chrono::milliseconds time, const std::function<std::optional<RunnerPulse>()>& pulse) {
    for (const auto end = now_ + time; now_ < end;) {
      now_ += limits::pulse_interval;
      if (const auto beat = pulse()) watch_.on_pulse(*beat, now_);
      if (const auto how = watch_.on_tick(now_, [this] { return starved_; })) return *how;
    }
    return "";
  }
  std::string work(std::chrono::milliseconds time) {
    return pass(time, [this] { return RunnerPulse{.steps = ++steps_, .step_seconds = 0.01, .usual_seconds = 0.02}; });
  }
  std::string rest(std::chrono::milliseconds time) {
    return pass(time, [this] { return RunnerPulse{.steps = steps_}; });
  }
  std::string say_nothing(std::chrono::milliseconds time) {
    return pass(time, [] { return std::nullopt; });
  }
  // In one step, as long as this goes on.
  std::string compute(std::chrono::milliseconds time, double usual, bool still) {
    const auto begun = now_;
    return pass(time, [&] {
      const double step = std::chrono::duration<double>(now_ - begun).count();
      return RunnerPulse{
          .steps = steps_, .step_seconds = step, .still_seconds = still ? step : 0, .usual_seconds = usual};
    });
  }

  RunnerWatch watch_;
  RunnerWatch::Instant now_{1h};
  std::uint64_t steps_ = 0;
  bool starved_ = false;
};

TEST_F(Watched, OneThatWorksAndFallsSilentHasFailedAfterTwoSeconds) {
  EXPECT_EQ(work(10s), "");
  const auto silent_from = now_;
  EXPECT_THAT(say_nothing(60s), HasSubstr("gave no sign of life for 2.0 s"));
  EXPECT_LE(now_ - silent_from, 2s + limits::pulse_interval);
}

TEST_F(Watched, OneThatRestsHasLonger) {
  EXPECT_EQ(work(1s), "");
  EXPECT_EQ(rest(10s), "");
  EXPECT_EQ(say_nothing(9s), "");
  EXPECT_THAT(say_nothing(2s), HasSubstr("for 10.0 s"));
}

TEST_F(Watched, OneThatRestsAndIsAskedOwesAnAnswer) {
  EXPECT_EQ(rest(10s), "");
  EXPECT_EQ(say_nothing(1s), "");
  watch_.on_request(now_);
  EXPECT_THAT(say_nothing(1s), HasSubstr("no sign of life"));
}

TEST_F(Watched, NobodyIsWatchedBeforeItsRingStands) { EXPECT_EQ(say_nothing(600s), ""); }

TEST_F(Watched, OneThatWouldGoOnIfItGotAProcessorIsGivenTime) {
  EXPECT_EQ(work(1s), "");
  starved_ = true;
  EXPECT_EQ(say_nothing(29s), "");
  EXPECT_THAT(say_nothing(2s), HasSubstr("no sign of life"));
}

TEST_F(Watched, WhereTheNodeItselfStoodStillTheRunnerIsNotToBlame) {
  EXPECT_EQ(work(1s), "");
  now_ += 60s;
  EXPECT_EQ(watch_.on_tick(now_, [] { return false; }), std::nullopt);
  EXPECT_EQ(say_nothing(1500ms), "") << "its pulses of that time may wait unread";
  EXPECT_THAT(say_nothing(1s), HasSubstr("no sign of life"));
}

TEST_F(Watched, ALongStepThatComputesIsNoHang) {
  EXPECT_EQ(work(1s), "");
  EXPECT_EQ(compute(600s, 0.02, false), "");
}

TEST_F(Watched, AStepThatDoesNotComputeIsOneWhenItTakesEightTimesAsLongAsItsLike) {
  EXPECT_EQ(work(1s), "");
  EXPECT_EQ(compute(7750ms, 1.0, true), "");
  EXPECT_THAT(compute(8500ms, 1.0, true), HasSubstr("at one step for 8.0 s"));
}

TEST_F(Watched, AndNeverInLessThanTwoSeconds) {
  EXPECT_EQ(work(1s), "");
  EXPECT_EQ(compute(1750ms, 0.001, true), "");
  EXPECT_THAT(compute(2500ms, 0.001, true), HasSubstr("a device may hang"));
}

TEST_F(Watched, AFirstStepMayTakeLong) {
  EXPECT_EQ(compute(29s, 0, true), "");
  EXPECT_THAT(compute(31s, 0, true), HasSubstr("where such steps take less"));
}

TEST_F(Watched, AStepThatWaitsForItsDiskIsGivenTime) {
  EXPECT_EQ(work(1s), "");
  starved_ = true;
  EXPECT_EQ(compute(29s, 0.02, true), "");
  EXPECT_NE(compute(31s, 0.02, true), "");
}

}  // namespace
}  // namespace flotilla
