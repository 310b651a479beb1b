// Claims about what shards share: their sums are the same bits everywhere, and no wait outlives the group.
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <random>
#include <thread>
#include <vector>

#include "engine/memory_collective.h"
#include "engine/shard_team.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

TEST(MemoryCollective, EveryShardGetsTheSumInTheSameBits) {
  constexpr std::uint32_t shards = 3;
  for (const std::size_t count : {1u, 2u, 3u, 511u, 2048u, 70'001u}) {
    auto ends = make_memory_collective(shards);
    std::vector<std::vector<float>> values(shards, std::vector<float>(count));
    ShardTeam team(shards);
    for (int round = 0; round < 20; ++round) {
      std::vector<double> expected(count);
      std::mt19937 random(round);
      for (auto& of_shard : values)
        for (std::size_t i = 0; i < count; ++i)
          expected[i] += of_shard[i] = std::uniform_real_distribution<float>(-1, 1)(random);
      team.run([&](std::uint32_t i) {
        ends[i]->start(values[i]);
        ASSERT_TRUE(ends[i]->wait());
      });
      for (std::size_t i = 0; i < count; ++i) ASSERT_NEAR(values[0][i], expected[i], 1e-6);
      for (const auto& of_shard : values)
        ASSERT_EQ(std::memcmp(of_shard.data(), values[0].data(), count * sizeof(float)), 0);
    }
  }
}

// Two processes of two shards each, as this room sees them: the outer group sums what the inner ones have summed.
TEST(MemoryCollective, SumsWithShardsElsewhere) {
  constexpr std::uint32_t machines = 2, shards = 2;
  auto outer = make_memory_collective(machines);
  std::vector<std::vector<std::unique_ptr<Collective>>> inner;
  for (auto& others : outer) inner.push_back(make_memory_collective(shards, std::move(others)));
  for (const std::size_t count : {1u, 2048u, 70'001u}) {
    std::vector<std::vector<float>> values;
    for (float shard = 0; shard < machines * shards; ++shard) values.emplace_back(count, shard + 1);
    ShardTeam team(machines * shards);
    for (int round = 0; round < 20; ++round) {
      for (std::size_t shard = 0; shard < values.size(); ++shard) values[shard].assign(count, float(shard + 1));
      team.run([&](std::uint32_t i) {
        Collective& own = *inner[i / shards][i % shards];
        own.start(values[i]);
        ASSERT_TRUE(own.wait());
      });
      for (const auto& of_shard : values) ASSERT_EQ(of_shard, std::vector<float>(count, 10));
    }
  }
}

// Each round's two sums are begun before either is awaited, and the next begins while the second is still under way.
void sum_two_at_once(Collective& own, float summand, std::size_t count, float shards_sum) {
  std::vector<float> one(count), other(count + 3);
  const auto offer = [&](std::vector<float>& values, float scale) {
    values.assign(values.size(), scale * summand);
    own.start(values);
  };
  const auto expect = [&](const std::vector<float>& values, float scale) {
    ASSERT_TRUE(own.wait());
    ASSERT_EQ(values, std::vector<float>(values.size(), scale * shards_sum));
  };
  offer(one, 1);
  for (float round = 1; round <= 20; ++round) {
    offer(other, -round);
    expect(one, round);
    if (round < 20) offer(one, round + 1);
    expect(other, -round);
  }
}

TEST(MemoryCollective, TwoSumsAreUnderWayAndEndInTheirOrder) {
  constexpr std::uint32_t shards = 3;
  for (const std::size_t count : {1u, 2048u, 70'001u}) {
    auto ends = make_memory_collective(shards);
    ShardTeam team(shards);
    team.run([&](std::uint32_t i) { sum_two_at_once(*ends[i], float(i + 1), count, 6); });
  }
}

TEST(MemoryCollective, TwoSumsAreUnderWayWithShardsElsewhereToo) {
  constexpr std::uint32_t machines = 2, shards = 2;
  auto outer = make_memory_collective(machines);
  std::vector<std::vector<std::unique_ptr<Collective>>> inner;
  for (auto& others : outer) inner.push_back(make_memory_collective(shards, std::move(others)));
  for (const std::size_t count : {1u, 2048u, 70'001u}) {
    ShardTeam team(machines * shards);
    team.run([&](std::uint32_t i) { sum_two_at_once(*inner[i / shards][i % shards], float(i + 1), count, 10); });
  }
}

TEST(MemoryCollective, AShardThatGoesEndsBothSumsUnderWay) {
  auto outer = make_memory_collective(2);
  auto ends = make_memory_collective(2, std::move(outer[0]));
  std::vector<std::vector<float>> values(4, std::vector<float>(8));
  const auto sum_both = [&](std::uint32_t shard) {
    ends[shard]->start(values[shard]);
    ends[shard]->start(values[shard + 2]);
    const auto first = ends[shard]->wait(), second = ends[shard]->wait();
    return std::pair(first, second);
  };
  auto one = std::async(std::launch::async, sum_both, 0), other = std::async(std::launch::async, sum_both, 1);
  EXPECT_EQ(one.wait_for(50ms), std::future_status::timeout);
  outer[1]->close({Code::no_memory, "no room"});
  for (auto* waiting : {&one, &other}) {
    ASSERT_EQ(waiting->wait_for(20s), std::future_status::ready);
    const auto [first, second] = waiting->get();
    EXPECT_EQ(first.error().message, "no room");
    EXPECT_EQ(second.error().message, "no room");
  }
}

TEST(MemoryCollective, AShardThatGoesEndsTheOthersWaits) {
  auto ends = make_memory_collective(2);
  auto waiting = std::async(std::launch::async, [&] {
    std::vector<float> values(8);
    ends[0]->start(values);
    return ends[0]->wait();
  });
  EXPECT_EQ(waiting.wait_for(50ms), std::future_status::timeout);
  ends[1]->close({Code::no_memory, "no room"});
  ASSERT_EQ(waiting.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(waiting.get().error().message, "no room");
}

TEST(ShardTeam, EachShardKeepsItsThread) {
  ShardTeam team(3);
  std::vector<std::thread::id> first(3), again(3);
  team.run([&](std::uint32_t shard) { first[shard] = std::this_thread::get_id(); });
  for (int i = 0; i < 100; ++i) team.run([&](std::uint32_t shard) { again[shard] = std::this_thread::get_id(); });
  EXPECT_EQ(first, again);
  EXPECT_EQ(first[0], std::this_thread::get_id());
  EXPECT_NE(first[1], first[2]);
}

}  // namespace
}  // namespace flotilla
