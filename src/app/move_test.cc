// Claims about placements that move: beside their answers or after them, never against a wish, and back where the new
// one does not load; and about requests that meet one on its way.
#include "app/fleet.h"
#include "app/move_desk.h"
#include "app/request_desk.h"
#include "app/stage_host.h"
#include "app/test_desks.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// --- HeadDesk and MoveDesk ---

// "tiny" is loaded here, where computing has become slow, and island is quick. Time is the test's.
class Moves : public Desks {
 protected:
  Moves() {
    set_speed(0, 10);
    set_speed(1, 10);
    context_->send = [this](const NodeId& to, const Frame& frame) {
      if (frame.header.kind == FrameKind::load_model) asked_[decode_load_model(frame.body)->ticket] = to;
      sent_.emplace_back(to, frame);
      return true;
    };
  }

  void set_speed(std::size_t member, double gib_per_second) {
    MachineRates& rates = view_.members[member].info.rates;
    rates = {.layer_seconds = 1e-7,
             .attention_bytes_per_second = gib_per_second * 1e9,
             .attention_prompt_bytes_per_second = gib_per_second * 1e9};
    for (const char* type : {"F32", "Q8_0"})
      rates.kernels.push_back({type, std::vector<double>(kernel_rows.size(), 1 / gib_per_second)});
    ++view_.members[member].info.revision;
  }
  void publish() { view_.members[0].info.placements = heads_.placements(); }

  // The frames of one kind sent since the last call of it for any.
  template <class Decode>
  auto take(FrameKind kind, Decode decode) {
    std::vector<std::decay_t<decltype(*decode(std::span<const std::byte>()))>> messages;
    for (const auto& [to, frame] : std::exchange(sent_, {}))
      if (frame.header.kind == kind) messages.push_back(*decode(frame.body));
    return messages;
  }
  Placement load_here(std::uint32_t moves = 0) {
    heads_.on_load(harbour_, {.ticket = 1, .model = "tiny", .mode = "auto", .moves = moves});
    const Placement placement = prepared();
    sent_.clear();
    return placement;
  }
  // Plays the runners of what was ordered just now: of one stage, by one machine or a group.
  Placement prepared() {
    turn();
    std::vector<std::pair<NodeId, PrepareStage>> orders;
    for (const auto& [to, frame] : std::exchange(sent_, {}))
      if (frame.header.kind == FrameKind::prepare_stage) orders.emplace_back(to, *decode_prepare_stage(frame.body));
    for (const auto& [to, order] : orders)
      heads_.on_ready(to, {.placement = order.placement, .epoch = order.epoch, .member = order.member, .port = 1});
    for (const auto& [to, order] : orders)
      heads_.on_connected(to, {.placement = order.placement, .epoch = order.epoch, .member = order.member});
    publish();
    return *heads_.find(orders.at(0).second.placement);
  }
  void look_for(int seconds) {
    for (int i = 0; i < seconds; ++i, now_ += std::chrono::seconds(1)) {
      moves_.look();
      turn();
      publish();
    }
  }
  void answer_load(std::uint64_t ticket, const Result<Placement>& loaded) {
    LoadResult result{.ticket = ticket, .ok = loaded.has_value()};
    if (loaded) result.placement = *loaded;
    if (!loaded) result.code = to_string(loaded.error().code), result.message = loaded.error().message;
    if (loaded) view_.members[1].info.placements = {*loaded};
    loads_.on_result(asked_.at(ticket), result);
    publish();
  }
  // Moves to island have been found to pay, and are on their way.
  LoadModel moving() {
    set_speed(0, 1);
    look_for(5);
    return take(FrameKind::load_model, decode_load_model).at(0);
  }
  // Loads it here from the start, and plays island's part of the move.
  Placement moved_to_island() {
    const Placement old = load_here();
    running_ = 1;
    answer_load(moving().ticket, at_island());
    sent_.clear();
    return old;
  }
  void unload(bool replaced = false) {
    const UnloadModel order{99, "tiny", replaced};
    moves_.on_unload(order);
    heads_.on_unload(harbour_, order);
  }
  std::vector<NodeId> unloaded_at() {
    std::vector<NodeId> list;
    for (const auto& [to, frame] : std::exchange(sent_, {}))
      if (frame.header.kind == FrameKind::unload_model) list.push_back(to);
    return list;
  }
  Placement at_island() {
    Placement placement = placed_on(island_);
    placement.id = {8};
    return placement;
  }

