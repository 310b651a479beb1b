// Claims about when those who are turned away are told to come back.
#include "server/return_turns.h"

#include <gtest/gtest.h>

namespace flotilla {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ReturnTurnsTest : public testing::Test {
 protected:
  void end_answers(int count, milliseconds apart) {
    for (int i = 0; i < count; ++i) turns_.freed(1, now_ += apart);
  }
  ReturnTurns turns_;
  ReturnTurns::Clock::time_point now_ = ReturnTurns::Clock::now();
};

TEST_F(ReturnTurnsTest, OneAloneComesBackSoon) { EXPECT_EQ(turns_.next(now_), seconds(1)); }

TEST_F(ReturnTurnsTest, ACrowdIsSpreadAsAnswersEnd) {
  end_answers(2000, milliseconds(10));  // a hundred a second
  int within_two = 0, within_six = 0;
  for (int i = 0; i < 400; ++i) {
    const auto wait = turns_.next(now_);
    within_two += wait <= seconds(2);
    within_six += wait <= seconds(6);
  }
  EXPECT_NEAR(within_two, 100, 5);
  EXPECT_EQ(within_six, 400);
}

TEST_F(ReturnTurnsTest, TurnsThatHavePassedAreForgotten) {
  end_answers(2000, milliseconds(10));
  for (int i = 0; i < 400; ++i) turns_.next(now_);
  EXPECT_GT(turns_.next(now_), seconds(4));
  EXPECT_EQ(turns_.next(now_ + seconds(20)), seconds(1));
}

TEST_F(ReturnTurnsTest, NobodyWaitsForEver) {
  for (int i = 0; i < 1000; ++i) EXPECT_LE(turns_.next(now_), seconds(30));
  EXPECT_EQ(turns_.next(now_), seconds(30)) << "nothing has ended yet";
}

}  // namespace
}  // namespace flotilla
