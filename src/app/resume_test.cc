// Claims about requests whose placement is lost: they go on elsewhere with the next token, wait where they must, and
// are failed only where going on cannot help.
#include "app/reload_desk.h"
#include "app/request_desk.h"
#include "app/stage_host.h"
#include "app/test_desks.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// This node, harbour, is where clients enter; island heads the placement that is lost.
class Resumes : public Desks {
 protected:
  Resumes() { view_.members[1].info.placements = {placed_on(island_)}; }

  static GenerateRequest request(std::uint64_t id) {
    return {
        .id = {id}, .placement = {7}, .choice = static_cast<std::uint32_t>(id - 1), .prompt = {1, 2}, .tokens_max = 9};
  }
  void ask(std::uint64_t id) { ask(request(id)); }
  void ask(const GenerateRequest& asked) {
    requests_.generate(asked, [&](const TokenEvent& event) { events_.push_back(event); });
  }
  // As the head that has it says of the request sent last.
  void say(TokenEvent event) { requests_.on_token_event(head_, make_frame(FrameKind::token_event, encode(event))); }
  void say(RequestId id, std::int32_t index, TokenId token, FinishReason finish = FinishReason::none) {
    say({.id = id, .index = index, .has_token = true, .token = token, .finish = finish});
  }
  void fail_at_head(RequestId id, GoesOn goes_on, Code code = Code::unavailable) {
    TokenEvent event{.id = id, .finish = FinishReason::failed, .error = Error{code, "[app] a runner was killed"}};
    event.goes_on = goes_on;
    say(event);
  }
  void lose(RequestId id, GoesOn goes_on = GoesOn::broken_off) {
    for (Member& member : view_.members) member.info.placements.clear();
    fail_at_head(id, goes_on);
  }
  std::vector<GenerateRequest> generates() const {
    std::vector<GenerateRequest> list;
    for (const auto& [to, frame] : sent_)
      if (frame.header.kind == FrameKind::generate) list.push_back(*decode_generate_request(frame.body));
    return list;
  }
  // The next order to load, and to whom.
  LoadModel ordered() {
    turn_until([&] { return std::ranges::contains(kinds_sent(), FrameKind::load_model); });
    for (const auto& [to, frame] : std::exchange(sent_, {}))
      if (frame.header.kind == FrameKind::load_model) {
        ordered_at_ = to;
        return *decode_load_model(frame.body);
      }
    return {};
  }
  void answer(const LoadModel& order, const Result<Placement>& loaded) {
    LoadResult result{.ticket = order.ticket, .ok = loaded.has_value()};
    if (loaded) result.placement = *loaded;
    if (!loaded) result.code = to_string(loaded.error().code), result.message = loaded.error().message;
    loads_.on_result(ordered_at_, result);
  }
  // Loads it again at harbour, and gives what is sent there then.
  GenerateRequest load_again(std::uint64_t placement = 8) {
    Placement loaded = placed_on(harbour_);
    loaded.id = {placement};
    answer(ordered(), loaded);
    turn_until([&] { return !generates().empty(); });
    head_ = harbour_;
    const GenerateRequest sent = generates().back();
    sent_.clear();
    return sent;
  }
  void turn_until(const std::function<bool()>& is_so) {
    for (int i = 0; i < 1000 && !is_so(); ++i) {
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(is_so());
  }
  std::vector<std::int32_t> indexes() const {
    std::vector<std::int32_t> list;
    for (const TokenEvent& event : events_) list.push_back(event.index);
    return list;
  }

  HeaderDesk headers_{*context_};
  StageHost stages_{*context_, 8ull << 30, 1};
  LoadDesk loads_{*context_, headers_};
  HeadDesk heads_{*context_, headers_, [](PlacementId, const Error&, GoesOn) {}};
  ReloadDesk::Clock::time_point now_ = ReloadDesk::Clock::now();
  ReloadDesk reloads_{*context_, loads_, [this] { return now_; }};
  RequestDesk requests_{*context_, heads_, stages_, reloads_};
  NodeId head_ = island_, ordered_at_;
  std::vector<TokenEvent> events_;
};

TEST_F(Resumes, AnAnswerGoesOnWhereItBrokeOffUnderANewPlacement) {
  ask(1);
  const GenerateRequest first = generates().at(0);
  EXPECT_THAT(first.resumed, IsEmpty());
  say(first.id, 0, 50);
  say(first.id, 1, 51);
  lose(first.id);
  EXPECT_TRUE(requests_.waits({1}));
  const LoadModel order = ordered();
  EXPECT_EQ(ordered_at_, island_) << "every entry node asks the same head first";
  EXPECT_TRUE(order.any_will_do);
  EXPECT_EQ(std::pair(order.context_tokens, order.sequences), std::pair(256u, 4u)) << "as it was";
  EXPECT_THAT(order.why_moved, HasSubstr("a runner was killed"));
  Placement loaded = placed_on(harbour_);
  loaded.id = {8};
  answer(order, loaded);
  turn_until([&] { return !generates().empty(); });
  const GenerateRequest second = generates().at(0);
  EXPECT_EQ(second.placement, PlacementId{8});
  EXPECT_EQ(second.prompt, first.prompt);
  EXPECT_EQ(second.tokens_max, first.tokens_max);
  EXPECT_THAT(second.resumed, ElementsAre(50, 51));
  head_ = harbour_;
  say(second.id, 2, 52);
  say(second.id, 3, 53, FinishReason::length);
  EXPECT_THAT(indexes(), ElementsAre(0, 1, 2, 3));
  for (const TokenEvent& event : events_) EXPECT_EQ(event.id, RequestId{1}) << "the client's name for it stays";
  EXPECT_EQ(requests_.open_requests(), 0u);
}

TEST_F(Resumes, ATokenIsHandedOnOnceAlsoWhereAHeadBeginsAnew) {
  ask(1);
  say({1}, 0, 50);
  say({1}, 1, 51);
  lose({1});
  const RequestId again = load_again().id;
  say(again, 0, 50);  // of a release that knows no resuming
  say(again, 1, 51);
  say(again, 2, 52);
  say(again, 2, 52);
  EXPECT_THAT(indexes(), ElementsAre(0, 1, 2));
}

TEST_F(Resumes, WhereATokenIsMissingTheAnswerEndsWithAnErrorAndIsCancelledAtItsHead) {
  ask(1);
  say({1}, 0, 50);
  sent_.clear();
  say({1}, 2, 52);
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_[1].finish, FinishReason::failed);
  EXPECT_EQ(events_[1].error->code, Code::corrupt);
  EXPECT_THAT(kinds_sent(), ElementsAre(FrameKind::cancel));
  EXPECT_EQ(requests_.open_requests(), 0u);
}