  HeaderDesk headers_{*context_};
  LoadDesk loads_{*context_, headers_};
  std::vector<GoesOn> ended_;  // what is said to the requests of each placement that ends
  HeadDesk heads_{*context_, headers_,
                  [this](PlacementId, const Error&, GoesOn goes_on) { ended_.push_back(goes_on); }};
  std::size_t running_ = 0;
  std::map<std::uint64_t, NodeId> asked_;  // by ticket
  MoveDesk::Clock::time_point now_{std::chrono::hours(1)};
  MoveDesk moves_{
      *context_, headers_, heads_, loads_, [this](PlacementId) { return running_; }, [this] { return now_; }};
};

TEST_F(Moves, ToAQuickerMachineBesideTheAnswersUnderWay) {
  const Placement old = load_here();
  look_for(20);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty()) << "nothing is better";
  set_speed(0, 1);
  running_ = 1;
  look_for(5);
  const auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].moves, 1u);
  EXPECT_THAT(orders[0].why_moved, HasSubstr("harbour computes at"));
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::ready) << "it goes on answering";
  EXPECT_THAT(heads_.find(old.id)->detail, HasSubstr("moving: harbour computes at"));
  answer_load(orders[0].ticket, at_island());
  look_for(100);
  ASSERT_NE(heads_.find(old.id), nullptr) << "an answer is still under way";
  heads_.on_load(island_, {.ticket = 5, .model = "tiny", .mode = "auto"});
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, PlacementId{8}) << "who comes is sent to the new one";
  running_ = 0;
  look_for(1);
  EXPECT_EQ(heads_.find(old.id), nullptr);
}

TEST_F(Moves, AwayFromAMachineOnBatteryThatOffersNothing) {
  const Placement old = load_here();
  view_.members[0].info.on_battery = true;
  view_.members[0].info.memory_bytes = view_.members[0].info.memory_free_bytes = 0;
  ++view_.members[0].info.revision;
  look_for(5);
  const auto asked = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked_.at(asked[0].ticket), island_);
  EXPECT_EQ(asked[0].why_moved, "moved: harbour runs on battery and offers nothing; to island (" +
                                    std::to_string(old.stages[0].layers.count()) + " layers)");
}

TEST_F(Moves, NowhereWhereTheUserSaidWhere) {
  load_here();
  heads_.on_load(island_, {.ticket = 2, .model = "tiny", .nodes = {"harbour"}, .mode = "auto"});
  set_speed(0, 1);
  look_for(100);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty());
}

TEST_F(Moves, AreGivenUpWhereTheNewPlacementDoesNotLoadAndTriedAgainAfterAMinute) {
  const Placement old = load_here();
  set_speed(0, 1);
  look_for(5);
  const auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  answer_load(orders[0].ticket, fail(Code::unavailable, "[app] island has no disk left"));
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::ready);
  EXPECT_THAT(heads_.find(old.id)->detail, HasSubstr("island has no disk left"));
  look_for(55);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty());
  look_for(10);
  const auto again = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].moves, 2u) << "a try counts like a move";
}

TEST_F(Moves, PutOffAreForgottenAfterTwoHoursOfRestForGood) {
  load_here();
  set_speed(0, 1);
  std::vector<std::uint32_t> told;
  for (const int rest : {0, 121 * 60, 65}) {
    now_ += std::chrono::seconds(rest);
    look_for(5);
    const auto orders = take(FrameKind::load_model, decode_load_model);
    ASSERT_EQ(orders.size(), 1u) << rest;
    told.push_back(orders[0].moves);
    answer_load(orders[0].ticket, fail(Code::unavailable, "[app] island has no disk left"));
  }
  EXPECT_THAT(told, ElementsAre(1, 1, 2)) << "the last: itself and the one a minute before";
}

TEST_F(Moves, PutOffAfterManyMovesAreTriedAgainAsSeldomAsAfterOneMoreMove) {
  load_here(5);
  set_speed(0, 1);
  look_for(965);
  const auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].moves, 6u);
  answer_load(orders[0].ticket, fail(Code::unavailable, "[app] island has no disk left"));
  look_for(1900);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty());
  look_for(30);
  const auto again = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].moves, 7u);
}

