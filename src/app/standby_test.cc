// Claims about second copies: who makes one, of what, and when.
#include "app/standby.h"

#include "app/standby_desk.h"
#include "app/test_desks.h"

namespace flotilla {
namespace {

using testing::IsEmpty;

// "tiny" lies whole on harbour, is loaded on harbour and island, and reef is there too.
class Standby : public Desks {
 protected:
  Standby() {
    add(reef_, "reef", MemberState::joined);
    Placement placement = placed_on(harbour_);
    placement.stages = {{.nodes = {harbour_}, .layers = {0, 1}}, {.nodes = {island_}, .layers = {1, 2}}};
    self().info.placements = {placement};
    file_ = self().info.models.at(0);
    island().info.standby_bytes = reef().info.standby_bytes = 1 << 30;
  }
  Member& self() { return view_.members[0]; }
  Member& island() { return view_.members[1]; }
  Member& reef() { return view_.members[2]; }
  bool is_wished_of(const NodeId& node) const { return standby_wish(view_, node).has_value(); }

  const NodeId reef_ = random_node_id();
  ModelInfo file_;
};

TEST_F(Standby, WhoComputesWithItCopiesWhatOneMachineAloneHas) {
  const auto wish = standby_wish(view_, island_);
  ASSERT_TRUE(wish);
  EXPECT_EQ(*wish, (StandbyWish{"tiny", file_.fingerprint, file_.file_bytes, harbour_}));
  EXPECT_FALSE(is_wished_of(harbour_));
  EXPECT_FALSE(is_wished_of(reef_)) << "one of them";
}

TEST_F(Standby, WithoutRoomThereAnotherDoes) {
  island().info.standby_bytes = file_.file_bytes - 1;
  EXPECT_FALSE(is_wished_of(island_));
  EXPECT_TRUE(is_wished_of(reef_));
  reef().info.standby_bytes = 0;
  EXPECT_FALSE(is_wished_of(reef_));
}

TEST_F(Standby, WhoHasBegunGoesOnAlsoWhereItsRoomShrinksMeanwhile) {
  reef().info.standbys = {{"tiny", file_.fingerprint, 5, 9}};
  reef().info.standby_bytes = 0;
  EXPECT_TRUE(is_wished_of(reef_));
  EXPECT_FALSE(is_wished_of(island_));
}

TEST_F(Standby, TwoDisksAreEnoughAndAMachineThatIsAwayIsNone) {
  reef().info.models = {file_};
  EXPECT_FALSE(is_wished_of(island_));
  reef().state = MemberState::seen;
  EXPECT_TRUE(is_wished_of(island_));
  reef().state = MemberState::joined;
  reef().info.models[0].complete = false;
  EXPECT_TRUE(is_wished_of(island_)) << "some layers are not the file";
}

TEST_F(Standby, OnlyWhatIsLoadedAndReadyIsCopied) {
  self().info.placements[0].state = PlacementState::loading;
  EXPECT_FALSE(is_wished_of(island_));
  self().info.placements.clear();
  EXPECT_FALSE(is_wished_of(island_));
}

TEST_F(Standby, ADeskWaitsUntilTheWishHasSettledAndPausesAfterAFailure) {
  // This machine has no file, and the one that has cannot be reached.
  island().info.models = {file_};
  island().info.models[0].fingerprint = std::string(64, 'a');
  self().info.models.clear();
  self().info.placements[0].fingerprint = std::string(64, 'a');
  self().info.standby_bytes = 1 << 30;
  island().host = "127.0.0.1";
  island().info.cluster_port = 1;
  reef().info.standby_bytes = 0;
  auto now = StandbyDesk::Clock::time_point{} + std::chrono::hours(1);
  StandbyDesk desk(*context_, std::uint64_t{1} << 30, [&] { return now; });
  const auto look = [&](std::chrono::seconds later) {
    now += later;
    desk.look();
  };
  look({});
  look(StandbyDesk::settle_time - std::chrono::seconds(1));
  EXPECT_THAT(desk.copies(), IsEmpty()) << "a load comes first";
  look(std::chrono::seconds(1));
  ASSERT_EQ(desk.copies().size(), 1u);
  EXPECT_EQ(desk.copies()[0].model, "tiny");
  turn();
  EXPECT_THAT(desk.copies(), IsEmpty()) << "nobody answers there";
  look(StandbyDesk::settle_time);
  look(StandbyDesk::settle_time);
  EXPECT_THAT(desk.copies(), IsEmpty()) << "not again at once";
  look(StandbyDesk::pause_after_failure);
  EXPECT_EQ(desk.copies().size(), 1u);
  turn();
}

TEST_F(Standby, RoomIsWhatWasGivenAndNeverMoreThanTheDiskHas) {
  EXPECT_EQ(StandbyDesk(*context_, 0).room_bytes(), 0u);
  EXPECT_EQ(StandbyDesk(*context_, 1 << 20).room_bytes(), std::uint64_t{1} << 20);
  EXPECT_LE(StandbyDesk(*context_, std::uint64_t{1} << 60).room_bytes(), store_->space_left());
  EXPECT_LE(StandbyDesk(*context_, std::nullopt).room_bytes(), store_->space_left() / 4);
}

}  // namespace
}  // namespace flotilla
