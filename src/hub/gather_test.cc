// Claims about bringing a part's bytes together: what a neighbour that fails costs, and what the own disk.
#include "hub/gather.h"

#include <future>

#include "hub/hub_test_kit.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

// What is left of a connection whose peer fell asleep within a frame.
class DeadLink final : public Link {
 public:
  Status send(const FrameHeader&, std::span<const std::byte>) override { return fail(cause_); }
  Status receive(Frame&, std::chrono::nanoseconds) override { return fail(cause_); }
  void close(Error) override {}

 private:
  const Error cause_{Code::unavailable, "nothing moved"};
};

class GatherTest : public HubTest {
 protected:
  void SetUp() override {
    HubTest::SetUp();
    Connection to_owner(*owner_);
    model_ = fetch_header(*taker_, to_owner.link());
    order_ = {.part = taker_->part(model_.info.fingerprint), .wanted = stage_ranges(*model_.gguf, {0, 1}, false)};
    ASSERT_TRUE(order_.part);
  }

  Neighbour owner() {
    return {.name = "owner", .is_whole = true, .connect = [this]() -> Result<std::unique_ptr<Link>> {
              auto [ours, theirs] = make_memory_link_pair();
              peers_.emplace_back([this, theirs = std::move(theirs)] { (void)owner_->serve(*theirs); });
              return std::move(ours);
            }};
  }

  // Cancelled where it has not ended by itself after a while.
  Result<Gathered> gather_in_time() {
    std::atomic<bool> stop{false};
    std::jthread alarm([&](const std::stop_token& ended) {
      for (int i = 0; i < 600 && !ended.stop_requested(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
      stop = true;
    });
    return gather(order_, stop);
  }

  StoredModel model_;
  GatherOrder order_;
  std::vector<std::jthread> peers_;
};

TEST_F(GatherTest, ALinkThatHasDiedIsReplaced) {
  Neighbour neighbour = owner();
  neighbour.connect = [connect = neighbour.connect, is_first = true]() mutable -> Result<std::unique_ptr<Link>> {
    if (std::exchange(is_first, false)) return std::make_unique<DeadLink>();
    return connect();
  };
  order_.neighbours = {neighbour};
  const auto gathered = gather_in_time();
  ASSERT_TRUE(gathered) << gathered.error().message;
  EXPECT_EQ(gathered->neighbour_bytes, bytes_of(order_.wanted));
}

TEST_F(GatherTest, AnErrorOfTheOwnDiskEndsIt) {
  Neighbour neighbour = owner();
  neighbour.connect = [connect = neighbour.connect, folder = order_.part->folder()] {
    std::filesystem::remove_all(folder);  // `flotilla rm` of another process, while it is gathered
    return connect();
  };
  order_.neighbours = {neighbour};
  const auto gathered = gather_in_time();
  ASSERT_FALSE(gathered);
  EXPECT_EQ(gathered.error().code, Code::not_found);
  EXPECT_THAT(gathered.error().message, HasSubstr(order_.part->folder().string()));
}

TEST_F(GatherTest, WhatIsWholeWaitsForNoPullOfTheSame) {
  order_.neighbours = {owner()};
  order_.wanted = Store::whole(model_);
  ASSERT_TRUE(gather_in_time());
  const HubFile file{.path = "tiny.gguf", .bytes = model_.info.file_bytes, .sha256 = std::string(64, 'a')};
  ASSERT_TRUE(order_.part->set_origin({.repository = "org/one", .commit = std::string(40, 'a'), .files = {file}}));
  const HubCache cache(folder_ / "cache");
  ASSERT_TRUE(cache.prepare("org/one"));
  {
    const auto pulling = cache.try_lock("org/one", file.sha256);
    ASSERT_TRUE(pulling && *pulling);
    std::atomic<bool> stop{false};
    auto published = std::async(std::launch::async, [&] { return publish_whole(*taker_, *order_.part, cache, stop); });
    EXPECT_EQ(published.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    stop = true;
  }
  EXPECT_TRUE(taker_->part(model_.info.fingerprint));
  EXPECT_TRUE(publish_whole(*taker_, *order_.part, cache, never_));
  EXPECT_TRUE(std::filesystem::exists(cache.blob("org/one", file.sha256)));
}

}  // namespace
}  // namespace flotilla