TEST_F(Moves, AWishSpokenBeforeTheMoveBeginsIsHeard) {
  load_here();
  set_speed(0, 1);
  look_for(2);
  heads_.on_load(island_, {.ticket = 2, .model = "tiny", .nodes = {"harbour"}, .mode = "auto"});
  look_for(20);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty());
}

TEST_F(Moves, AWishSpokenWhileTheNewPlacementLoadsIsHeardToo) {
  const Placement old = load_here();
  const LoadModel order = moving();
  heads_.on_load(island_, {.ticket = 2, .model = "tiny", .nodes = {"harbour"}, .mode = "auto"});
  sent_.clear();
  answer_load(order.ticket, at_island());
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::ready);
  EXPECT_THAT(unloaded_at(), ElementsAre(island_));
}

TEST_F(Moves, WhereTheNewPlacementIsLostTheOldOneAnswersAgainAndMovesAfterAPause) {
  const Placement old = moved_to_island();
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::unloading);
  view_.members[1].info.placements.clear();
  heads_.on_load(island_, {.ticket = 5, .model = "tiny", .mode = "auto"});
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, old.id);
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::ready);
  look_for(55);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty());
  look_for(15);
  EXPECT_EQ(take(FrameKind::load_model, decode_load_model).size(), 1u);
}

TEST_F(Moves, BackToWhereTheOldPlacementStillEndsAreMadeAnew) {
  const Placement old = moved_to_island();
  heads_.on_load(island_, {.ticket = 5, .model = "tiny", .mode = "auto", .moves = 2});
  const Placement anew = prepared();
  EXPECT_NE(anew.id, old.id);
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::unloading) << "it breaks nothing off";
  EXPECT_EQ(anew.state, PlacementState::ready);
}

TEST_F(Moves, ToWhereItIsAlreadyEndNothing) {
  const Placement old = load_here();
  answer_load(moving().ticket, old);
  look_for(10);
  ASSERT_NE(heads_.find(old.id), nullptr);
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::ready);
  EXPECT_THAT(heads_.find(old.id)->detail, HasSubstr("not moved"));
}

TEST_F(Moves, OfAModelThatIsUnloadedEndAtTheirTargetToo) {
  load_here();
  const LoadModel order = moving();
  unload();
  EXPECT_THAT(unloaded_at(), ElementsAre(island_));
  answer_load(order.ticket, fail(Code::unavailable, "[app] tiny was unloaded"));
  look_for(100);
  EXPECT_THAT(heads_.placements(), IsEmpty());
}

TEST_F(Moves, ThatEndAfterTheirModelWasReplacedGiveBackWhatTheyLoaded) {
  load_here();
  const LoadModel order = moving();
  heads_.on_load(island_, {.ticket = 2, .model = "tiny", .mode = "auto", .context_tokens = 128});
  publish();
  sent_.clear();
  answer_load(order.ticket, at_island());
  EXPECT_THAT(unloaded_at(), IsEmpty()) << "what replaces it is not planned yet, so nobody can see it";
  look_for(2);
  EXPECT_THAT(unloaded_at(), ElementsAre(island_));
}

TEST_F(Moves, ThatEndAfterTheirModelWasLostKeepWhatTheyLoaded) {
  const Placement old = load_here();
  const LoadModel order = moving();
  heads_.end(old.id, {Code::unavailable, "[test] lost"});
  publish();
  sent_.clear();
  answer_load(order.ticket, at_island());
  look_for(100);
  heads_.on_load(harbour_, {.ticket = 2, .model = "tiny", .mode = "auto"});
  look_for(10);
  EXPECT_THAT(unloaded_at(), IsEmpty());
}

TEST_F(Moves, AreFoundAlsoWhereTheHeaderCouldNotBeReadAtFirst) {
  load_here();
  std::filesystem::rename(folder_ / "models", folder_ / "away");
  store_->refresh();
  set_speed(0, 1);
  look_for(10);
  EXPECT_THAT(take(FrameKind::load_model, decode_load_model), IsEmpty());
  std::filesystem::rename(folder_ / "away", folder_ / "models");
  store_->refresh();
  look_for(70);
  EXPECT_EQ(take(FrameKind::load_model, decode_load_model).size(), 1u);
}

// --- HeadDesk ---

