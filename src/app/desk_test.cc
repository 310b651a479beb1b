// Claims about the desks, each alone: what it sends is caught, what the cluster looks like is told by the test.
#include "app/fleet.h"
#include "app/load_desk.h"
#include "app/node.h"
#include "app/request_desk.h"
#include "app/stage_host.h"
#include "app/test_desks.h"
#include "app/wishes.h"
#include "base/units.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

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
  EXPECT_TRUE(order->replaced) << "its answers go on";
  loads.on_result(harbour_, {.ticket = order->ticket, .ok = true, .placement = placed_on(harbour_)});
  ASSERT_TRUE(loaded && !*loaded);
  EXPECT_EQ(loaded->error().code, Code::unavailable);
}

// Who looks what is loaded, once told that it is loaded elsewhere, finds it there and nowhere else.
TEST_F(Desks, ALoadElsewhereIsDoneOnceTheOldHeadsPlacementIsSeenNoMore) {
  HeaderDesk headers(*context_);
  LoadDesk loads(*context_, headers);
  std::function<void()> look;
  context_->alarm = [&](std::chrono::steady_clock::duration, std::function<void()> ring) {
    look = std::move(ring);
    return std::make_unique<Alarm>();
  };
  view_.members[0].info.placements = {placed_on(harbour_)};
  std::optional<Result<Placement>> loaded;
  loads.load({.model = "tiny", .nodes = {"island"}}, nullptr,
             [&](Result<Placement> result) { loaded = std::move(result); });
  turn();
  const auto order = decode_unload_model(sent_.back().second.body);
  loads.on_result(harbour_, {.ticket = order->ticket, .ok = true, .placement = placed_on(harbour_)});
  const auto asked = decode_load_model(sent_.back().second.body);
  ASSERT_TRUE(asked);
  loads.on_result(island_, {.ticket = asked->ticket, .ok = true, .placement = placed_on(island_)});
  for (int i = 0; i < 3; ++i) std::exchange(look, nullptr)();
  EXPECT_FALSE(loaded);
  view_.members[0].info.placements.clear();
  std::exchange(look, nullptr)();
  ASSERT_TRUE(loaded && *loaded);
  EXPECT_EQ((*loaded)->head(), island_);
  EXPECT_EQ(loads.open_orders(), 0u);
}

// A load by hand that waits for its head.
class LoadAtIsland : public Desks {
 protected:
  LoadAtIsland() {
    loads_.ask(
        island_, {.model = "tiny", .nodes = {"island"}}, [&](const LoadProgress&) { ++progress_; },
        [&](Result<Placement> result) { loaded_ = std::move(result); });
  }
  LoadModel asked() const { return *decode_load_model(sent_.back().second.body); }
  void lose_connection() { loads_.on_node_lost(island_, {Code::closed, "[cluster] another connection took over"}); }

  HeaderDesk headers_{*context_};
  LoadDesk loads_{*context_, headers_};
  int progress_ = 0;
  std::optional<Result<Placement>> loaded_;
};

TEST_F(LoadAtIsland, IsAskedForAgainWhereAnotherConnectionToItsHeadTakesOver) {
  const LoadModel first = asked();
  lose_connection();
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::load_model, FrameKind::load_model));
  EXPECT_EQ(sent_[1].first, island_);
  EXPECT_TRUE(asks_alike(asked(), first));
  loads_.on_progress(island_, {first.ticket, "loading", 1, 2});  // the head goes on with who asked before, too
  EXPECT_EQ(progress_, 0);
  loads_.on_progress(island_, {asked().ticket, "loading", 1, 2});
  EXPECT_EQ(progress_, 1);
  loads_.on_result(island_, {.ticket = first.ticket, .code = "unavailable", .message = "the stage was lost"});
  EXPECT_FALSE(loaded_);
  loads_.on_result(island_, {.ticket = asked().ticket, .ok = true, .placement = placed_on(island_)});
  ASSERT_TRUE(loaded_);
  EXPECT_TRUE(*loaded_);
}

TEST_F(LoadAtIsland, FailsWhereItsHeadIsGoneOrTheConnectionToItIsReplacedAgainAndAgain) {
  for (int i = 0; i < 3; ++i) lose_connection();
  EXPECT_FALSE(loaded_);
  lose_connection();
  ASSERT_TRUE(loaded_ && !*loaded_);
  EXPECT_EQ(loaded_->error().code, Code::closed);
  EXPECT_EQ(loads_.open_orders(), 0u);

  loaded_.reset();
  sent_.clear();
  loads_.ask(island_, {.model = "tiny"}, nullptr, [&](Result<Placement> result) { loaded_ = std::move(result); });
  view_.members.pop_back();
  lose_connection();
  ASSERT_TRUE(loaded_ && !*loaded_);
  EXPECT_THAT(sent_, SizeIs(1));
}

