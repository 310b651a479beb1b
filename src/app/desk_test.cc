// Claims about the desks, each alone: what it sends is caught, what the cluster looks like is told by the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "app/fleet.h"
#include "app/load_desk.h"
#include "app/node.h"
#include "app/request_desk.h"
#include "app/stage_host.h"
#include "model/test_gguf.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// This node, called "harbour", with the file of a model called "tiny", and "island" beside it.
class Desks : public testing::Test {
 protected:
  Desks() {
    std::string pattern = (fs::temp_directory_path() / "flotilla-desk-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directories(folder_ / "models");
    const TestGguf gguf = TinyModel().build();
    Bytes file = gguf.header();
    file.resize(gguf.file_bytes());
    std::ofstream(folder_ / "models" / "tiny.gguf", std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    store_ = Store::open({.home = folder_, .folders = {folder_ / "models"}}).value();
    context_.emplace(loop_, *store_, HandshakeIdentity{.node = harbour_, .name = "harbour"});
    context_->send = [this](const NodeId& to, const Frame& frame) {
      if (to == unreachable_) return false;
      sent_.emplace_back(to, frame);
      return true;
    };
    context_->offer = [this](const NodeId& to, const Frame& frame) -> Status {
      if (to == crowded_) return fail(Code::busy, "[test] too much waits");
      sent_.emplace_back(to, frame);
      return {};
    };
    context_->changed = [this] { ++changes_; };
    context_->view = [this] { return view_; };
    add(harbour_, "harbour", MemberState::self);
    add(island_, "island", MemberState::joined);
    view_.members[0].info.models = {store_->list().at(0).info};
  }
  ~Desks() override {
    context_->copies.join();
    fs::remove_all(folder_);
  }

  void add(const NodeId& id, const std::string& name, MemberState state) {
    Member member{.state = state};
    member.info.id = id;
    member.info.name = name;
    member.info.memory_bytes = member.info.memory_free_bytes = 8ull << 30;
    view_.members.push_back(member);
  }
  Placement placed_on(const NodeId& head, PlacementState state = PlacementState::ready) {
    return {.id = {7},
            .model = "tiny",
            .fingerprint = store_->list().at(0).info.fingerprint,
            .state = state,
            .stages = {{.nodes = {head}, .layers = {0, 2}}},
            .context_tokens = 256,
            .sequences = 4};
  }
  std::vector<FrameKind> kinds_sent() const {
    std::vector<FrameKind> kinds;
    for (const auto& [to, frame] : sent_) kinds.push_back(frame.header.kind);
    return kinds;
  }
  void turn() {
    context_->copies.wait();
    loop_.restart();
    loop_.poll();
  }

  const NodeId harbour_ = random_node_id(), island_ = random_node_id();
  fs::path folder_;
  boost::asio::io_context loop_;
  std::unique_ptr<Store> store_;
  std::optional<NodeContext> context_;
  ClusterView view_;
  NodeId unreachable_, crowded_;
  std::vector<std::pair<NodeId, Frame>> sent_;
  int changes_ = 0;
};

// --- LoadDesk ---

TEST_F(Desks, ALoadWhoseHeadHasLeftFailsAtOnce) {
  HeaderDesk headers(*context_);
  LoadDesk loads(*context_, headers);
  view_.members[1].info.placements = {placed_on(island_, PlacementState::loading)};
  unreachable_ = island_;
  std::optional<Result<Placement>> loaded, unloaded;
  loads.load({.model = "tiny"}, nullptr, [&](Result<Placement> result) { loaded = std::move(result); });
  ASSERT_TRUE(loaded && !*loaded);
  EXPECT_EQ(loaded->error().code, Code::unavailable);
  EXPECT_THAT(loaded->error().message, HasSubstr("island"));
  loads.unload("tiny", [&](Result<Placement> result) { unloaded = std::move(result); });
  ASSERT_TRUE(unloaded && !*unloaded);
  EXPECT_EQ(unloaded->error().code, Code::unavailable);
}

// The old head gives the model up; the new one has left before it could be asked.
TEST_F(Desks, ALoadElsewhereFailsAtOnceWhereTheNewHeadLeftMeanwhile) {
  HeaderDesk headers(*context_);
  LoadDesk loads(*context_, headers);
  view_.members[0].info.placements = {placed_on(harbour_)};
  std::optional<Result<Placement>> loaded;
  loads.load({.model = "tiny", .nodes = {"island"}}, nullptr,
             [&](Result<Placement> result) { loaded = std::move(result); });
  turn();
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::unload_model));
  view_.members.pop_back();
  loads.on_node_lost(island_, {Code::closed, "gone"});
  unreachable_ = island_;
  const auto order = decode_unload_model(sent_[0].second.body);
  ASSERT_TRUE(order);
  loads.on_result({.ticket = order->ticket, .ok = true, .placement = placed_on(harbour_)});
  ASSERT_TRUE(loaded && !*loaded);
  EXPECT_EQ(loaded->error().code, Code::unavailable);
}