TEST_F(Moves, AModelUnloadedBeforeItsHeaderCameIsNotLoaded) {
  heads_.on_load(harbour_, {.ticket = 1, .model = "tiny", .mode = "auto"});
  heads_.on_load(harbour_, {.ticket = 2, .model = "tiny", .nodes = {"harbour"}, .mode = "auto"});
  heads_.on_unload(island_, {3, "tiny"});
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 3u);
  EXPECT_FALSE(results[0].ok || results[1].ok);
  EXPECT_TRUE(results[2].ok) << results[2].message;
  turn();
  EXPECT_THAT(sent_, IsEmpty());
  EXPECT_EQ(load_here().state, PlacementState::ready) << "the next order is another one";
}

TEST_F(Moves, AnOrderForOtherMachinesIsHeardOnceTheFirstIsPlanned) {
  heads_.on_load(harbour_, {.ticket = 1, .model = "tiny", .mode = "auto"});
  heads_.on_load(harbour_, {.ticket = 2, .model = "tiny", .mode = "auto"});
  heads_.on_load(island_,
                 {.ticket = 3, .model = "tiny", .nodes = {"harbour", "island"}, .layers = {1, 1}, .mode = "auto"});
  turn();
  turn();
  ASSERT_EQ(heads_.placements().size(), 1u);
  EXPECT_EQ(heads_.placements()[0].stages.size(), 2u);
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 2u);
  EXPECT_FALSE(results[0].ok || results[1].ok) << "replaced before it was ready";
}

TEST_F(Moves, ALoadThatAConnectionTookAlongIsStartedOverWhileTheMachineIsHere) {
  heads_.on_load(harbour_,
                 {.ticket = 1, .model = "tiny", .nodes = {"harbour", "island"}, .layers = {1, 1}, .mode = "auto"});
  turn();
  for (int time = 0; time < 3; ++time) {
    const Placement before = heads_.placements().at(0);
    sent_.clear();
    heads_.on_node_lost(island_, {Code::closed, "another connection to it has taken over"});
    ASSERT_EQ(heads_.placements().size(), 1u);
    EXPECT_NE(heads_.placements()[0].id, before.id);
    EXPECT_THAT(kinds_sent(), ElementsAre(FrameKind::stop_stage, FrameKind::stop_stage, FrameKind::prepare_stage,
                                          FrameKind::prepare_stage));
  }
  heads_.on_node_lost(island_, {Code::closed, "once more"});
  EXPECT_THAT(heads_.placements(), IsEmpty()) << "not for ever";
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_FALSE(results[0].ok);
}

TEST_F(Moves, ProgressCountsFromMachinesOfThePlacementOnly) {
  heads_.on_load(island_, {.ticket = 1, .model = "tiny", .mode = "auto"});
  turn();
  const Placement placement = heads_.placements().at(0);
  sent_.clear();
  heads_.on_progress(island_, {placement.id.value, "nonsense", 1, 2});
  EXPECT_EQ(heads_.placements()[0].detail, placement.detail);
  EXPECT_THAT(sent_, IsEmpty());
  heads_.on_progress(harbour_, {placement.id.value, "loading", 1, 2});
  EXPECT_EQ(heads_.placements()[0].detail, "loading");
}

TEST_F(Moves, APlacementClosedLetsWhoComesWaitAndIsHandedOver) {
  const Placement old = load_here();
  heads_.close(old.id, "moving", false);
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::unloading);
  heads_.on_load(island_, {.ticket = 3, .model = "tiny", .mode = "auto"});
  EXPECT_THAT(take(FrameKind::load_result, decode_load_result), IsEmpty());
  heads_.empty(old.id, "moving");
  EXPECT_THAT(kinds_sent(), ElementsAre(FrameKind::stop_stage));
  heads_.hand_over(old.id, at_island());
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].ticket, 3u);
  EXPECT_EQ(results[0].placement.id, PlacementId{8});
  EXPECT_EQ(heads_.find(old.id), nullptr);
}

TEST_F(Moves, APlacementThatCouldNotMoveIsLoadedAgainForThoseWhoWait) {
  const Placement old = load_here();
  heads_.close(old.id, "moving", false);
  heads_.on_load(island_, {.ticket = 3, .model = "tiny", .mode = "auto"});
  heads_.empty(old.id, "moving");
  sent_.clear();
  heads_.load_again(old.id, "not moved: island has no disk left", 1);
  EXPECT_EQ(heads_.find(old.id), nullptr);
  const Placement again = prepared();
  EXPECT_NE(again.id, old.id);
  EXPECT_EQ(again.stages.front().layers, old.stages.front().layers);
  EXPECT_EQ(again.detail, "not moved: island has no disk left");
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, again.id);
}

