// Claims about the desk that spreads texts, alone: what it sends is caught, what comes back is told by the test.
#include "app/embed_desk.h"

#include <cstring>

#include "app/load_desk.h"
#include "app/test_desks.h"
#include "base/embed_limits.h"

namespace flotilla {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Copies of the model on both machines. A vector is (the text's first token, 0).
class EmbedDesks : public Desks {
 protected:
  EmbedDesks() {
    view_.members[0].info.placements = {copy_on(harbour_, 7)};
    view_.members[1].info.placements = {copy_on(island_, 8)};
    embeds_.on_opened(view_.members[0].info.placements[0]);
  }

  Placement copy_on(const NodeId& head, std::uint64_t id) {
    Placement placement = placed_on(head);
    placement.id = {id};
    placement.embeds = true;
    return placement;
  }

  // `count` texts of `length` tokens that begin with `first`, `first` + 1, …
  void ask(std::uint64_t id, std::size_t count, std::size_t length, TokenId first = 1) {
    EmbedRequest request{.id = {id}, .placement = {7}, .texts = {}};
    for (std::size_t i = 0; i < count; ++i) {
      request.texts.emplace_back(length, 0);
      request.texts.back().front() = first + static_cast<TokenId>(i);
    }
    embeds_.embed(std::move(request),
                  [this, id](Result<TextVectors> vectors) { answers_[id].push_back(std::move(vectors)); });
  }

  struct Sent {
    NodeId to;
    EmbedRequest batch;
  };
  std::vector<Sent> take_sent() {
    std::vector<Sent> batches;
    for (const auto& [to, frame] : std::exchange(sent_, {}))
      if (frame.header.kind == FrameKind::embed) batches.push_back({to, decode_embed_request(frame.body).value()});
    return batches;
  }

  void answer(const Sent& sent) {
    EmbedResult result{.id = sent.batch.id, .length = 2, .vectors = {}, .error = {}};
    for (const TextTokens& text : sent.batch.texts) {
      const float values[] = {static_cast<float>(text.front()), 0};
      const auto bytes = std::as_bytes(std::span(values));
      result.vectors.insert(result.vectors.end(), bytes.begin(), bytes.end());
    }
    embeds_.on_embedding(sent.to, make_frame(FrameKind::embedding, encode(result)));
  }

  void fail_batch(const Sent& sent, Code code, GoesOn goes_on) {
    const EmbedResult result{.id = sent.batch.id, .vectors = {}, .error = Error{code, "it failed"}, .goes_on = goes_on};
    embeds_.on_embedding(sent.to, make_frame(FrameKind::embedding, encode(result)));
  }

  // Whatever is sent, until nothing is.
  void answer_all(const std::function<bool(const Sent&)>& is_alive = [](const Sent&) { return true; }) {
    for (auto batches = take_sent(); !batches.empty(); batches = take_sent())
      for (const Sent& sent : batches)
        if (is_alive(sent)) answer(sent);
  }

  void expect_vectors(std::uint64_t id, std::size_t count, TokenId first = 1) {
    ASSERT_EQ(answers_[id].size(), 1u);
    const auto& answer = answers_[id].front();
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_EQ(answer->values.size(), 2 * count);
    for (std::size_t i = 0; i < count; ++i)
      EXPECT_EQ(answer->values[2 * i], static_cast<float>(first + static_cast<TokenId>(i)));
  }

  HeaderDesk headers_{*context_};
  StageHost stages_{*context_, 8ull << 30, 1};
  HeadDesk heads_{*context_, headers_, [](PlacementId, const Error&, GoesOn) {}};
  LoadDesk loads_{*context_, headers_};
  ReloadDesk reloads_{*context_, loads_};
  EmbedDesk embeds_{*context_, heads_, stages_, reloads_};
  std::map<std::uint64_t, std::vector<Result<TextVectors>>> answers_;
};

TEST_F(EmbedDesks, BatchesGoToBothMachinesAndAFewAtATime) {
  ask(1, 100, 64);
  const auto first = take_sent();
  ASSERT_EQ(first.size(), 2 * limits::embed_batches_under_way);
  std::size_t here = 0;
  for (const auto& [to, batch] : first) {
    EXPECT_EQ(batch.texts.size(), limits::embed_batch_tokens_max / 64);
    EXPECT_EQ(batch.placement, PlacementId{to == harbour_ ? 7u : 8u});
    here += to == harbour_;
  }
  EXPECT_EQ(here, limits::embed_batches_under_way);
  answer(first[0]);
  const auto next = take_sent();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].to, first[0].to);  // who has answered has the least to do
  answer(next[0]);
  for (std::size_t i = 1; i < first.size(); ++i) answer(first[i]);
  answer_all();
  expect_vectors(1, 100);
  EXPECT_EQ(embeds_.open_requests(), 0u);
}

TEST_F(EmbedDesks, OneTextDoesNotWaitForThousandsOfAnothers) {
  ask(1, 2000, 64);
  const auto before = take_sent();
  ask(2, 1, 64, 5000);
  EXPECT_THAT(take_sent(), IsEmpty());
  answer(before[0]);
  const auto next = take_sent();
  ASSERT_EQ(next.size(), 1u);
  answer(next[0]);
  expect_vectors(2, 1, 5000);
  EXPECT_THAT(answers_[1], IsEmpty());
}