TEST_F(Resumes, WhatComesLateOfAnEarlierPlacementIsNobodys) {
  ask(1);
  say({1}, 0, 50);
  lose({1});
  head_ = island_;
  say({1}, 1, 99);
  Placement loaded = placed_on(island_);
  loaded.id = {8};
  answer(ordered(), loaded);
  turn_until([&] { return !generates().empty(); });
  say({1}, 1, 99);
  fail_at_head({1}, GoesOn::no);
  say(generates().at(0).id, 1, 51);
  ASSERT_THAT(indexes(), ElementsAre(0, 1));
  EXPECT_EQ(events_[1].token, 51);
}

TEST_F(Resumes, WhereTheModelIsUnloadedRequestsEnd) {
  ask(1);
  ask(2);
  say({1}, 0, 50);
  say({2}, 0, 50);
  fail_at_head({1}, GoesOn::no);
  EXPECT_EQ(events_.back().finish, FinishReason::failed);
  lose({2});
  answer(ordered(), fail(Code::cancelled, "[app] tiny was unloaded"));
  turn();
  EXPECT_EQ(requests_.open_requests(), 0u) << "who waits for it is told too";
  EXPECT_EQ(events_.back().error->code, Code::unavailable);
  EXPECT_THAT(events_.back().error->message, HasSubstr("unloaded"));
}