// "tiny" is loaded here, and somebody loads it by hand under island.
class GivesWay : public Moves {
 protected:
  GivesWay() {
    context_->alarm = [this](std::chrono::steady_clock::duration, std::function<void()> ring) {
      ring_ = std::move(ring);
      return std::make_unique<Alarm>();
    };
  }
  void give_way() {
    unload(true);
    publish();
    sent_.clear();
  }
  void look(int times = 1) {
    for (; times > 0; --times) std::exchange(ring_, nullptr)();
    publish();
  }
  // As for a request whose placement is gone.
  void ask() { heads_.on_load(island_, {.ticket = 3, .model = "tiny", .any_will_do = true}); }

  std::function<void()> ring_;
};

TEST_F(GivesWay, ItsAnswersGoOnInTheNewPlacementAndWhoComesMeanwhileWaitsForThat) {
  const Placement old = load_here();
  give_way();
  EXPECT_THAT(ended_, ElementsAre(GoesOn::broken_off));
  ASSERT_NE(heads_.find(old.id), nullptr) << "or requests would have the model loaded here again";
  EXPECT_EQ(heads_.find(old.id)->state, PlacementState::loading);
  ask();
  view_.members[1].info.placements = {at_island()};
  view_.members[1].info.placements[0].state = PlacementState::loading;
  look(100);
  EXPECT_THAT(sent_, IsEmpty());
  view_.members[1].info.placements = {at_island()};
  look();
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, PlacementId{8});
  EXPECT_THAT(heads_.placements(), IsEmpty());
}

TEST_F(GivesWay, ButNotForEverWhereNoneIsLoaded) {
  load_here();
  give_way();
  ask();
  look(100);
  EXPECT_THAT(sent_, IsEmpty());
  look();
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].code, to_string(Code::unavailable)) << "so they have it loaded again";
  EXPECT_THAT(heads_.placements(), IsEmpty());
}

TEST_F(GivesWay, WhileItLoadsAndBecomesReadyNoMore) {
  heads_.on_load(island_, {.ticket = 1, .model = "tiny", .mode = "auto"});
  turn();
  const auto order = take(FrameKind::prepare_stage, decode_prepare_stage).at(0);
  give_way();
  heads_.on_ready(harbour_, {.placement = order.placement, .epoch = order.epoch, .port = 1});
  heads_.on_connected(harbour_, {.placement = order.placement, .epoch = order.epoch});
  ASSERT_NE(heads_.find(order.placement), nullptr);
  EXPECT_EQ(heads_.find(order.placement)->state, PlacementState::loading);
}

TEST_F(GivesWay, UntilSomebodyWantsItHereAfterAll) {
  const Placement old = load_here();
  give_way();
  heads_.on_load(island_, {.ticket = 4, .model = "tiny", .nodes = {"harbour"}});
  EXPECT_NE(prepared().id, old.id);
  EXPECT_EQ(heads_.placements().size(), 1u);
}

TEST_F(GivesWay, AlsoOnItsWayElsewhere) {
  const Placement old = load_here();
  const LoadModel order = moving();
  unload(true);
  const auto orders = take(FrameKind::unload_model, decode_unload_model);
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].replaced);
  answer_load(order.ticket, fail(Code::unavailable, "[app] island gives way"));
  look_for(100);
  ASSERT_NE(heads_.find(old.id), nullptr);
  EXPECT_EQ(heads_.find(old.id)->detail, "another machine loads it anew");
  EXPECT_THAT(sent_, IsEmpty());
}

// A group of both machines, whose shares are to change; neither has room for a second placement.
class TightMoves : public Moves {
 protected:
  TightMoves() {
    set_speed(0, 0.01);
    set_speed(1, 0.01);
    view_.members[0].info.links = {{island_, 1e-6, 1e10, "eth0"}};  // so quick that computing is what counts
    view_.members[1].info.links = {{harbour_, 1e-6, 1e10, "eth0"}};
    heads_.on_load(harbour_, {.ticket = 1, .model = "tiny", .mode = "tensor"});
    old_ = prepared();
    sent_.clear();
    for (Member& member : view_.members) member.info.memory_free_bytes = 45ull << 20;
    set_speed(0, 0.001);
    running_ = 1;
    look_for(5);
  }
  void ask() { heads_.on_load(island_, {.ticket = 3, .model = "tiny", .mode = "auto"}); }
  // Moves whose new placement does not load: to the placement that is loaded again.
  Placement fail_to_move(const LoadModel& order) {
    answer_load(order.ticket, fail(Code::unavailable, "[app] island has no disk left"));
    const Placement again = prepared();
    sent_.clear();
    return again;
  }