TEST_F(Desks, AModelIsUnloadedAtEveryHeadThatHasAPlacementOfIt) {
  HeaderDesk headers(*context_);
  LoadDesk loads(*context_, headers);
  view_.members[0].info.placements = {placed_on(harbour_)};
  view_.members[1].info.placements = {placed_on(island_, PlacementState::loading)};
  std::vector<Result<Placement>> unloaded;
  loads.unload("tiny", [&](Result<Placement> result) { unloaded.push_back(std::move(result)); });
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::unload_model, FrameKind::unload_model));
  EXPECT_NE(sent_[0].first, sent_[1].first);
  for (const auto& [to, frame] : sent_) {
    EXPECT_TRUE(unloaded.empty());
    EXPECT_FALSE(decode_unload_model(frame.body)->replaced);
    loads.on_result(to, {.ticket = decode_unload_model(frame.body)->ticket,
                         .ok = to == harbour_,
                         .placement = placed_on(to),
                         .code = "not_found"});
  }
  ASSERT_EQ(unloaded.size(), 1u);
  EXPECT_TRUE(unloaded[0]);
}

TEST_F(Desks, AResultCountsFromTheHeadThatWasAskedOnly) {
  HeaderDesk headers(*context_);
  LoadDesk loads(*context_, headers);
  int results = 0, progress = 0;
  loads.ask(
      island_, {.model = "tiny"}, [&](const LoadProgress&) { ++progress; },
      [&](const Result<Placement>&) { ++results; });
  const std::uint64_t ticket = decode_load_model(sent_.at(0).second.body)->ticket;
  for (const NodeId& from : {harbour_, island_}) {
    loads.on_progress(from, {ticket, "loading", 1, 2});
    loads.on_result(from, {.ticket = ticket, .ok = true, .placement = placed_on(island_)});
    EXPECT_EQ(progress, from == island_ ? 1 : 0);
    EXPECT_EQ(results, from == island_ ? 1 : 0);
  }
}

TEST_F(Desks, WhoSaysWhereAModelShallBeIsHeardByItsHeadAlsoWhereItIsThere) {
  HeaderDesk headers(*context_);
  LoadDesk loads(*context_, headers);
  view_.members[1].info.placements = {placed_on(island_)};
  bool is_done = false;
  loads.load({.model = "tiny"}, nullptr, [&](const Result<Placement>&) { is_done = true; });
  EXPECT_TRUE(is_done);
  EXPECT_THAT(sent_, IsEmpty());
  loads.load({.model = "tiny", .nodes = {"island"}}, nullptr, [](const Result<Placement>&) {});
  EXPECT_THAT(kinds_sent(), ElementsAre(FrameKind::load_model));
}

// --- RequestDesk ---

TEST_F(Desks, ARequestThatFindsTheWayToItsHeadFullIsBusyAndAlone) {
  HeaderDesk headers(*context_);
  StageHost stages(*context_, 8ull << 30, 1);
  HeadDesk heads(*context_, headers, [](PlacementId, const Error&, GoesOn) {});
  LoadDesk loads(*context_, headers);
  ReloadDesk reloads(*context_, loads);
  RequestDesk requests(*context_, heads, stages, reloads);
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

// All of the model as one stage.
PrepareStage whole_tiny(const Placement& placement) {
  return {.placement = {1},
          .model = "tiny",
          .fingerprint = placement.fingerprint,
          .layers = {0, 2},
          .is_head = true,
          .context_tokens = 256,
          .sequences = 1,
          .source = {}};
}

TEST_F(Desks, AStagesMemoryCountsFromItsOrderOnSoThatASecondIsRefused) {
  const std::uint64_t offered = 100ull << 20;  // one stage and its reserve of 60 MiB
  StageHost stages(*context_, offered, 1);
  PrepareStage order = whole_tiny(placed_on(island_));
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

TEST_F(Desks, AStageIsItsHeadsAloneToReplace) {
  StageHost stages(*context_, 1ull << 30, 1);
  std::vector<PlacementId> ended;
  context_->stage_ended = [&](PlacementId placement) { ended.push_back(placement); };
  PrepareStage order = whole_tiny(placed_on(island_));
  stages.on_prepare(island_, order);
  const std::uint64_t taken = stages.memory_taken_bytes();
  stages.on_prepare(harbour_, order);
  EXPECT_TRUE(ended.empty());
  EXPECT_EQ(stages.memory_taken_bytes(), taken);
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::stage_failed));
  EXPECT_EQ(sent_[0].first, harbour_);
  stages.on_prepare(island_, order);
  EXPECT_THAT(ended, ElementsAre(PlacementId{1}));
}

// A runner that is not there: what it says and how it ends are the test's to decide.
struct AbsentRunner final : SpawnedRunner {
  void send(const Frame&) override {}
  bool offer(const Frame&) override { return has_room && is_open_; }
  bool is_open() const override { return is_open_; }
  void kill() override {}
  void stop() override {}
  int pid() const override { return -1; }

  bool has_room = true, is_open_ = true;
};