TEST_F(Resumes, TheHeadsOwnDeathIsALossLikeAnother) {
  ask(1);
  say({1}, 0, 50);
  view_.members.pop_back();
  requests_.on_node_lost(island_, {Code::closed, "[cluster] the connection is closed"});
  EXPECT_THAT(load_again().resumed, ElementsAre(50));
  EXPECT_EQ(ordered_at_, harbour_) << "planned among those who are left";
}

TEST_F(Resumes, WhereOnlyTheConnectionWasLostThePlacementIsUsedAgain) {
  ask(1);
  say({1}, 0, 50);
  sent_.clear();
  requests_.on_node_lost(island_, {Code::timeout, "[cluster] silent"});
  turn_until([&] { return !generates().empty(); });
  EXPECT_EQ(generates().at(0).placement, PlacementId{7});
  EXPECT_THAT(generates().at(0).resumed, ElementsAre(50));
}

TEST_F(Resumes, ARequestThatCameWhileThePlacementWasOutOfSightIsAnsweredByIt) {
  requests_.on_opened(placed_on(island_));
  view_.members[1].info.placements.clear();
  ask(1);
  view_.members[1].info.placements = {placed_on(island_)};
  turn_until([&] { return !generates().empty(); });
  EXPECT_EQ(generates().at(0).placement, PlacementId{7});
}

TEST_F(Resumes, AViewOlderThanTheNewsDoesNotBringThemBackToWhatIsGone) {
  ask(1);
  sent_.clear();
  fail_at_head({1}, GoesOn::broken_off);  // and the view says still that placement 7 is ready
  turn_until([&] { return !reloads_.waiting().empty(); });
  EXPECT_THAT(generates(), IsEmpty());
  view_.members[1].info.placements.clear();
  EXPECT_EQ(load_again().placement, PlacementId{8});
}

// Its head ends the placement and tells them why; were this taken for that, the cause would be the lesser one.
TEST_F(Resumes, ThatTheRingIsBrokenIsTheHeadsToSayAndNotItsRunners) {
  TokenEvent event{.id = {1}, .finish = FinishReason::failed, .error = Error{Code::closed, "a neighbour is gone"}};
  const auto runner_says = [&](GoesOn goes_on) {
    event.goes_on = goes_on;
    requests_.on_token_event(head_, make_frame(FrameKind::token_event, encode(event), Epoch{1, 1}));
  };
  ask(1);
  runner_says(GoesOn::broken_off);
  EXPECT_THAT(events_, IsEmpty());
  EXPECT_FALSE(requests_.waits({1}));
  runner_says(GoesOn::no);
  ASSERT_THAT(events_, testing::SizeIs(1));
  EXPECT_EQ(events_[0].error->message, "a neighbour is gone");
  ask(2);
  lose({2});
  EXPECT_TRUE(requests_.waits({2}));
}

TEST_F(Resumes, ARequestThatIsLostAgainAndAgainWithoutATokenBetweenIsGivenUp) {
  ask(1);
  RequestId id{1};
  for (std::uint64_t loss = 1; loss <= limits::resumes_max; ++loss) {
    lose(id);
    id = load_again(7 + loss).id;
  }
  say(id, 0, 50);  // this was not its doing
  for (std::uint64_t loss = 1; loss <= limits::resumes_max; ++loss) {
    lose(id);
    id = load_again(20 + loss).id;
  }
  lose(id);
  ASSERT_EQ(events_.back().finish, FinishReason::failed);
  EXPECT_EQ(events_.back().error->code, Code::internal);
  EXPECT_THAT(events_.back().error->message, HasSubstr("4 times"));
  EXPECT_THAT(events_.back().error->message, HasSubstr("a runner was killed"));
}

TEST_F(Resumes, WhatCameToAPlacementThatWasGoneIsNotTheCauseOfItsEnd) {
  ask(1);
  RequestId id{1};
  for (std::uint64_t loss = 1; loss <= 2 * limits::resumes_max; ++loss) {
    lose(id, GoesOn::not_begun);
    id = load_again(7 + loss).id;
  }
  EXPECT_THAT(events_, IsEmpty());
}

