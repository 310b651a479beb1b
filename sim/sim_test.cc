// Claims about the simulated cluster: it keeps its word for a thousand seeds, the same seed is the same run, and bugs
// put into it are found.
#include <gtest/gtest.h>

#include "base/log.h"
#include "sim/run.h"

namespace flotilla::sim {
namespace {

constexpr std::uint64_t seeds = 1000;

class Simulation : public testing::Test {
 protected:
  static void SetUpTestSuite() { start_log({.level = LogLevel::error, .name = "sim"}); }
};

// By which invariant the first of the seeds that finds it does so; empty where none does.
std::string found_by(Plant plant) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    if (const Outcome outcome = run({.seed = seed, .plant = plant}); outcome.breach) return outcome.breach->invariant;
  return "";
}

TEST_F(Simulation, AThousandSeedsKeepTheirWord) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const RunOptions options{.seed = seed};
    const Outcome outcome = run(options);
    ASSERT_FALSE(outcome.breach) << describe(options, outcome);
  }
}

// Found by longer runs than the suite's.
TEST_F(Simulation, SeedsThatOnceBrokeItKeepTheirWord) {
  // Three changes of connection in a second, and the news of the last one gone down with the second.
  EXPECT_FALSE(run({.seed = 72000}).breach);
}

TEST_F(Simulation, TheSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Outcome once = run({.seed = seed}), again = run({.seed = seed});
    EXPECT_EQ(once.digest, again.digest) << "seed " << seed;
    EXPECT_NE(once.digest, run({.seed = seed + 1}).digest);
  }
}

TEST_F(Simulation, TwoHeadsInOneEpochAreFound) { EXPECT_EQ(found_by(Plant::two_heads), one_writer); }
TEST_F(Simulation, AnOldEpochsTokenIsFound) { EXPECT_EQ(found_by(Plant::old_epoch), one_writer); }
TEST_F(Simulation, AForgottenMemberIsFound) { EXPECT_EQ(found_by(Plant::forgotten_member), heals); }
TEST_F(Simulation, ADoubledTokenIsFound) { EXPECT_EQ(found_by(Plant::doubled_token), tokens_once); }

}  // namespace
}  // namespace flotilla::sim