// One stage held for island, of which nothing has been said yet.
class StageThatIsHeld : public Desks {
 protected:
  StageThatIsHeld() {
    context_->spawn = [this](const RunnerSpawnOptions&, SpawnedRunner::OnFrame on_frame,
                             SpawnedRunner::OnExit on_exit) -> Result<std::shared_ptr<SpawnedRunner>> {
      says_ = std::move(on_frame);
      ends_ = std::move(on_exit);
      return runner_;
    };
    context_->alarm = [this](std::chrono::steady_clock::duration, std::function<void()> ring) {
      rings_.push_back(std::move(ring));
      return std::make_unique<Alarm>();
    };
    stages_.emplace(*context_, 1ull << 30, 1);
    stages_->on_prepare(island_, order_);
    while (!says_) turn();
    sent_.clear();
    tick_ = std::exchange(rings_, {}).front();
  }
  void say_failed(Code code, const std::string& message) {
    const StageFailed failed{order_.placement, order_.epoch, 0, std::string(to_string(code)), message};
    says_(make_frame(FrameKind::stage_failed, encode(failed)));
  }
  std::vector<std::string> told() const {
    std::vector<std::string> causes;
    for (const auto& [to, frame] : sent_)
      if (frame.header.kind == FrameKind::stage_failed) causes.push_back(decode_stage_failed(frame.body)->message);
    return causes;
  }

  const PrepareStage order_ = whole_tiny(placed_on(island_));
  const std::shared_ptr<AbsentRunner> runner_ = std::make_shared<AbsentRunner>();
  SpawnedRunner::OnFrame says_;
  SpawnedRunner::OnExit ends_;
  std::function<void()> tick_;
  std::vector<std::function<void()>> rings_;
  std::optional<StageHost> stages_;
};

TEST_F(StageThatIsHeld, TellsAtOnceWhatIsItsOwn) {
  say_failed(Code::no_memory, "no room");
  EXPECT_THAT(told(), ElementsAre("no room"));
}

// What is refused as busy fails its client; what is refused as unavailable waits for the model to be loaded again.
TEST_F(StageThatIsHeld, DoesNotTakeARunnerForBusyThatIsGoneAndNotReapedYet) {
  runner_->has_room = false;
  EXPECT_EQ(stages_->offer_to_runner(order_.placement, {}).error().code, Code::busy);
  runner_->is_open_ = false;
  EXPECT_EQ(stages_->offer_to_runner(order_.placement, {}).error().code, Code::unavailable);
}

TEST_F(StageThatIsHeld, LetsTheNodeOfALostNeighbourExplainFirst) {
  say_failed(Code::closed, "a neighbour is gone");
  ends_("ended");
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(stages_->offer_to_runner(order_.placement, {}).error().code, Code::unavailable);
  stages_->on_stop(island_, {.placement = order_.placement, .epoch = order_.epoch});
  for (const auto& ring : rings_) ring();
  EXPECT_THAT(told(), IsEmpty());
}

TEST_F(StageThatIsHeld, TellsOfALostNeighbourWhereNobodyElseDoes) {
  say_failed(Code::closed, "a neighbour is gone");
  ends_("ended");
  ASSERT_THAT(rings_, SizeIs(1));
  rings_[0]();
  EXPECT_THAT(told(), ElementsAre("a neighbour is gone"));
}

// Fetching and loading takes minutes, in which nothing else may be measured here.
TEST_F(StageThatIsHeld, KeepsItsMachineBusyUntilItIsLoaded) {
  int worked = 0;
  context_->working = [&] { ++worked; };
  tick_();
  EXPECT_EQ(worked, 1);
  says_(make_frame(FrameKind::stage_ready, encode(StageReady{.placement = order_.placement, .epoch = order_.epoch})));
  worked = 0;
  tick_();
  EXPECT_EQ(worked, 0);
}

// --- The fleet as planners see it ---

TEST_F(Desks, AGroupsMembersAreCreditedWithWhatEachHolds) {
  Placement placement = placed_on(harbour_);
  placement.stages[0].nodes = {harbour_, island_};
  placement.stages[0].weight_bytes = 5 * gib;
  for (Member& member : view_.members) member.info.memory_free_bytes = gib;
  const auto free = [&](std::size_t member) {
    return without(view_, placement).members[member].info.memory_free_bytes - memory_reserve_bytes;
  };
  EXPECT_EQ(free(0), 7 * gib / 2) << "an older head does not tell them apart";
  placement.stages[0].member_bytes = {4 * gib, gib};
  EXPECT_EQ(free(0), 5 * gib);
  EXPECT_EQ(free(1), 2 * gib);
}

TEST_F(Desks, PlansPriceWhatGoesOverTheWire) {
  EXPECT_EQ(wishes_from({}, ActivationType::f32).overheads.value_bytes, 4u);
  EXPECT_EQ(wishes_from({}, ActivationType::bf16).overheads.value_bytes, 2u);
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