TEST_F(Resumes, WhereNoMachineCanHoldTheModelTheyWaitAndEveryoneSeesForWhatUntilTheDeadline) {
  ask(1);
  ask(2);
  say({1}, 0, 50);
  lose({1});
  lose({2});
  answer(ordered(), fail(Code::no_memory, "[planner] 2 GiB are missing"));
  ASSERT_EQ(reloads_.waiting().size(), 1u);
  EXPECT_EQ(reloads_.waiting()[0], (WaitingRequests{"tiny", 2, "[planner] 2 GiB are missing"}));
  EXPECT_GT(changes_, 0);
  view_.members[0].info.memory_free_bytes = view_.members[1].info.memory_free_bytes = 0;
  now_ += limits::resume_wait_max + std::chrono::seconds(1);
  turn_until([&] { return requests_.open_requests() == 0; });
  ASSERT_EQ(events_.size(), 3u);
  EXPECT_THAT(events_[2].error->message, HasSubstr("2 GiB are missing"));
  EXPECT_THAT(events_[2].error->message, HasSubstr("a runner was killed"));
  EXPECT_THAT(reloads_.waiting(), IsEmpty());
}

TEST_F(Resumes, AMachineThatReturnsEndsTheWait) {
  ask(1);
  say({1}, 0, 50);
  lose({1});
  answer(ordered(), fail(Code::no_memory, "[planner] 2 GiB are missing"));
  EXPECT_THAT(load_again().resumed, ElementsAre(50));
  EXPECT_THAT(reloads_.waiting(), IsEmpty());
}

TEST_F(Resumes, WhoComesMeanwhileWaitsWithThem) {
  ask(1);
  lose({1});
  answer(ordered(), fail(Code::no_memory, "[planner] 2 GiB are missing"));
  for (Member& member : view_.members) member.info.memory_free_bytes = 0;
  bool is_open = false;
  reloads_.open("tiny", [&](const Result<Placement>& found) { is_open = found.has_value(); });
  turn_until([&] { return reloads_.waiting()[0].requests == 2; });
  for (Member& member : view_.members) member.info.memory_free_bytes = 8ull << 30;
  load_again();
  turn_until([&] { return is_open; });
}

TEST_F(Resumes, WhoComesAsksOnceMoreWhereAMachineGoesAwayWhileTheModelIsLoaded) {
  view_.members[1].info.placements.clear();
  std::vector<Result<Placement>> found;
  reloads_.open("tiny", [&](const Result<Placement>& result) { found.push_back(result); });
  answer(ordered(), fail(Code::unavailable, "[app] island, which held layers of tiny, is gone"));
  EXPECT_TRUE(found.empty());
  answer(ordered(), placed_on(harbour_));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0]);
  reloads_.open("tiny", [&](const Result<Placement>& result) { found.push_back(result); });
  answer(ordered(), fail(Code::cancelled, "[app] tiny was unloaded"));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].error().code, Code::unavailable) << "and not brought back";
}

TEST_F(Resumes, OneOrderIsMadeHoweverManyWait) {
  for (const std::uint64_t id : {1, 2, 3}) ask(id);
  sent_.clear();
  for (const std::uint64_t id : {1, 2, 3}) lose({id});
  const LoadModel order = ordered();
  Placement loaded = placed_on(harbour_);
  loaded.id = {8};
  answer(order, loaded);
  turn_until([&] { return generates().size() == 3; });
  EXPECT_FALSE(std::ranges::contains(kinds_sent(), FrameKind::load_model));
}

TEST_F(Resumes, OfSeveralChoicesThoseThatAreDoneAreNotMadeAgain) {
  ask(1);
  ask(2);
  say({1}, 0, 50, FinishReason::length);
  say({2}, 0, 60);
  say({2}, 1, 61);
  sent_.clear();
  lose({2});
  const GenerateRequest sent = load_again();
  EXPECT_EQ(sent.choice, 1u);
  EXPECT_THAT(sent.resumed, ElementsAre(60, 61));
}