  Placement old_;
};

TEST_F(TightMoves, WaitForAnswersUnderWayThenForMemoryAndThenLoad) {
  EXPECT_EQ(heads_.find(old_.id)->state, PlacementState::unloading);
  ask();
  look_for(10);
  EXPECT_THAT(sent_, IsEmpty()) << "an answer is under way";
  running_ = 0;
  look_for(1);
  EXPECT_THAT(kinds_sent(), ElementsAre(FrameKind::stop_stage, FrameKind::stop_stage));
  sent_.clear();
  look_for(2);
  EXPECT_THAT(sent_, IsEmpty()) << "nobody has said yet that its memory is free";
  for (Member& member : view_.members) member.info.memory_free_bytes = 8ull << 30;
  look_for(1);
  const auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].mode, "tensor");
  answer_load(orders[0].ticket, at_island());
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, PlacementId{8});
  EXPECT_EQ(heads_.find(old_.id), nullptr);
}

TEST_F(TightMoves, ArePutOffWhereAnswersTakeTooLong) {
  ask();
  look_for(25);
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, old_.id) << "requests are answered where the model is";
  EXPECT_EQ(heads_.find(old_.id)->state, PlacementState::ready);
  EXPECT_THAT(heads_.find(old_.id)->detail, HasSubstr("put off"));
  running_ = 0;
  look_for(30);
  EXPECT_THAT(sent_, IsEmpty()) << "not at once again";
}

TEST_F(TightMoves, GoBackWhereTheNewPlacementDoesNotLoad) {
  running_ = 0;
  look_for(2);
  ask();
  for (Member& member : view_.members) member.info.memory_free_bytes = 8ull << 30;
  look_for(1);
  const auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  const Placement again = fail_to_move(orders[0]);
  EXPECT_EQ(again.state, PlacementState::ready);
  EXPECT_EQ(again.stages[0].nodes, old_.stages[0].nodes);
  EXPECT_THAT(again.detail, HasSubstr("not moved: [app] island has no disk left"));
}

TEST_F(TightMoves, ThatDoNotLoadAreTriedAgainAfterAMinuteAndThenAfterTwo) {
  running_ = 0;
  look_for(10);
  auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  fail_to_move(orders[0]);
  for (const int pause : {60, 120}) {
    look_for(pause - 5);
    EXPECT_THAT(sent_, IsEmpty());
    look_for(20);
    orders = take(FrameKind::load_model, decode_load_model);
    ASSERT_EQ(orders.size(), 1u) << pause;
    EXPECT_EQ(fail_to_move(orders[0]).state, PlacementState::ready);
  }
}

TEST_F(TightMoves, AreGivenUpWhereSomeoneSaysMeanwhileWhereItShallBe) {
  std::vector<std::string> names;
  for (const NodeId& node : old_.stages[0].nodes) names.push_back(name_of(view_, node));
  heads_.on_load(island_, {.ticket = 4, .model = "tiny", .nodes = names, .mode = "tensor"});
  look_for(1);
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].placement.id, old_.id);
  EXPECT_EQ(heads_.find(old_.id)->state, PlacementState::ready);
}

TEST_F(TightMoves, OfAModelThatIsUnloadedDoNotBringItBack) {
  running_ = 0;
  look_for(10);
  const auto orders = take(FrameKind::load_model, decode_load_model);
  ASSERT_EQ(orders.size(), 1u);
  unload();
  answer_load(orders[0].ticket, fail(Code::unavailable, "[app] tiny was unloaded"));
  look_for(100);
  EXPECT_THAT(heads_.placements(), IsEmpty());
}

TEST_F(TightMoves, HaveNoPlaceForOtherWishesOnceTheOldPlacementIsEmpty) {
  running_ = 0;
  look_for(3);
  sent_.clear();
  heads_.on_load(island_, {.ticket = 4, .model = "tiny", .mode = "tensor"});
  const auto results = take(FrameKind::load_result, decode_load_result);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].code, to_string(Code::busy));
}