TEST_F(EmbedDesks, BatchesOfAMachineThatDiesAreMadeByTheOther) {
  ask(1, 60, 64);
  auto sent = take_sent();
  const Sent of_island = *std::ranges::find(sent, island_, &Sent::to);
  view_.members.pop_back();
  embeds_.on_node_lost(island_, {Code::closed, "the connection ended"});
  answer(of_island);  // too late: it is not heard twice
  for (const Sent& each : sent)
    if (each.to == harbour_) answer(each);
  answer_all([&](const Sent& each) { return each.to == harbour_; });
  expect_vectors(1, 60);
}

TEST_F(EmbedDesks, ACopyThatIsGoneIsNotAskedAgainAndTheOtherDoesItsWork) {
  ask(1, 60, 64);
  for (const Sent& each : take_sent())
    each.to == island_ ? fail_batch(each, Code::unavailable, GoesOn::broken_off) : answer(each);
  for (auto batches = take_sent(); !batches.empty(); batches = take_sent())
    for (const Sent& each : batches) {
      EXPECT_EQ(each.to, harbour_);  // though the view has the other still
      answer(each);
    }
  expect_vectors(1, 60);
}

TEST_F(EmbedDesks, WhereTheOnlyCopyIsGoneTheModelIsLoadedAgain) {
  view_.members.pop_back();
  ask(1, 3, 10);
  const auto sent = take_sent();
  ASSERT_EQ(sent.size(), 1u);
  view_.members[0].info.placements.clear();
  fail_batch(sent[0], Code::unavailable, GoesOn::broken_off);
  EXPECT_THAT(answers_[1], IsEmpty());
  ASSERT_EQ(reloads_.waiting().size(), 1u);
  EXPECT_EQ(reloads_.waiting()[0].model, "tiny");
  embeds_.cancel({1});
  EXPECT_THAT(reloads_.waiting(), IsEmpty());
}

TEST_F(EmbedDesks, WhatWaitsForAModelThatIsUnloadedFailsWithIt) {
  view_.members.pop_back();
  ask(1, limits::embed_batches_under_way, limits::embed_batch_tokens_max);
  ask(2, 1, 10, 5000);
  const auto sent = take_sent();
  ASSERT_EQ(sent.size(), limits::embed_batches_under_way);
  view_.members[0].info.placements.clear();
  for (const Sent& each : sent) fail_batch(each, Code::unavailable, GoesOn::no);
  for (const std::uint64_t id : {1, 2}) {
    ASSERT_EQ(answers_[id].size(), 1u) << id;
    EXPECT_EQ(answers_[id][0].error().code, Code::unavailable);
  }
  EXPECT_THAT(take_sent(), IsEmpty());
  EXPECT_THAT(reloads_.waiting(), IsEmpty());
}

TEST_F(EmbedDesks, ATextThatCostsOneCopyAfterAnotherIsGivenUp) {
  ask(1, 1, 10);
  for (std::uint64_t id = 100; answers_[1].empty() && id < 120; ++id) {
    const auto sent = take_sent();
    ASSERT_EQ(sent.size(), 1u);
    view_.members[1].info.placements.push_back(copy_on(island_, id));
    fail_batch(sent[0], Code::unavailable, GoesOn::broken_off);
  }
  ASSERT_EQ(answers_[1].size(), 1u);
  ASSERT_FALSE(answers_[1][0]);
  EXPECT_THAT(answers_[1][0].error().message, HasSubstr("lost 4 times"));
}

TEST_F(EmbedDesks, WhatARunnerRefusesIsToldAndACancelledRequestIsNot) {
  ask(1, 1, 10);
  const auto refused = take_sent();
  fail_batch(refused.at(0), Code::invalid_argument, GoesOn::no);
  ASSERT_EQ(answers_[1].size(), 1u);
  EXPECT_EQ(answers_[1][0].error().code, Code::invalid_argument);
  ask(2, 1, 10);
  const auto sent = take_sent();
  embeds_.cancel({2});
  answer(sent.at(0));
  EXPECT_THAT(answers_[2], IsEmpty());
  EXPECT_EQ(embeds_.open_requests(), 0u);
}

TEST_F(EmbedDesks, TooManyTokensAreRefusedAsBusy) {
  for (std::uint64_t id = 1; answers_.empty(); ++id) {
    ASSERT_LT(id, 40u);
    ask(id, 1000, 512);
    turn();
  }
  const auto& [id, answers] = *answers_.begin();
  ASSERT_FALSE(answers.at(0));
  EXPECT_EQ(answers[0].error().code, Code::busy);
  EXPECT_GT(id, 30u);
}

TEST_F(EmbedDesks, AHolderPassesNothingToARunnerItHasNot) {
  const EmbedRequest batch{.id = {9}, .placement = {77}, .texts = {{1}}};
  embeds_.on_embed(island_, make_frame(FrameKind::embed, encode(batch)));
  ASSERT_EQ(sent_.size(), 1u);
  const auto result = decode_embed_result(sent_[0].second.body);
  ASSERT_TRUE(result && result->error);
  EXPECT_EQ(sent_[0].first, island_);
  EXPECT_EQ(result->goes_on, GoesOn::not_begun);
}

}  // namespace
}  // namespace flotilla