TEST_F(Resumes, APromptIsScoredOnceAndItsUsageStays) {
  GenerateRequest scored = request(1);
  scored.prompt_logprobs = true;
  ask(scored);
  say({.id = {1}, .index = -1, .has_token = true, .token = 2, .prompt_reused = 1});
  say({.id = {1}, .index = 0, .has_token = true, .token = 50, .prompt_reused = 1});
  lose({1});
  const GenerateRequest again = load_again();
  EXPECT_FALSE(again.prompt_logprobs);
  say({.id = again.id, .index = 1, .has_token = true, .token = 51, .prompt_reused = 2});
  EXPECT_EQ(events_.back().prompt_reused, 1u);
}

TEST_F(Resumes, WhoHangsUpWhileWaitingIsWaitedForNoMore) {
  ask(1);
  lose({1});
  const LoadModel order = ordered();
  requests_.cancel({1});
  EXPECT_THAT(reloads_.waiting(), IsEmpty());
  Placement loaded = placed_on(harbour_);
  loaded.id = {8};
  answer(order, loaded);
  turn();
  EXPECT_THAT(sent_, IsEmpty());
}

TEST_F(Resumes, WhereTheWayThereIsFullTheyTryAgain) {
  ask(1);
  say({1}, 0, 50);
  lose({1});
  crowded_ = harbour_;
  Placement loaded = placed_on(harbour_);
  loaded.id = {8};
  const LoadModel order = ordered();
  view_.members[0].info.placements = {loaded};
  answer(order, loaded);
  turn();
  turn();
  EXPECT_EQ(events_.size(), 1u);
  crowded_ = {};
  turn_until([&] { return !generates().empty(); });
  EXPECT_EQ(generates().at(0).placement, PlacementId{8});
}

TEST_F(Resumes, WhereTheHeadIsOutOfReachForAMomentItsPlacementIsUsedAfterwards) {
  unreachable_ = island_;
  ask(1);
  unreachable_ = {};
  turn_until([&] { return !generates().empty(); });
  EXPECT_EQ(generates().at(0).placement, PlacementId{7});
}

TEST_F(Resumes, WhereTheHeadStaysOutOfReachTheWaitEndsThoughItsPlacementIsSeen) {
  unreachable_ = island_;
  ask(1);
  now_ += limits::resume_wait_max + std::chrono::seconds(1);
  turn_until([&] { return requests_.open_requests() == 0; });
  EXPECT_THAT(events_.back().error->message, HasSubstr("not connected"));
}

// The connection has broken and is found out in two ways: a request cannot be sent, then its node is told lost.
TEST_F(Resumes, WhoCouldNotBeSentWaitsOnceAlsoWhereTheHeadIsToldLostThen) {
  unreachable_ = island_;
  ask(1);
  requests_.on_node_lost(island_, {Code::closed, "[cluster] the connection is closed"});
  turn();
  ASSERT_EQ(reloads_.waiting().size(), 1u);
  EXPECT_EQ(reloads_.waiting()[0].requests, 1u);
  unreachable_ = {};
  turn_until([&] { return !generates().empty(); });
  turn();
  EXPECT_EQ(generates().size(), 1u);
}

TEST_F(Resumes, AnotherFileOfTheSameNameIsNotWhatTheyWereAnsweredBy) {
  ask(1);
  say({1}, 0, 50);
  lose({1});
  Placement other = placed_on(harbour_);
  other.id = {8};
  other.fingerprint = std::string(64, 'a');
  answer(ordered(), other);
  turn();
  ASSERT_EQ(events_.back().finish, FinishReason::failed);
  EXPECT_THAT(events_.back().error->message, HasSubstr("another file"));
}

// --- The head's side ---

TEST_F(Resumes, AHeadThatHasThePlacementNoMoreSaysThatNothingWasBegun) {
  GenerateRequest stray = request(1);
  stray.placement = {99};
  requests_.on_generate(island_, make_frame(FrameKind::generate, encode(stray)));
  ASSERT_THAT(kinds_sent(), ElementsAre(FrameKind::token_event));
  EXPECT_EQ(decode_token_event(sent_[0].second.body)->goes_on, GoesOn::not_begun);
}

