// Claims about what the simulation found, each in the fewest steps that show it; and about the simulation's own parts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/clients.h"
#include "sim/machine.h"

namespace flotilla::sim {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// Two machines that can both hold the model, and have joined.
class TwoMachines : public testing::Test {
 protected:
  TwoMachines() {
    for (std::size_t machine = 0; machine < 2; ++machine) {
      fleet_.nodes.push_back(random_node_id([this] { return world_.random(); }));
      fleet_.memory_bytes.push_back(1ull << 30);
      fleet_.has_file.push_back(true);
    }
    fleet_.keepsakes.resize(2);
    fleet_.machines.resize(2);
    fleet_.start(0);
    wait(1ms);  // an incarnation is counted in microseconds
    fleet_.start(1);
    wait(3s);
  }
  ~TwoMachines() override {
    for (std::size_t machine = 0; machine < 2; ++machine) fleet_.end(machine, true);
    world_.forget_all();
  }

  void wait(Duration time) { world_.run_until(world_.now() + time); }
  bool has_joined(std::size_t machine, std::size_t other) const {
    const ClusterView view = fleet_.machines[machine]->view();
    const Member* member = view.find(fleet_.nodes[other]);
    return member && member->state == MemberState::joined;
  }
  std::string notes() const {
    std::string all;
    for (const std::string& note : world_.notes()) all += note + "\n";
    return all;
  }

  World world_{7, 2, false};
  Referee referee_{world_, Plant::none};
  Network network_{world_, 2};
  Fleet fleet_{.world = world_, .network = network_, .referee = referee_, .model = make_model()};
  Clients clients_{fleet_};
};

// A firewall that forgets a connection tells one end at once, and the other with its next packet or never.
TEST_F(TwoMachines, ALossIsOneForBothWhoeverNoticedIt) {
  for (const std::size_t noticed_by : {0, 1}) {
    ASSERT_TRUE(has_joined(0, 1) && has_joined(1, 0));
    network_.reset(0, 1, [&](Life life) { return life.machine == noticed_by ? Duration(10ms) : Duration(2500ms); });
    wait(2s);
    EXPECT_TRUE(has_joined(0, 1) && has_joined(1, 0)) << notes();
    EXPECT_THAT(notes(), HasSubstr(std::format("m{} has lost m{}: [cluster] it had lost this machine", 1 - noticed_by,
                                               noticed_by)));
    wait(2s);
  }
}

TEST_F(TwoMachines, ARequestIsAnsweredThoughOnlyTheOtherEndNoticedThatItsOrderWasLost) {
  for (const std::size_t noticed_by : {0, 1}) {
    network_.reset(0, 1, [&](Life life) { return life.machine == noticed_by ? Duration(10ms) : Duration(2500ms); });
    const std::size_t first = clients_.count();
    for (const std::size_t machine : {0, 1, 0, 1}) clients_.enter(machine, false);
    wait(25s);
    for (std::size_t client = first; client < clients_.count(); ++client)
      EXPECT_TRUE(clients_.is_answered(client)) << clients_.story(client) << "\n" << notes();
  }
  EXPECT_FALSE(referee_.breach()) << notes();
}

TEST_F(TwoMachines, ThoseCutOffForLongAreTogetherAgainWithinTenSeconds) {
  network_.cut(0, 1);
  network_.cut(1, 0);
  wait(61s);
  EXPECT_FALSE(has_joined(0, 1) || has_joined(1, 0));
  network_.heal(0, 1);
  network_.heal(1, 0);
  wait(10s);
  EXPECT_TRUE(has_joined(0, 1) && has_joined(1, 0));
}

// A frame that waits for a cut way arrives once, behind those before it.
TEST_F(TwoMachines, ACutWayHoldsUpAndLosesNothing) {
  std::shared_ptr<Connection> near, far;
  std::vector<std::uint64_t> heard;
  network_.listen(fleet_.machines[1]->life(), 99, [&](const std::shared_ptr<Connection>& connection) {
    far = connection;
    far->start([&](const Frame& frame) { heard.push_back(frame.header.step); }, [](const Error&) {});
  });
  network_.dial(fleet_.machines[0]->life(), 1, 99, 3s, [&](Result<std::shared_ptr<Connection>> connection) {
    near = *connection;
    near->start([](const Frame&) {}, [](const Error&) {});
  });
  wait(1s);
  ASSERT_TRUE(near && far);
  near->send(make_frame(FrameKind::step, {}, {}, 1));
  network_.cut(0, 1);
  near->send(make_frame(FrameKind::step, {}, {}, 2));
  wait(2s);
  near->send(make_frame(FrameKind::step, {}, {}, 3));
  EXPECT_THAT(heard, Not(Contains(2)));
  network_.heal(0, 1);
  near->send(make_frame(FrameKind::step, {}, {}, 4));
  wait(2s);
  EXPECT_EQ(heard, (std::vector<std::uint64_t>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace flotilla::sim