// --- RequestDesk ---

class Requests : public Desks {
 protected:
  void ask(std::uint64_t id) {
    requests_.generate({.id = {id}, .placement = {7}, .prompt = {1}, .tokens_max = 9},
                       [&](const TokenEvent& event) { events_.push_back(event); });
  }
  // To whom, and of which placement.
  std::vector<std::pair<NodeId, std::uint64_t>> generates() const {
    std::vector<std::pair<NodeId, std::uint64_t>> list;
    for (const auto& [to, frame] : sent_)
      if (frame.header.kind == FrameKind::generate)
        list.emplace_back(to, decode_generate_request(frame.body)->placement.value);
    return list;
  }
  // Another of the same model, ready at harbour.
  Placement successor() {
    Placement placement = placed_on(harbour_);
    placement.id = {8};
    return placement;
  }
  void turn_until(const std::function<bool()>& is_so) {
    for (int i = 0; i < 1000 && !is_so(); ++i) {
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(is_so());
  }

  HeaderDesk headers_{*context_};
  StageHost stages_{*context_, 8ull << 30, 1};
  LoadDesk loads_{*context_, headers_};
  HeadDesk heads_{*context_, headers_, [](PlacementId, const Error&, GoesOn) {}};
  ReloadDesk reloads_{*context_, loads_};
  RequestDesk requests_{*context_, heads_, stages_, reloads_};
  std::vector<TokenEvent> events_;
};

TEST_F(Requests, GoToWhereTheirPlacementHasMoved) {
  requests_.on_opened(placed_on(island_));
  view_.members[1].info.placements = {placed_on(island_, PlacementState::unloading)};
  ask(1);
  EXPECT_THAT(generates(), ElementsAre(std::pair(island_, 7u))) << "it answers who comes by its id until it is gone";
  view_.members[0].info.placements = {successor()};
  ask(2);
  view_.members[1].info.placements.clear();
  ask(3);
  EXPECT_THAT(generates(), ElementsAre(std::pair(island_, 7u), std::pair(harbour_, 8u), std::pair(harbour_, 8u)));
}

TEST_F(Requests, WaitWhereTheirPlacementIsMovingAndNoneAnswers) {
  requests_.on_opened(placed_on(island_));
  view_.members[1].info.placements = {placed_on(island_, PlacementState::loading)};
  ask(1);
  turn_until([&] { return !sent_.empty(); });
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::load_model));
  const auto order = decode_load_model(sent_[0].second.body);
  EXPECT_EQ(order->model, "tiny");
  view_.members[1].info.placements.clear();
  view_.members[0].info.placements = {successor()};
  loads_.on_result(island_, {.ticket = order->ticket, .ok = true, .placement = successor()});
  turn_until([&] { return !generates().empty(); });
  EXPECT_THAT(generates(), ElementsAre(std::pair(harbour_, 8u)));
  EXPECT_THAT(events_, IsEmpty());
}

TEST_F(Requests, RefusedByAPlacementThatMovedMeanwhileAreSentAgainButNotOnceTheyWereAnswered) {
  view_.members[1].info.placements = {placed_on(island_)};
  ask(1);
  ask(2);
  TokenEvent first{.id = {2}, .has_token = true, .token = 5};
  requests_.on_token_event(island_, make_frame(FrameKind::token_event, encode(first)));
  view_.members[1].info.placements = {placed_on(island_, PlacementState::loading)};
  for (const std::uint64_t id : {1, 2}) {
    TokenEvent refused{.id = {id}, .finish = FinishReason::failed, .error = Error{Code::unavailable, "[app] gone"}};
    requests_.on_token_event(island_, make_frame(FrameKind::token_event, encode(refused)));
  }
  turn_until([&] { return kinds_sent().back() == FrameKind::load_model; });
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_[1].id, RequestId{2});
  EXPECT_EQ(events_[1].finish, FinishReason::failed);
  EXPECT_EQ(requests_.open_requests(), 1u);
}

TEST_F(Requests, WhosePlacementEndedAsTheyCameHaveTheModelLoadedAgain) {
  requests_.on_opened(placed_on(island_));
  ask(1);
  turn_until([&] { return !sent_.empty(); });
  EXPECT_THAT(kinds_sent(), ElementsAre(FrameKind::load_model));
  EXPECT_THAT(events_, IsEmpty());
}

}  // namespace
}  // namespace flotilla
