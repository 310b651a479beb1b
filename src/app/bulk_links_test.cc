// Claims about bulk connections: who belongs no longer is cut off on those too, whether they are open or wait.
#include "app/bulk_links.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/node_identity.h"
#include "io/memory_link.h"
#include "trust/standing.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

class BulkLinksTest : public testing::Test {
 protected:
  BulkLinksTest() { EXPECT_TRUE(standing_->found_cluster(wall_time())); }

  BulkLinks::Asker asker() const {
    const auto admission = standing_->admit(asker_->public_key(), true, wall_time()).value();
    return {.node = asker_->node(), .shown = Certificate::from_der(admission.member).value()};
  }
  static bool is_open(Link& link) { return link.send(Frame{}).has_value(); }

  const std::shared_ptr<Standing> standing_ = Standing::in_memory(), asker_ = Standing::in_memory();
  BulkLinks links_{[this](const Certificate& shown) { return standing_->judge(shown, "it", wall_time()); }};
  std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> pair_ = make_memory_link_pair();
};

TEST_F(BulkLinksTest, WhoIsPutOutIsCutOffWithoutAnyOtherConnection) {
  ASSERT_TRUE(links_.wait());
  ASSERT_TRUE(links_.begin(*pair_.first, asker()));
  links_.judge();
  EXPECT_TRUE(is_open(*pair_.first));
  ASSERT_TRUE(standing_->revoke(asker_->device(), wall_time()));
  links_.judge();
  EXPECT_FALSE(is_open(*pair_.first));
  links_.end(*pair_.first);
}

TEST_F(BulkLinksTest, WhoIsPutOutWhileItWaitsForAThreadIsNotServed) {
  const auto waiting = asker();
  ASSERT_TRUE(links_.wait());
  ASSERT_TRUE(standing_->revoke(asker_->device(), wall_time()));
  const auto begun = links_.begin(*pair_.first, waiting);
  ASSERT_FALSE(begun);
  EXPECT_THAT(begun.error().message, HasSubstr("was put out of this cluster"));
}

TEST_F(BulkLinksTest, WhereNobodyShowsCertificatesNoneIsJudged) {
  ASSERT_TRUE(links_.wait());
  EXPECT_TRUE(links_.begin(*pair_.first, {.node = asker_->node(), .shown = {}}));
  links_.judge();
  EXPECT_TRUE(is_open(*pair_.first));
  links_.close(asker_->node(), {Code::closed, "lost"});
  EXPECT_FALSE(is_open(*pair_.first));
}

TEST_F(BulkLinksTest, OnlySoManyWaitAndNoneBeginsWhereThisMachineStops) {
  std::size_t waiting = 0;
  while (waiting < 1000 && links_.wait()) ++waiting;
  EXPECT_EQ(waiting, 64u);
  links_.close_for_good({Code::closed, "stopping"});
  EXPECT_EQ(links_.begin(*pair_.first, asker()).error().code, Code::closed);
  EXPECT_TRUE(links_.wait()) << "that one waits no longer";
}

}  // namespace
}  // namespace flotilla
