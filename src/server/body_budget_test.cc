// Claims about how much of all bodies lies in memory.
#include "server/body_budget.h"

#include <gtest/gtest.h>

namespace flotilla {
namespace {

TEST(BodyBudget, IsSharedByAllAndGivenBackWithTheBody) {
  const auto budget = std::make_shared<BodyBudget>(100);
  BodyBudget::Share first(budget);
  EXPECT_TRUE(first.grow_to(60));
  {
    BodyBudget::Share second(budget);
    EXPECT_FALSE(second.grow_to(50));
    EXPECT_EQ(budget->held_bytes(), 60u) << "what is not to be had is not held";
    EXPECT_TRUE(second.grow_to(40));
    EXPECT_TRUE(second.grow_to(10)) << "less than before";
    EXPECT_FALSE(first.grow_to(61));
  }
  EXPECT_TRUE(first.grow_to(100));
}

}  // namespace
}  // namespace flotilla
