// What the hub's tests share: folders that vanish, a link that counts and breaks, a peer that serves.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "base/limits.h"
#include "hub/part.h"
#include "hub/store.h"
#include "io/memory_link.h"

namespace flotilla {

constexpr const char* models_folder = FLOTILLA_SOURCE_DIR "/.cache/models";
inline const std::string smollm2 = "SmolLM2-135M-Instruct.Q4_1";

// Counts the bytes of files that come in, and closes once more than `bytes_max` of them came.
class CountingLink final : public Link {
 public:
  explicit CountingLink(std::unique_ptr<Link> inner) : inner_(std::move(inner)) {}
  std::uint64_t bytes = 0, bytes_max = UINT64_MAX;

  Status send(const FrameHeader& header, std::span<const std::byte> body) override {
    return inner_->send(header, body);
  }
  Status receive(Frame& frame, std::chrono::nanoseconds patience) override {
    FLOTILLA_TRY_STATUS(inner_->receive(frame, patience));
    if (frame.header.kind != FrameKind::range_data) return {};
    bytes += frame.body.size();
    if (bytes <= bytes_max) return {};
    inner_->close({Code::closed, "the cable was pulled"});
    return fail(Code::closed, "the cable was pulled");
  }
  void close(Error cause) override { inner_->close(std::move(cause)); }

 private:
  std::unique_ptr<Link> inner_;
};

// One bulk connection: our end, and a thread at the other.
class Connection {
 public:
  explicit Connection(std::function<void(Link&)> peer) {
    auto [ours, theirs] = make_memory_link_pair();
    link_ = std::make_unique<CountingLink>(std::move(ours));
    thread_ = std::jthread([peer = std::move(peer), theirs = std::move(theirs)] { peer(*theirs); });
  }
  explicit Connection(Store& store) : Connection([&store](Link& link) { (void)store.serve(link); }) {}
  ~Connection() { link_->close({Code::closed, "the test is over"}); }
  CountingLink& link() { return *link_; }

 private:
  std::unique_ptr<CountingLink> link_;
  std::jthread thread_;
};

class HubTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() /
        std::format("flotilla-hub-{}-{}", ::getpid(), testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_ / "none");
    owner_ = open_store("owner", {models_folder});
    taker_ = open_store("taker", {folder_ / "none"});
    ASSERT_TRUE(owner_ && taker_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Store> open_store(const std::string& home, std::vector<std::filesystem::path> folders) {
    auto store = Store::open({.home = folder_ / home, .folders = std::move(folders)});
    EXPECT_TRUE(store) << store.error().message;
    return store ? *std::move(store) : nullptr;
  }

  StoredModel fetch_header(Store& store, Link& link) {
    auto model = store.fetch_header(link, smollm2, "");
    EXPECT_TRUE(model) << model.error().message;
    return model ? *std::move(model) : StoredModel{};
  }
  Result<StoredModel> fetch(Store& store, Link& link, const StoredModel& model, const std::vector<FileRange>& ranges,
                            const FetchProgressFn& progress = {}) {
    return store.fetch_ranges(link, model, ranges, progress, never_);
  }

  // Whether the taken file holds the owner's bytes in these ranges.
  bool same_bytes(const StoredModel& taken, const std::vector<FileRange>& ranges) {
    const auto truth = owner_->find(smollm2, "");
    for (const FileRange& range : ranges) {
      const auto a = hash_range(taken.files[range.file_index], range.offset, range.bytes);
      const auto b = hash_range(truth->files[range.file_index], range.offset, range.bytes);
      if (!a || !b || *a != *b) return false;
    }
    return true;
  }
  static std::uint64_t bytes_of(const std::vector<FileRange>& ranges) {
    std::uint64_t bytes = 0;
    for (const FileRange& range : ranges) bytes += range.bytes;
    return bytes;
  }
  static std::uint64_t header_bytes_of(const StoredModel& model) { return model.gguf->parts()[0].header.size(); }
  void write(const std::filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
  }

  std::filesystem::path folder_;
  std::unique_ptr<Store> owner_, taker_;
  const std::atomic<bool> never_{false};
};

}  // namespace flotilla