// --- RequestDesk ---

TEST_F(Desks, ARequestThatFindsTheWayToItsHeadFullIsBusyAndAlone) {
  HeaderDesk headers(*context_);
  StageHost stages(*context_, 8ull << 30, 1);
  HeadDesk heads(*context_, headers, [](PlacementId, const Error&) {});
  RequestDesk requests(*context_, heads, stages);
  view_.members[1].info.placements = {placed_on(island_)};
  std::vector<TokenEvent> events;
  const auto ask = [&](std::uint64_t id) {
    requests.generate({.id = {id}, .placement = {7}, .prompt = {1}, .tokens_max = 1},
                      [&](const TokenEvent& event) { events.push_back(event); });
  };
  ask(1);
  crowded_ = island_;
  ask(2);
  EXPECT_THAT(events, IsEmpty());  // never from inside the call
  turn();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].id, RequestId{2});
  EXPECT_EQ(events[0].finish, FinishReason::failed);
  EXPECT_EQ(events[0].error->code, Code::busy);
  EXPECT_EQ(requests.open_requests(), 1u);
}

// --- StageHost ---

TEST_F(Desks, AStagesMemoryCountsFromItsOrderOnSoThatASecondIsRefused) {
  const std::uint64_t offered = 100ull << 20;  // one stage and its reserve of 60 MiB
  StageHost stages(*context_, offered, 1);
  PrepareStage order{.placement = {1},
                     .model = "tiny",
                     .fingerprint = placed_on(island_).fingerprint,
                     .layers = {0, 2},
                     .is_head = true,
                     .context_tokens = 256,
                     .sequences = 1,
                     .source = {}};
  stages.on_prepare(island_, order);
  EXPECT_GT(stages.memory_taken_bytes(), 60u << 20);
  EXPECT_LE(stages.memory_taken_bytes(), offered);
  EXPECT_EQ(changes_, 1);  // told to the others before a byte is copied
  EXPECT_THAT(sent_, IsEmpty());
  order.placement = {2};
  stages.on_prepare(island_, order);
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::stage_failed));
  EXPECT_EQ(decode_stage_failed(sent_[0].second.body)->code, to_string(Code::no_memory));
  stages.on_stop(island_, {.placement = {1}, .epoch = order.epoch});
  EXPECT_EQ(stages.memory_taken_bytes(), 0u);
}

// --- The whole node ---

TEST_F(Desks, AModelThatIsNotLoadedIsListedWithTheContextItWasTrainedFor) {
  const auto node = Node::start(loop_, {.home = folder_ / "home",
                                        .name = "quay",
                                        .discovery = false,
                                        .model_folders = {folder_ / "models"},
                                        .memory_bytes = 1 << 30,
                                        .threads = 1});
  ASSERT_TRUE(node) << node.error().message;
  const auto models = (*node)->models();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].name, "tiny");
  EXPECT_EQ(models[0].state, "on disk");
  EXPECT_EQ(models[0].context_tokens, 256u);
  (*node)->leave("the test is over", [this] { loop_.stop(); });
  loop_.run_for(std::chrono::seconds(5));
}

}  // namespace
}  // namespace flotilla
