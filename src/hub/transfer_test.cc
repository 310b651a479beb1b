#include "hub/transfer.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/hex.h"
#include "hub/hub_test_kit.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

TEST_F(HubTest, ALinkCutMidwayKeepsWhatWasVerified) {
  std::vector<FileRange> ranges;
  StoredModel model;
  {
    Connection connection(*owner_);
    model = fetch_header(*taker_, connection.link());
    ranges = stage_ranges(*model.gguf, {15, 30}, false);
    ASSERT_EQ(ranges.size(), 2u);
    connection.link().bytes_max = connection.link().bytes + ranges[0].bytes + 3 * limits::bulk_chunk_bytes;
    const auto cut = fetch(*taker_, connection.link(), model, ranges);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, Code::closed);
  }
  EXPECT_EQ(taker_->missing(model.info.fingerprint, ranges), std::vector{ranges[1]});
  Connection again(*owner_);
  ASSERT_TRUE(fetch(*taker_, again.link(), model, ranges));
  EXPECT_EQ(again.link().bytes, ranges[1].bytes);
  EXPECT_TRUE(same_bytes(model, ranges));
}

// Sends what `lie` makes of the truth in answer to one range_request.
void lying_peer(Link& link, const std::function<void(Bytes& body, RangeEnd& end)>& lie) {
  Frame frame;
  while (link.receive(frame, for_ever)) {
    const auto request = decode_range_request(frame.body);
    if (!request) return;
    Bytes body(request->bytes);
    RangeEnd end{.ok = true, .bytes = body.size(), .sha256 = to_hex(sha256(body)), .code = {}, .message = {}};
    lie(body, end);
    for (std::size_t at = 0; at < body.size(); at += limits::bulk_chunk_bytes) {
      const auto chunk = std::span(body).subspan(at, std::min(limits::bulk_chunk_bytes, body.size() - at));
      if (!link.send(FrameHeader{.kind = FrameKind::range_data}, chunk)) return;
    }
    if (!link.send(make_frame(FrameKind::range_end, encode(end)))) return;
  }
}

TEST_F(HubTest, ALyingPeersBytesDoNotCount) {
  const StoredModel model = [&] {
    Connection connection(*owner_);
    return fetch_header(*taker_, connection.link());
  }();
  const auto ranges = stage_ranges(*model.gguf, {7, 8}, false);
  const std::vector<std::function<void(Bytes&, RangeEnd&)>> lies = {
      [](Bytes& body, RangeEnd&) { body[1000] ^= std::byte{1}; },
      [](Bytes&, RangeEnd& end) { end.sha256 = std::string(64, '0'); },
      [](Bytes&, RangeEnd& end) { end.sha256 = "../../etc/passwd"; },
      [](Bytes&, RangeEnd& end) { end.bytes += 1; },
      [](Bytes& body, RangeEnd& end) {
        body.resize(body.size() - 1);
        end.bytes = body.size();
        end.sha256 = to_hex(sha256(body));
      },
      [](Bytes& body, RangeEnd&) { body.resize(body.size() + 1); },
  };
  for (const auto& lie : lies) {
    Connection connection([&](Link& link) { lying_peer(link, lie); });
    const auto taken = fetch(*taker_, connection.link(), model, ranges);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Code::corrupt) << taken.error().message;
    EXPECT_EQ(taker_->missing(model.info.fingerprint, ranges), ranges);
  }
  taker_ = open_store("taker", {folder_ / "none"});
  EXPECT_EQ(taker_->missing(model.info.fingerprint, ranges), ranges);
  Connection honest(*owner_);
  ASSERT_TRUE(fetch(*taker_, honest.link(), model, ranges));
  EXPECT_TRUE(same_bytes(model, ranges));
}

TEST_F(HubTest, AHeaderOfAnotherModelIsNotTaken) {
  Connection connection(*owner_);
  const auto wrong = taker_->fetch_header(connection.link(), smollm2, std::string(64, 'a'));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::not_found);
  EXPECT_TRUE(taker_->list().empty());
}

TEST_F(HubTest, APeersRequestsStayWithinTheModel) {
  Connection connection(*owner_);
  Link& link = connection.link();
  const auto truth = owner_->find(smollm2, "");
  const std::string& fingerprint = truth->info.fingerprint;
  const std::uint64_t file_bytes = truth->info.file_bytes;
  const auto answer = [&](const Frame& request) {
    EXPECT_TRUE(link.send(request));
    Frame frame;
    EXPECT_TRUE(link.receive(frame, for_ever));
    EXPECT_EQ(frame.header.kind, FrameKind::range_end) << "no byte may come before the refusal";
    const auto end = decode_range_end(frame.body);
    EXPECT_TRUE(end);
    return end ? *end : RangeEnd{};
  };
  const auto refused_range = [&](const RangeRequest& request) {
    const RangeEnd end = answer(make_frame(FrameKind::range_request, encode(request)));
    EXPECT_FALSE(end.ok);
    EXPECT_THAT(end.message, testing::Not(HasSubstr(models_folder)));
    return end.code;
  };
  EXPECT_EQ(refused_range({"../../etc/passwd", "", 0, 0, 10}), "not_found");
  EXPECT_EQ(refused_range({"../../etc/passwd", "../../etc/passwd", 0, 0, 10}), "corrupt");
  EXPECT_EQ(refused_range({smollm2, std::string(64, '0'), 0, 0, 10}), "not_found");
  EXPECT_EQ(refused_range({smollm2, fingerprint, 1, 0, 10}), "invalid_argument");
  EXPECT_EQ(refused_range({smollm2, fingerprint, 0, file_bytes, 1}), "invalid_argument");
  EXPECT_EQ(refused_range({smollm2, fingerprint, 0, file_bytes - 5, 10}), "invalid_argument");
  EXPECT_EQ(refused_range({smollm2, fingerprint, 0, ~std::uint64_t{0} - 4, 10}), "corrupt");
  EXPECT_EQ(refused_range({smollm2, fingerprint, 0, 0, transfer_piece_bytes_max + 1}), "invalid_argument");
  EXPECT_EQ(refused_range({smollm2, fingerprint, 0, 0, 0}), "invalid_argument");
  const HeaderRequest header{.model = "../" + smollm2, .fingerprint = "", .file_index = 0};
  EXPECT_EQ(answer(make_frame(FrameKind::header_request, encode(header))).code, "not_found");

  EXPECT_TRUE(taker_->fetch_header(link, smollm2, fingerprint)) << "the connection has lived through all of it";
}