class LostHere : public Resumes {
 protected:
  LostHere() { view_.members[1].info.placements.clear(); }
  // Each order to prepare a stage, and to whom.
  std::vector<std::pair<NodeId, PrepareStage>> prepared() {
    turn();
    std::vector<std::pair<NodeId, PrepareStage>> orders;
    for (const auto& [to, frame] : std::exchange(sent_, {}))
      if (frame.header.kind == FrameKind::prepare_stage) orders.emplace_back(to, *decode_prepare_stage(frame.body));
    return orders;
  }
  // Plays the runners of what was ordered.
  void in_service(const std::vector<std::pair<NodeId, PrepareStage>>& orders) {
    for (const auto& [to, order] : orders)
      losing_.on_ready(
          to, {.placement = order.placement, .epoch = order.epoch, .stage_index = order.stage_index, .port = 1});
    for (const auto& [to, order] : orders)
      losing_.on_connected(to, {.placement = order.placement, .epoch = order.epoch, .stage_index = order.stage_index});
    sent_.clear();
  }
  std::vector<std::tuple<PlacementId, std::string, GoesOn>> ended_;
  HeadDesk losing_{*context_, headers_, [this](PlacementId id, const Error& cause, GoesOn goes_on) {
                     ended_.emplace_back(id, cause.message, goes_on);
                   }};
};

TEST_F(LostHere, AModelIsLoadedAgainAsItWasAndOnTheMachinesLeftWhereThatCannotBe) {
  losing_.on_load(harbour_, {.ticket = 1, .model = "tiny", .nodes = {"harbour", "island"}, .mode = "pipeline"});
  const auto before = prepared();
  ASSERT_EQ(before.size(), 2u);
  in_service(before);
  const PrepareStage& second = before[1].second;
  losing_.on_failed(island_, {second.placement, second.epoch, 1, "unavailable", "[app] a process was ended"});
  ASSERT_EQ(ended_.size(), 1u);
  EXPECT_EQ(ended_[0], std::tuple(second.placement, std::string("[app] a process was ended"), GoesOn::broken_off));
  losing_.on_failed(harbour_, {second.placement, second.epoch, 0, "unavailable", "[pipeline] a neighbour is gone"});
  EXPECT_EQ(ended_.size(), 1u) << "one cause";
  sent_.clear();

  const LoadModel again{.ticket = 2, .model = "tiny", .why_moved = "loaded again: it was ended", .any_will_do = true};
  losing_.on_load(island_, again);
  const auto like_before = prepared();
  ASSERT_EQ(like_before.size(), 2u);
  in_service(like_before);
  EXPECT_EQ(like_before[0].second.layers, before[0].second.layers);
  EXPECT_GT(like_before[0].second.epoch, before[0].second.epoch);

  view_.members.pop_back();
  losing_.on_node_lost(island_, {Code::closed, "[cluster] the connection is closed"});
  EXPECT_THAT(std::get<1>(ended_.at(1)), HasSubstr("island, which held layers of tiny, is gone"));
  losing_.on_load(harbour_, again);
  const auto alone = prepared();
  ASSERT_EQ(alone.size(), 1u);
  EXPECT_EQ(alone[0].second.layers, (LayerRange{0, 2}));
}

TEST_F(LostHere, WhoComesForRequestsTakesWhatIsThereAndReplacesNothing) {
  losing_.on_load(harbour_, {.ticket = 1, .model = "tiny"});
  EXPECT_EQ(prepared().size(), 1u);
  losing_.on_load(island_, {.ticket = 2, .model = "tiny", .context_tokens = 64, .any_will_do = true});
  EXPECT_THAT(prepared(), IsEmpty());
  EXPECT_THAT(ended_, IsEmpty());
  losing_.on_unload(harbour_, {3, "tiny"});
  std::vector<std::string> codes;
  for (const auto& [to, frame] : sent_)
    if (frame.header.kind == FrameKind::load_result)
      if (const auto result = decode_load_result(frame.body); !result->ok) codes.push_back(result->code);
  EXPECT_THAT(codes, ElementsAre("unavailable", "cancelled")) << "whose requests wait would else load it again";
  EXPECT_EQ(std::get<2>(ended_.at(0)), GoesOn::no);
}

}  // namespace
}  // namespace flotilla
