// Claims about tensor groups: sums are the same bits on every member, of any size; what does not fit is refused; nobody
// waits for a member that is gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <future>
#include <random>
#include <thread>

#include "io/memory_link.h"
#include "io/tcp_link.h"
#include "pipeline/group.h"
#include "pipeline/link_collective.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

PrepareStage plan_of(std::uint32_t member, std::uint32_t members, ActivationType type) {
  PrepareStage plan;
  plan.epoch = {.incarnation = 7, .counter = 1};
  plan.member = member;
  plan.members = members;
  plan.activation_type = type;
  return plan;
}

using Groups = std::vector<std::shared_ptr<Group>>;

// Over sockets, whose buffers end: what both sides send before either reads must fit them.
Groups make_groups(std::uint32_t members, ActivationType type = ActivationType::f32, int socket_bytes = 0) {
  Groups groups;
  for (std::uint32_t member = 0; member < members; ++member)
    groups.push_back(std::make_shared<Group>(plan_of(member, members, type)));
  for (std::uint32_t one = 0; one < members; ++one)
    for (std::uint32_t other = one + 1; other < members; ++other) {
      auto sockets = socket_pair().value();
      for (const int end : {sockets.first.get(), sockets.second.get()})
        if (socket_bytes > 0) setsockopt(end, SOL_SOCKET, SO_SNDBUF, &socket_bytes, sizeof socket_bytes);
      groups[one]->adopt(other, make_tcp_link(std::move(sockets.first)));
      groups[other]->adopt(one, make_tcp_link(std::move(sockets.second)));
    }
  return groups;
}

std::vector<Status> sum_all(const Groups& groups, std::vector<std::vector<float>>& values) {
  std::vector<std::future<Status>> sums;
  for (std::size_t member = 0; member < groups.size(); ++member)
    sums.push_back(std::async(std::launch::async, [&, member] {
      const auto collective = make_link_collective(groups[member]);
      collective->start(values[member]);
      return collective->wait();
    }));
  std::vector<Status> statuses;
  for (auto& sum : sums) statuses.push_back(sum.get());
  return statuses;
}