TEST_F(HubTest, AForeignFrameEndsTheConnection) {
  auto [ours, theirs] = make_memory_link_pair();
  ASSERT_TRUE(ours->send(make_frame(FrameKind::ping, {})));
  EXPECT_EQ(owner_->serve(*theirs).error().code, Code::corrupt);
  Frame frame;
  EXPECT_EQ(ours->receive(frame, for_ever).error().code, Code::closed);
}

TEST_F(HubTest, APartIsGivenOnAsFarAsItWasVerified) {
  Connection to_owner(*owner_);
  const StoredModel model = fetch_header(*taker_, to_owner.link());
  const auto held = stage_ranges(*model.gguf, {20, 22}, false);
  ASSERT_TRUE(fetch(*taker_, to_owner.link(), model, held));
  const auto third = open_store("third", {folder_ / "none"});
  Connection to_taker(*taker_);
  const StoredModel copy = fetch_header(*third, to_taker.link());
  ASSERT_TRUE(fetch(*third, to_taker.link(), copy, held));
  EXPECT_TRUE(same_bytes(copy, held));
  const auto not_held = fetch(*third, to_taker.link(), copy, stage_ranges(*model.gguf, {21, 23}, false));
  ASSERT_FALSE(not_held);
  EXPECT_EQ(not_held.error().code, Code::not_found);
}

TEST_F(HubTest, ACopyStopsWhenNoLongerWanted) {
  Connection connection(*owner_);
  const StoredModel model = fetch_header(*taker_, connection.link());
  std::atomic<bool> stop{false};
  const auto stopped = taker_->fetch_ranges(
      connection.link(), model, stage_ranges(*model.gguf, {15, 30}, false),
      [&](std::uint64_t, std::uint64_t) { stop = true; }, stop);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::cancelled);
}

TEST_F(HubTest, AFileSizeLimitIsReportedAsAFullDisk) {
  Connection connection(*owner_);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 1u << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto model = taker_->fetch_header(connection.link(), smollm2, "");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, Code::no_space);
  EXPECT_TRUE(taker_->list().empty());
}

// A disk of its own, of 16 MiB.
class FullDisk : public HubTest {
 protected:
  void SetUp() override {
    HubTest::SetUp();
    disk_ = folder_ / "disk";
    std::filesystem::create_directories(disk_);
    if (::mount("tmpfs", disk_.c_str(), "tmpfs", 0, "size=16m") != 0)
      GTEST_SKIP() << "mounting a small disk needs root";
    mounted_ = true;
    taker_ = open_store("disk/home", {folder_ / "none"});
  }
  void TearDown() override {
    taker_.reset();
    if (mounted_) ::umount(disk_.c_str());
    HubTest::TearDown();
  }
  std::filesystem::path disk_;
  bool mounted_ = false;
};

TEST_F(FullDisk, IsForeseenAndSaysHowMuchIsMissingWhere) {
  Connection connection(*owner_);
  const StoredModel model = fetch_header(*taker_, connection.link());
  const auto few = stage_ranges(*model.gguf, {20, 22}, false), many = stage_ranges(*model.gguf, {15, 30}, false);
  ASSERT_TRUE(fetch(*taker_, connection.link(), model, few));
  const std::uint64_t received = connection.link().bytes;
  const auto full = fetch(*taker_, connection.link(), model, many);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::no_space);
  EXPECT_THAT(full.error().message, HasSubstr("MiB are missing"));
  EXPECT_THAT(full.error().message, HasSubstr(disk_.string()));
  EXPECT_EQ(connection.link().bytes, received) << "not a byte was asked for in vain";
  EXPECT_TRUE(taker_->missing(model.info.fingerprint, few).empty());
}

TEST_F(FullDisk, InTheMiddleOfACopyKeepsWhatWasVerified) {
  Connection connection(*owner_);
  const StoredModel model = fetch_header(*taker_, connection.link());
  const auto few = stage_ranges(*model.gguf, {20, 22}, false), more = stage_ranges(*model.gguf, {23, 26}, false);
  ASSERT_TRUE(fetch(*taker_, connection.link(), model, few));
  bool filled = false;
  const auto full = fetch(*taker_, connection.link(), model, more, [&](std::uint64_t, std::uint64_t) {
    if (!std::exchange(filled, true)) write(disk_ / "filler", std::string(16u << 20, 'x'));
  });
  ASSERT_TRUE(filled);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::no_space) << full.error().message;
  EXPECT_TRUE(taker_->missing(model.info.fingerprint, few).empty());
  EXPECT_EQ(taker_->missing(model.info.fingerprint, more), more);
  EXPECT_TRUE(same_bytes(model, few));
  std::filesystem::remove(disk_ / "filler");
  Connection again(*owner_);
  EXPECT_TRUE(fetch(*taker_, again.link(), model, more));
  EXPECT_TRUE(same_bytes(model, more));
}

}  // namespace
}  // namespace flotilla