// What all send before anyone reads fits the buffers that a young connection has.
TEST(GroupSumsOverSmallSockets, NobodyWaitsForOneWhoWaits) {
  constexpr int young_connection_bytes = 64 << 10;
  const auto groups = make_groups(3, ActivationType::f32, young_connection_bytes);
  std::vector<std::vector<float>> values(3, std::vector<float>(200'000, 1.5f));
  for (const auto& status : sum_all(groups, values)) EXPECT_TRUE(status) << status.error().message;
  for (const auto& sum : values) EXPECT_EQ(sum, std::vector<float>(200'000, 4.5f));
}

class GroupSums : public testing::TestWithParam<std::pair<std::uint32_t, ActivationType>> {};
INSTANTIATE_TEST_SUITE_P(, GroupSums,
                         testing::Values(std::pair{2u, ActivationType::f32}, std::pair{3u, ActivationType::f32},
                                         std::pair{2u, ActivationType::bf16}, std::pair{4u, ActivationType::bf16}),
                         [](const auto& test) {
                           return (test.param.second == ActivationType::f32 ? "f32Of" : "bf16Of") +
                                  std::to_string(test.param.first);
                         });

TEST_P(GroupSums, AreTheSameBitsOnEveryMember) {
  const auto [members, type] = GetParam();
  const auto groups = make_groups(members, type);
  std::mt19937 random(5);
  std::uniform_real_distribution<float> any(-1, 1);
  for (const std::size_t count : {1u, 576u, 8192u, 8193u, 300'000u}) {
    std::vector<std::vector<float>> values(members, std::vector<float>(count));
    std::vector<double> expected(count);
    for (auto& of_member : values)
      for (std::size_t i = 0; i < count; ++i) expected[i] += of_member[i] = any(random);
    for (const Status& status : sum_all(groups, values)) ASSERT_TRUE(status) << status.error().message;
    const double bound = type == ActivationType::f32 ? 1e-6 : members / 256.0;
    for (std::size_t i = 0; i < count; ++i) ASSERT_NEAR(values[0][i], expected[i], bound);
    for (const auto& of_member : values)
      ASSERT_EQ(std::memcmp(of_member.data(), values[0].data(), count * sizeof(float)), 0) << count;
  }
}

// Small sums are exchanged by the caller, large ones by a thread; of two under way both by the same. The next begins
// while the second is still under way, as a step's graph has it.
TEST_P(GroupSums, TwoAreUnderWayAndEndInTheirOrder) {
  const auto [members, type] = GetParam();
  const auto groups = make_groups(members, type);
  const std::vector<std::size_t> sizes = {1, 576, 8192, 300'000, 16'384, 16'385, 20'001, 100, 300'000, 300'000, 4096};
  std::vector<std::future<std::vector<std::vector<float>>>> work;
  for (std::uint32_t member = 0; member < members; ++member)
    work.push_back(std::async(std::launch::async, [&, member] {
      const auto collective = make_link_collective(groups[member]);
      std::vector<std::vector<float>> sums;
      for (std::size_t i = 0; i < sizes.size(); ++i)
        sums.emplace_back(sizes[i], static_cast<float>((member + 1) * (i + 1)));  // exact in BF16
      collective->start(sums[0]);
      for (std::size_t i = 1; i < sums.size(); ++i) {
        collective->start(sums[i]);
        EXPECT_TRUE(collective->wait());
        if (i % 4 != 3) continue;  // and now and then none is left under way, and one is summed at once
        EXPECT_TRUE(collective->wait());
        EXPECT_TRUE(collective->sum(sums[++i]));
        collective->start(sums[++i]);
      }
      EXPECT_TRUE(collective->wait());
      return sums;
    }));
  for (auto& of_member : work) {
    const auto sums = of_member.get();
    for (std::size_t i = 0; i < sums.size(); ++i)
      EXPECT_EQ(sums[i], std::vector<float>(sizes[i], float(members * (members + 1) / 2 * (i + 1)))) << i;
  }
}

// Neither reads what it is sent while it sends: what does not fit the sockets' buffers must be taken in.
TEST(GroupSumsOverSmallSockets, TwoLargeSumsAreUnderWay) {
  constexpr int young_connection_bytes = 64 << 10;
  const auto groups = make_groups(3, ActivationType::f32, young_connection_bytes);
  std::vector<std::future<void>> work;
  for (const auto& group : groups)
    work.push_back(std::async(std::launch::async, [group] {
      const auto collective = make_link_collective(group);
      std::vector<float> one(400'000, 1.5f), other(400'000, 2);
      collective->start(one);
      collective->start(other);
      EXPECT_TRUE(collective->wait());
      EXPECT_EQ(one, std::vector<float>(400'000, 4.5f));
      EXPECT_TRUE(collective->wait());
      EXPECT_EQ(other, std::vector<float>(400'000, 6));
    }));
  for (auto& of_member : work) of_member.get();
}

TEST(Group, AMemberThatGoesEndsBothSumsUnderWay) {
  for (const std::size_t count : {4u, 300'000u}) {
    const auto groups = make_groups(2);
    auto waiting = std::async(std::launch::async, [&] {
      std::vector<float> one(count), other(count);
      const auto collective = make_link_collective(groups[0]);
      collective->start(one);
      collective->start(other);
      const auto first = collective->wait(), second = collective->wait();
      return std::pair(first, second);
    });
    EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
    groups[1]->send_lost({Code::no_memory, "no room"});
    ASSERT_EQ(waiting.wait_for(20s), std::future_status::ready);
    const auto [first, second] = waiting.get();
    EXPECT_EQ(first.error().message, "no room");
    EXPECT_EQ(second.error().message, "no room");
  }
}

TEST(Group, ACollectiveThatIsDroppedInTheMidstOfASumEnds) {
  const auto groups = make_groups(2);
  std::vector<float> values(300'000);
  auto dropped = std::async(std::launch::async, [&] {
    const auto collective = make_link_collective(groups[0]);
    collective->start(values);
  });
  ASSERT_EQ(dropped.wait_for(20s), std::future_status::ready);
}

TEST(Group, AMemberThatOffersAnotherNumberOfValuesIsRefused) {
  const auto groups = make_groups(2);
  std::vector<std::vector<float>> values = {std::vector<float>(8), std::vector<float>(9)};
  const auto statuses = sum_all(groups, values);
  ASSERT_FALSE(statuses[0]);
  EXPECT_EQ(statuses[0].error().code, Code::corrupt);
  EXPECT_THAT(statuses[0].error().message, HasSubstr("expected 8 summands of 4 bytes from member 1 but got 36 bytes"));
}

TEST(Group, WhatComputingHasNotComeToIsRefused) {
  const auto groups = make_groups(2);
  ASSERT_TRUE(groups[1]->send(0, FrameKind::logits_slice, {}));
  Frame frame;
  EXPECT_EQ(groups[0]->receive(1, FrameKind::partial_sum, frame).error().code, Code::corrupt);
}

TEST(Group, AMemberSaysWhyItGoesToThoseThatWaitForIt) {
  const auto groups = make_groups(3);
  auto waiting = std::async(std::launch::async, [&] {
    std::vector<float> values(4);
    const auto collective = make_link_collective(groups[0]);
    collective->start(values);
    return collective->wait();
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  groups[2]->send_lost({Code::no_memory, "no room"});
  groups[1]->send_lost({Code::no_memory, "no room"});
  ASSERT_EQ(waiting.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(waiting.get().error().message, "no room");
}

TEST(Group, ClosingEndsItsOwnWaitsAndThoseOfOthers) {
  const auto groups = make_groups(2);
  Frame frame;
  auto here = std::async(std::launch::async, [&] { return groups[0]->receive(1, FrameKind::partial_sum, frame); });
  groups[1]->close({Code::closed, "unloaded"});
  ASSERT_EQ(here.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(here.get().error().code, Code::closed);
}

TEST(Group, FramesOfAnotherEpochAreDropped) {
  auto [one, other] = make_memory_link_pair();
  Group group(plan_of(0, 2, ActivationType::f32));
  group.adopt(1, std::move(one));
  ASSERT_TRUE(other->send(make_frame(FrameKind::partial_sum, Bytes(4), {.incarnation = 6, .counter = 9})));
  ASSERT_TRUE(other->send(make_frame(FrameKind::partial_sum, Bytes(8), {.incarnation = 7, .counter = 1})));
  Frame frame;
  ASSERT_TRUE(group.receive(1, FrameKind::partial_sum, frame));
  EXPECT_EQ(frame.body.size(), 8u);
}

}  // namespace
}  // namespace flotilla
