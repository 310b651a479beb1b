// Claims about the scheduler. The fake model is a cache of tokens per slot and a hash of it: what a sequence is
// answered depends on every token before and on nothing else, so a mixed, lost or doubled row changes the answer.
#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "scheduler/draft_window.h"
#include "scheduler/flight_window.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr TokenId stop_token = 3;

TokenId next_token(std::span<const TokenId> tokens) {
  std::uint32_t hash = 17;
  for (const auto token : tokens) hash = hash * 31 + static_cast<std::uint32_t>(token) + 1;
  return static_cast<TokenId>((hash >> 3) % 40);
}

// A text that repeats itself, but for a surprise now and then.
TokenId repetitive_token(std::span<const TokenId> tokens) {
  if (tokens.size() % 23 == 0 || tokens.size() < 6) return next_token(tokens);
  return tokens[tokens.size() - 6];
}

using NextToken = TokenId (*)(std::span<const TokenId>);

GenerateRequest request(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens_max) {
  GenerateRequest made;
  made.id = RequestId{id};
  made.prompt = std::move(prompt);
  made.tokens_max = tokens_max;
  return made;
}

// The answer of a request that runs alone, by definition and without a scheduler.
std::vector<TokenId> answer_alone(const GenerateRequest& request, std::uint32_t context_tokens,
                                  NextToken next = next_token) {
  auto tokens = request.prompt;
  std::vector<TokenId> answer;
  while (answer.size() < request.tokens_max && tokens.size() < context_tokens) {
    const auto token = next(tokens);
    if (std::ranges::contains(request.stop_tokens, token)) break;
    answer.push_back(token);
    tokens.push_back(token);
  }
  return answer;
}

// Carries out steps as a stage would and keeps what came of every request.
class FakeModel {
 public:
  explicit FakeModel(const SchedulerOptions& options, NextToken next = next_token, std::uint32_t steps_max = 1)
      : options_(options), next_(next), steps_max_(steps_max), scheduler_(Scheduler::create(options)) {}

  Scheduler& scheduler() { return *scheduler_; }

  std::optional<StepBatch> begin(Scheduler::Now now = {}) {
    const auto step = scheduler_->next(Epoch{1, 1}, now, steps_max_);
    keep(scheduler_->take_events());
    if (!step) return std::nullopt;
    reads_prompts = step->reads_prompts;
    carry_out(step->batch);
    return step->batch;
  }
  // The oldest step comes back.
  void finish(Scheduler::Now now = {}) {
    const auto under_way = std::move(under_way_.front());
    under_way_.pop_front();
    keep(scheduler_->complete(under_way.step, sample(under_way), now));
  }
  void fail_all(const Error& cause) {
    under_way_.clear();
    keep(scheduler_->fail_all(cause));
  }
  std::size_t under_way() const { return under_way_.size(); }
  bool step() {
    const auto batch = begin();
    if (batch) finish();
    return batch.has_value();
  }
  void run() {
    while (begin() || !under_way_.empty())
      if (under_way_.size() == steps_max_ || !begin()) finish();
  }
  void keep(const std::vector<TokenEvent>& events) {
    for (const auto& event : events) {
      ASSERT_EQ(ends.count(event.id), 0u) << "an event after the last one of " << event.id.value;
      if (event.has_token && event.index >= 0) {
        ASSERT_EQ(static_cast<std::size_t>(event.index), answers[event.id].size());
        answers[event.id].push_back(event.token);
      } else if (event.has_token) {
        scores[event.id].push_back(event);
      }
      if (event.finish != FinishReason::none) ends.emplace(event.id, event);
    }
  }

  std::map<RequestId, std::vector<TokenId>> answers;
  std::map<RequestId, std::vector<TokenEvent>> scores;
  std::map<RequestId, TokenEvent> ends;
  bool reads_prompts = false;  // the step begun last

 private:
  void carry_out(const StepBatch& batch) {
    for (const auto slot : batch.free) caches_[slot].clear();
    for (const auto& [slot, keep] : batch.truncate) {
      ASSERT_LE(keep, caches_[slot].size());
      caches_[slot].resize(keep);
    }
    for (const auto& [from, to, positions] : batch.copy_prefix) {
      ASSERT_LE(positions, caches_[from].size());
      caches_[to].assign(caches_[from].begin(), caches_[from].begin() + positions);
    }
    ASSERT_LE(batch.rows.size(), options_.step_rows_max);
    std::set<SeqId> seen;
    std::vector<std::vector<TokenId>> wanted;
    for (std::size_t row = 0; row < batch.rows.size(); ++row) {
      const auto& [slot, position, token, wants_logits, likeliest] = batch.rows[row];
      if (row == 0 || batch.rows[row - 1].sequence != slot) {
        ASSERT_TRUE(seen.insert(slot).second) << "rows of a slot are not adjacent";
      }
      ASSERT_LT(slot.value, options_.sequences);
      ASSERT_LT(position, options_.context_tokens);
      auto& cache = caches_[slot];
      ASSERT_EQ(position, cache.size()) << "a position was skipped, repeated or a slot not freed";
      cache.push_back(token);
      if (wants_logits) wanted.push_back(cache);
    }
    ASSERT_EQ(batch.logits_rows(), wanted.size());
    ASSERT_GT(batch.step, last_step_);
    last_step_ = batch.step;
    under_way_.push_back({batch.step, std::move(wanted)});
    ASSERT_LE(under_way_.size(), steps_max_);
  }

  struct UnderWay {
    std::uint64_t step;
    std::vector<std::vector<TokenId>> wanted;  // of each row that wants logits, what its slot held up to it
  };

  std::vector<RowResult> sample(const UnderWay& under_way) {
    const auto rows = scheduler_->logits_rows(under_way.step);
    EXPECT_EQ(rows.size(), under_way.wanted.size());
    std::vector<RowResult> results;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const auto& held = under_way.wanted[row];
      const bool same = rows[row].score_token >= 0 || std::ranges::equal(rows[row].tokens, held);
      EXPECT_TRUE(same) << "history and cache differ";
      if (rows[row].score_token < 0) {
        EXPECT_EQ(rows[row].generated, held.size() - rows[row].request->prompt.size()) << "what randomness depends on";
      }
      results.push_back({next_(held), -1.0f, {}});
    }
    return results;
  }

  const SchedulerOptions options_;
  const NextToken next_;
  const std::uint32_t steps_max_;
  std::unique_ptr<Scheduler> scheduler_;
  std::map<SeqId, std::vector<TokenId>> caches_;
  std::deque<UnderWay> under_way_;
  std::uint64_t last_step_ = 0;
};

std::vector<TokenId> counting(std::size_t count) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<TokenId>(i % 37);
  return tokens;
}

TEST(Scheduler, AnAnswerEndsAtItsTokenLimit) {
  FakeModel model({});
  const auto asked = request(1, {5, 6, 7}, 6);
  ASSERT_TRUE(model.scheduler().submit(asked, {}));
  model.run();
  EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096));
  EXPECT_EQ(model.answers[asked.id].size(), 6u);
  EXPECT_EQ(model.ends.at(asked.id).finish, FinishReason::length);
  EXPECT_TRUE(model.ends.at(asked.id).has_token) << "the last token itself carries the end";
  EXPECT_TRUE(model.scheduler().idle());
}

TEST(Scheduler, AStopTokenEndsTheAnswerAndIsNotPartOfIt) {
  auto asked = request(1, {5, 6, 7}, 100);
  const auto free_run = answer_alone(asked, 4096);
  asked.stop_tokens = {free_run[4]};
  const auto expected = answer_alone(asked, 4096);
  FakeModel model({});
  ASSERT_TRUE(model.scheduler().submit(asked, {}));
  model.run();
  EXPECT_EQ(model.answers[asked.id], expected);
  EXPECT_LT(expected.size(), 5u);
  EXPECT_EQ(model.ends.at(asked.id).finish, FinishReason::stop);
  EXPECT_FALSE(model.ends.at(asked.id).has_token);
  EXPECT_EQ(model.ends.at(asked.id).index, static_cast<std::int32_t>(expected.size()));
}

TEST(Scheduler, PromptAndAnswerNeverExceedTheContext) {
  FakeModel model({.context_tokens = 16});
  ASSERT_TRUE(model.scheduler().submit(request(1, counting(12), 100), {}));
  model.run();
  EXPECT_EQ(model.answers[RequestId{1}].size(), 4u);
  EXPECT_EQ(model.ends.at(RequestId{1}).finish, FinishReason::length);
  const auto refused = model.scheduler().submit(request(2, counting(16), 1), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::context_length);
  EXPECT_THAT(refused.error().message, HasSubstr("16"));
}

TEST(Scheduler, RequestsThatCannotBeAnsweredAreRefusedAtOnce) {
  FakeModel model({.sequences = 1, .requests_queued_max = 2});
  EXPECT_EQ(model.scheduler().submit(request(1, {}, 1), {}).error().code, Code::invalid_argument);
  EXPECT_EQ(model.scheduler().submit(request(1, {1}, 0), {}).error().code, Code::invalid_argument);
  ASSERT_TRUE(model.scheduler().submit(request(1, {1}, 5), {}));
  EXPECT_EQ(model.scheduler().submit(request(1, {1}, 5), {}).error().code, Code::invalid_argument) << "the same id";
  ASSERT_TRUE(model.scheduler().submit(request(2, {1}, 5), {}));
  EXPECT_EQ(model.scheduler().submit(request(3, {1}, 5), {}).error().code, Code::busy);
  model.run();
  EXPECT_EQ(model.ends.size(), 2u);
}

// A prompt's scores need whole logits, and so does the choice behind it where probabilities are asked for.
TEST(Scheduler, RowsSayWhetherTheLikeliestTokenIsEnough) {
  FakeModel model({});
  auto greedy = request(1, {1, 2}, 5), scored = request(2, {3, 4, 5}, 5);
  greedy.sampling.temperature = scored.sampling.temperature = 0;
  scored.prompt_logprobs = true;
  scored.top_logprobs = 0;
  ASSERT_TRUE(model.scheduler().submit(greedy, {}));
  ASSERT_TRUE(model.scheduler().submit(scored, {}));
  ASSERT_TRUE(model.scheduler().submit(request(3, {6}, 5), {}));
  const auto batch = model.begin().value();
  std::vector<int> in_batch, told;
  for (const auto& row : batch.rows)
    if (row.wants_logits) in_batch.push_back(row.likeliest_is_enough);
  for (const auto& row : model.scheduler().logits_rows(batch.step)) told.push_back(row.likeliest_is_enough);
  EXPECT_THAT(in_batch, testing::UnorderedElementsAre(1, 0, 0, 0, 0));
  EXPECT_EQ(told, in_batch);
}

TEST(Scheduler, AnswersGoBeforePromptsAndALongPromptIsCutIntoChunks) {
  FakeModel model({.sequences = 3, .step_rows_max = 8});
  ASSERT_TRUE(model.scheduler().submit(request(1, {1, 2}, 50), {}));
  ASSERT_TRUE(model.step());
  ASSERT_TRUE(model.scheduler().submit(request(2, counting(10), 50), {}));

  auto batch = model.begin().value();
  ASSERT_EQ(batch.rows.size(), 8u);
  EXPECT_EQ(batch.rows[0].position, 2u) << "the answer under way";
  EXPECT_TRUE(batch.rows[0].wants_logits);
  EXPECT_EQ(batch.rows[7].position, 6u) << "seven rows of the second prompt";
  EXPECT_FALSE(batch.rows[7].wants_logits);
  model.finish();
  ASSERT_TRUE(model.scheduler().submit(request(3, counting(4), 50), {}));

  batch = model.begin().value();
  ASSERT_EQ(batch.rows.size(), 8u) << "one answer row, the last three of the second prompt, the third prompt whole";
  EXPECT_EQ(batch.rows[3].position, 9u);
  EXPECT_TRUE(batch.rows[3].wants_logits);
  EXPECT_TRUE(batch.rows[7].wants_logits);
  EXPECT_EQ(batch.logits_rows(), 3u);
}

// Pieces of four, four and one row. Of a scored prompt every row wants logits, of another the last piece's only one: as
// if they were answers.
TEST(Scheduler, AStepSaysThatItReadsAPromptAlsoWhereEveryRowWantsLogits) {
  for (const bool scored : {false, true}) {
    FakeModel model({.step_rows_max = 4});
    auto asked = request(1, counting(9), 3);
    asked.prompt_logprobs = scored;
    asked.speculate = false;
    ASSERT_TRUE(model.scheduler().submit(asked, {}));
    std::vector<bool> reads;
    for (; model.begin(); model.finish()) reads.push_back(model.reads_prompts);
    EXPECT_THAT(reads, ElementsAre(true, true, true, false, false)) << (scored ? "scored" : "not scored");
  }
}

TEST(Scheduler, AnAnswerBesideAPromptDoesNotHideThatAStepReads) {
  FakeModel model({});
  ASSERT_TRUE(model.scheduler().submit(request(1, {1, 2}, 50), {}));
  ASSERT_TRUE(model.step());
  ASSERT_TRUE(model.scheduler().submit(request(2, {7}, 50), {}));
  EXPECT_EQ(model.begin()->logits_rows(), 2u);
  EXPECT_TRUE(model.reads_prompts);
  model.finish();
  ASSERT_TRUE(model.step());
  EXPECT_FALSE(model.reads_prompts);
}

// --- Short and long prompts ---

using namespace std::chrono_literals;

// Rows of each step that reads a request alone in a fresh scheduler, each row taking `row_time`.
std::vector<std::size_t> chunks_alone(std::size_t prompt_tokens, Scheduler::Now::duration row_time) {
  FakeModel model({.sequences = 1, .context_tokens = 8192});
  EXPECT_TRUE(model.scheduler().submit(request(1, counting(prompt_tokens), 1), {}));
  std::vector<std::size_t> chunks;
  for (Scheduler::Now now{}; const auto batch = model.begin(now);) {
    chunks.push_back(batch->rows.size());
    model.finish(now += row_time * batch->rows.size());
  }
  return chunks;
}

TEST(Scheduler, APromptAloneIsReadInEqualPiecesWhateverTheyTake) {
  EXPECT_THAT(chunks_alone(30, 1ms), ElementsAre(30));
  EXPECT_THAT(chunks_alone(120, 1ms), ElementsAre(120)) << "no smaller piece after one of 64";
  EXPECT_THAT(chunks_alone(200, 1ms), ElementsAre(64, 64, 72));
  EXPECT_THAT(chunks_alone(559, 1ms), ElementsAre(64, 64, 64, 64, 64, 64, 64, 64, 47)) << "512 rows, then the rest";
  EXPECT_EQ(chunks_alone(6000, 0ms), chunks_alone(6000, 1s));
  EXPECT_EQ(chunks_alone(6000, 1ms)[31], 64u);
  EXPECT_EQ(chunks_alone(6000, 1ms)[32], 32u) << "2,048 are read";
}

// Twelve prompts of 100 tokens at once, each row taking 5 ms: steps of 120 rows, filled with part of the next prompt.
TEST(Scheduler, WhereManyPromptsWaitStepsAreLongAndFull) {
  FakeModel model({.sequences = 12, .context_tokens = 512});
  for (std::uint64_t id = 1; id <= 12; ++id) ASSERT_TRUE(model.scheduler().submit(request(id, counting(100), 1), {}));
  std::vector<std::size_t> steps;
  for (Scheduler::Now now{}; const auto batch = model.begin(now);) {
    steps.push_back(batch->rows.size());
    model.finish(now += 5ms * batch->rows.size());
  }
  ASSERT_GT(steps.size(), 8u);
  EXPECT_EQ(steps[0], 64u) << "nobody knows yet what a row takes";
  EXPECT_THAT(std::vector(steps.begin() + 1, steps.begin() + 7),
              testing::Each(testing::AllOf(testing::Gt(112u), testing::Le(120u))));
  EXPECT_EQ(model.ends.size(), 12u);
}

// A long prompt of request 1 of which some steps have been read, each row taking 5 ms.
class BesideALongPrompt : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(model.scheduler().submit(request(1, counting(6000), 4), now));
    for (int steps = 0; steps < 10; ++steps) step();
  }
  StepBatch step() {
    const auto batch = model.begin(now).value();
    model.finish(now += 5ms * batch.rows.size());
    return batch;
  }
  void ask(std::uint64_t id, std::size_t prompt_tokens, std::uint32_t answer_tokens) {
    ASSERT_TRUE(model.scheduler().submit(request(id, counting(prompt_tokens), answer_tokens), now));
  }

  FakeModel model{{.context_tokens = 8192}};
  Scheduler::Now now{};
};

TEST_F(BesideALongPrompt, AShortChatOvertakesItAndItsStepHoldsNothingElse) {
  ask(2, 30, 1);
  EXPECT_EQ(step().rows.size(), 30u);
  EXPECT_TRUE(model.ends.contains(RequestId{2}));
}

TEST_F(BesideALongPrompt, AChatWaitsForNoMoreRowsThanAPiece) {
  const auto under_way = model.begin(now).value();
  ask(2, 30, 1);
  EXPECT_EQ(under_way.rows.size(), 64u);
  model.finish(now += 1s);
  step();
  EXPECT_TRUE(model.ends.contains(RequestId{2}));
}

TEST_F(BesideALongPrompt, ShortPromptsShareAStepWhereTheyFitWhole) {
  ask(2, 20, 1);
  ask(3, 50, 1);
  ask(4, 30, 1);
  EXPECT_EQ(step().rows.size(), 50u) << "20 and 30; 50 more were too many";
  EXPECT_EQ(step().rows.size(), 50u);
  EXPECT_EQ(model.ends.size(), 3u);
}

TEST_F(BesideALongPrompt, ARunningAnswerHasATokenInEveryStepAndNoStepIsLong) {
  ask(2, 30, 40);
  step();
  for (std::uint32_t token = 2; token <= 40; ++token) {
    const auto before = now;
    step();
    EXPECT_EQ(model.answers[RequestId{2}].size(), token);
    EXPECT_LE(now - before, 160ms) << "30 rows of the prompt and one of the answer";
  }
  EXPECT_GT(now - Scheduler::Now{}, 3s) << "the prompt was read meanwhile";
}

TEST_F(BesideALongPrompt, ItIsReadInWholePiecesAgainWhenNobodyCameForAWhile) {
  ask(2, 30, 1);
  step();
  EXPECT_EQ(step().rows.size(), 32u) << "150 ms, in fours: whoever asked may ask again";
  now += 9s;
  EXPECT_LT(step().rows.size(), 64u);
  now += 1s;
  EXPECT_EQ(step().rows.size(), 64u);
}

TEST_F(BesideALongPrompt, NobodyWatchesTheAnswersOfBatchWork) {
  auto batch_work = request(2, counting(30), 40);
  batch_work.request_class = RequestClass::batch;
  ASSERT_TRUE(model.scheduler().submit(batch_work, now));
  EXPECT_EQ(step().rows[0].position, 640u) << "people's prompts first, however long";
  now += 60s;
  model.scheduler().cancel(RequestId{1});
  step();
  ask(3, 500, 1);
  EXPECT_EQ(step().rows.size(), 68u)
      << "64 of the prompt and one of the answer, and three more to make them come in fours";
}

// However many short prompts come, at every moment as many as there are slots.
TEST_F(BesideALongPrompt, ItHasAStepOfFourHoweverManyOvertakeIt) {
  constexpr std::size_t rows_left = 6000 - 640;
  std::size_t rows = 0, steps = 0, since = 0;
  for (std::uint64_t id = 2; rows < rows_left; ++steps) {
    ASSERT_LT(steps, 4 * rows_left / 8) << "eight rows of every fourth step at the very least";
    while (model.scheduler().running() + model.scheduler().queued() < 6) ask(id++, 30, 1);
    const auto batch = step();
    const auto mine = std::ranges::count_if(batch.rows, [](const StepRow& row) { return row.position >= 640; });
    rows += static_cast<std::size_t>(mine);
    since = mine > 0 ? 0 : since + 1;
    ASSERT_LE(since, 3u);
  }
  EXPECT_GT(model.ends.size(), steps / 2) << "and the short ones are answered meanwhile";
}

TEST(Scheduler, TheFirstToComeIsTheFirstToRunAndBatchWorkWaitsForPeople) {
  FakeModel model({.sequences = 1});
  ASSERT_TRUE(model.scheduler().submit(request(1, {10}, 1), {}));
  auto batch_work = request(2, {20}, 1);
  batch_work.request_class = RequestClass::batch;
  ASSERT_TRUE(model.scheduler().submit(batch_work, {}));
  ASSERT_TRUE(model.scheduler().submit(request(3, {30}, 1), {}));
  ASSERT_TRUE(model.scheduler().submit(request(4, {31}, 1), {}));
  std::vector<TokenId> order;
  while (const auto batch = model.begin()) {
    order.push_back(batch->rows.front().token);
    model.finish();
  }
  EXPECT_THAT(order, ElementsAre(10, 30, 31, 20));
}

TEST(Scheduler, ACancelledRequestFreesItsSlotInTheVeryNextBatch) {
  FakeModel model({.sequences = 1});
  ASSERT_TRUE(model.scheduler().submit(request(1, {1, 2}, 50), {}));
  ASSERT_TRUE(model.scheduler().submit(request(2, {8, 9}, 2), {}));
  const auto first = model.begin().value();
  model.scheduler().cancel(RequestId{1});  // while its step is under way
  model.finish();
  EXPECT_THAT(model.answers[RequestId{1}], IsEmpty());

  const auto second = model.begin().value();
  EXPECT_EQ(model.ends.at(RequestId{1}).finish, FinishReason::cancelled);
  EXPECT_THAT(second.free, ElementsAre(first.rows[0].sequence));
  ASSERT_EQ(second.rows.size(), 2u);
  EXPECT_EQ(second.rows[0].token, 8);
  model.finish();
  model.run();
  EXPECT_EQ(model.answers[RequestId{2}], answer_alone(request(2, {8, 9}, 2), 4096));
  model.scheduler().cancel(RequestId{77});  // nobody knows it: ignored
}

TEST(Scheduler, AnEndedSequencesSlotIsClearedByTheStepThatUsesItAgain) {
  FakeModel model({.sequences = 1});
  ASSERT_TRUE(model.scheduler().submit(request(1, {1, 2}, 1), {}));
  model.run();
  EXPECT_FALSE(model.begin()) << "no step for the sake of a free order";
  ASSERT_TRUE(model.scheduler().submit(request(2, {1, 2}, 1), {}));
  EXPECT_EQ(model.begin()->free.size(), 1u);
}

GenerateRequest shared(std::uint64_t id, std::vector<TokenId> prompt, std::uint64_t scope = 7) {
  auto made = request(id, std::move(prompt), 2);
  made.cache_scope = scope;
  return made;
}

TEST(Scheduler, APromptThatBeginsLikeAnEarlierOneComputesOnlyTheRest) {
  FakeModel model({.sequences = 2});
  ASSERT_TRUE(model.scheduler().submit(shared(1, counting(100)), {}));
  model.run();
  auto longer = counting(130);
  ASSERT_TRUE(model.scheduler().submit(shared(2, longer), {}));
  const auto batch = model.begin().value();
  EXPECT_EQ(batch.rows.size(), 30u);
  EXPECT_EQ(batch.rows[0].position, 100u);
  EXPECT_THAT(batch.copy_prefix, IsEmpty()) << "continued where it lies";
  model.finish();
  model.run();
  EXPECT_EQ(model.ends.at(RequestId{2}).prompt_reused, 100u);
  EXPECT_EQ(model.answers[RequestId{2}], answer_alone(shared(2, longer), 4096));
}

TEST(Scheduler, TheSamePromptAgainComputesItsLastTokenForTheLogits) {
  FakeModel model({.sequences = 2});
  for (std::uint64_t id = 1; id <= 2; ++id) {
    ASSERT_TRUE(model.scheduler().submit(shared(id, counting(100)), {}));
    model.run();
  }
  EXPECT_EQ(model.ends.at(RequestId{2}).prompt_reused, 99u);
  EXPECT_EQ(model.answers[RequestId{2}], model.answers[RequestId{1}]);
}

TEST(Scheduler, AnAnswerUnderWayLendsItsPrefixByOneCopy) {
  FakeModel model({.sequences = 3});
  auto first = shared(1, counting(100));
  first.tokens_max = 50;
  ASSERT_TRUE(model.scheduler().submit(first, {}));
  ASSERT_TRUE(model.step());
  ASSERT_TRUE(model.scheduler().submit(shared(2, counting(100)), {}));
  const auto batch = model.begin().value();
  ASSERT_EQ(batch.copy_prefix.size(), 1u);
  EXPECT_EQ(batch.copy_prefix[0].positions, 99u);
  EXPECT_EQ(batch.rows.size(), 2u);
  model.finish();
  model.run();
  EXPECT_EQ(model.answers[first.id], answer_alone(first, 4096));
  EXPECT_EQ(model.answers[RequestId{2}], answer_alone(shared(2, counting(100)), 4096));
}

TEST(Scheduler, ALongPrefixThatManyShareIsNotGivenUpForTheFirstOfThem) {
  FakeModel model({.sequences = 2});
  ASSERT_TRUE(model.scheduler().submit(shared(1, counting(200)), {}));
  model.run();
  auto branch = counting(60);
  branch.back() = 39;
  ASSERT_TRUE(model.scheduler().submit(shared(2, branch), {}));
  model.run();
  ASSERT_TRUE(model.scheduler().submit(shared(3, counting(200)), {}));
  model.run();
  EXPECT_EQ(model.ends.at(RequestId{2}).prompt_reused, 59u);
  EXPECT_EQ(model.ends.at(RequestId{3}).prompt_reused, 199u);
}

TEST(Scheduler, NothingIsReusedAcrossScopesForScoresOrWithoutAScope) {
  FakeModel model({.sequences = 2});
  ASSERT_TRUE(model.scheduler().submit(shared(1, counting(100), 7), {}));
  model.run();
  auto scored = shared(4, counting(100), 7);
  scored.prompt_logprobs = true;
  for (const auto& asked :
       {shared(2, counting(100), 8), shared(3, counting(100), 0), shared(5, counting(100), 0), scored}) {
    ASSERT_TRUE(model.scheduler().submit(asked, {}));
    model.run();
    EXPECT_EQ(model.ends.at(asked.id).prompt_reused, 0u) << asked.id.value;
  }
}

TEST(Scheduler, NothingIsReusedAfterAStepThatFailed) {
  FakeModel model({.sequences = 1});
  ASSERT_TRUE(model.scheduler().submit(shared(1, counting(100)), {}));
  ASSERT_TRUE(model.begin());
  model.fail_all({Code::unavailable, "stage 2 is gone"});
  ASSERT_TRUE(model.scheduler().submit(shared(2, counting(100)), {}));
  model.run();
  EXPECT_EQ(model.ends.at(RequestId{2}).prompt_reused, 0u);
  EXPECT_EQ(model.answers[RequestId{2}], answer_alone(shared(2, counting(100)), 4096));
}

TEST(Scheduler, ChoicesOfOnePromptComputeItOnce) {
  FakeModel model({.sequences = 4});
  for (std::uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(model.scheduler().submit(shared(id, counting(100)), {}));
  EXPECT_EQ(model.begin()->rows.size(), 100u);
  model.finish();
  const auto batch = model.begin().value();
  EXPECT_EQ(batch.copy_prefix.size(), 2u);
  EXPECT_EQ(batch.rows.size(), 3u) << "the first one's answer and the last token of two prompts";
  model.finish();
  model.run();
  for (std::uint64_t id = 1; id <= 3; ++id)
    EXPECT_EQ(model.answers[RequestId{id}], answer_alone(shared(id, counting(100)), 4096));
}

TEST(Scheduler, WhoWaitsForAPrefixIsNotLostWithIt) {
  FakeModel model({.sequences = 4});
  for (std::uint64_t id = 1; id <= 2; ++id) ASSERT_TRUE(model.scheduler().submit(shared(id, counting(400)), {}));
  ASSERT_TRUE(model.step());
  EXPECT_EQ(model.scheduler().queued(), 1u);
  model.scheduler().cancel(RequestId{1});
  model.run();
  EXPECT_EQ(model.ends.at(RequestId{2}).prompt_reused, 64u) << "what had been computed by then";
  EXPECT_EQ(model.answers[RequestId{2}], answer_alone(shared(2, counting(400)), 4096));
}

TEST(Scheduler, PeopleDoNotWaitForThePrefixOfBatchWork) {
  FakeModel model({.sequences = 4});
  auto batch_work = shared(1, counting(400));
  batch_work.request_class = RequestClass::batch;
  ASSERT_TRUE(model.scheduler().submit(batch_work, {}));
  ASSERT_TRUE(model.step());
  ASSERT_TRUE(model.scheduler().submit(shared(2, counting(400)), {}));
  ASSERT_TRUE(model.step());
  EXPECT_EQ(model.scheduler().queued(), 0u);
}

// --- Several steps under way ---

TEST(Scheduler, PiecesOfAPromptFollowEachOtherWithoutWaiting) {
  FakeModel model({.sequences = 1}, next_token, 3);
  const auto asked = request(1, counting(319), 4);
  ASSERT_TRUE(model.scheduler().submit(asked, {}));
  std::vector<std::uint32_t> first_positions;
  while (const auto batch = model.begin()) first_positions.push_back(batch->rows[0].position);
  EXPECT_THAT(first_positions, ElementsAre(0, 64, 128)) << "three are under way";
  model.finish();
  EXPECT_EQ(model.begin()->rows.size(), 127u) << "the rest";
  model.finish();
  EXPECT_FALSE(model.begin()) << "its answer waits for the last piece";
  model.finish();
  EXPECT_FALSE(model.begin());
  model.finish();
  EXPECT_TRUE(model.begin());
  model.finish();
  model.run();
  EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096));
}

TEST(Scheduler, AnswersAreSplitIntoPartsThatTakeTurns) {
  FakeModel model({.sequences = 7}, next_token, 2);
  for (std::uint64_t id = 1; id <= 7; ++id) {
    auto asked = request(id, {static_cast<TokenId>(id)}, 100);
    asked.speculate = false;
    ASSERT_TRUE(model.scheduler().submit(asked, {}));
  }
  std::vector<std::size_t> rows;
  for (int turn = 0; turn < 12; ++turn) {
    while (const auto batch = model.begin()) rows.push_back(batch->rows.size());
    model.finish();
  }
  EXPECT_EQ(rows[0], 7u) << "the prompts";
  EXPECT_THAT(std::vector(rows.end() - 4, rows.end()), testing::Each(testing::AnyOf(3u, 4u)));
  for (std::uint64_t id = 1; id <= 7; ++id) EXPECT_GE(model.answers[RequestId{id}].size(), 5u);
}

TEST(Scheduler, APrefixIsCopiedWhileTheStepsThatComputeItAreUnderWay) {
  FakeModel model({.sequences = 3}, next_token, 4);
  ASSERT_TRUE(model.scheduler().submit(shared(1, counting(100)), {}));
  ASSERT_TRUE(model.begin());
  ASSERT_TRUE(model.scheduler().submit(shared(2, counting(100)), {}));
  const auto batch = model.begin().value();
  ASSERT_EQ(batch.copy_prefix.size(), 1u);
  EXPECT_EQ(batch.copy_prefix[0].positions, 99u);
  model.run();
  for (std::uint64_t id = 1; id <= 2; ++id)
    EXPECT_EQ(model.answers[RequestId{id}], answer_alone(shared(id, counting(100)), 4096));
}

TEST(Scheduler, ACancelledSlotIsGivenToTheNextByAnOrderBehindTheStepsThatUseIt) {
  FakeModel model({.sequences = 1}, next_token, 3);
  ASSERT_TRUE(model.scheduler().submit(request(1, counting(200), 9), {}));
  ASSERT_TRUE(model.scheduler().submit(request(2, {8, 9}, 2), {}));
  ASSERT_TRUE(model.begin());
  ASSERT_TRUE(model.begin());
  model.scheduler().cancel(RequestId{1});
  const auto batch = model.begin().value();
  EXPECT_THAT(batch.free, ElementsAre(SeqId{0}));
  EXPECT_EQ(batch.rows[0].token, 8);
  model.run();
  EXPECT_THAT(model.answers[RequestId{1}], IsEmpty());
  EXPECT_EQ(model.answers[RequestId{2}], answer_alone(request(2, {8, 9}, 2), 4096));
}

TEST(Scheduler, FailAllForgetsEveryStepUnderWay) {
  FakeModel model({.sequences = 2}, next_token, 3);
  ASSERT_TRUE(model.scheduler().submit(request(1, counting(300), 5), {}));
  while (model.begin()) {
  }
  model.fail_all({Code::unavailable, "stage 2 is gone"});
  EXPECT_EQ(model.ends.size(), 1u);
  const auto asked = request(2, counting(300), 5);
  ASSERT_TRUE(model.scheduler().submit(asked, {}));
  model.run();
  EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096));
}

using Milliseconds = std::chrono::duration<double, std::milli>;

// A ring that always has something to do, and whose stages take so long for a step.
struct ModelledRing {
  std::vector<std::chrono::milliseconds> stages;
  std::chrono::milliseconds latency{};  // of all its hops together
  // Answers, as of the step of that number: each has a row in one step at a time, and a stage's time is that of a step
  // with its part of them. Empty: prompts, whose steps are all alike.
  std::function<std::uint32_t(int)> answers;
  double price_of_few = 1;  // of a row where a step has less than its stages' part of all rows
  double jitter = 0;        // a stage takes so much of its time more or less
};

struct FoundSteps {
  std::uint32_t at_the_end = 0;
  int beyond_stages = 0;  // how many steps were begun while more than the stages' number were allowed
  Milliseconds took{};
};

class RunOfRing {
 public:
  explicit RunOfRing(const ModelledRing& ring)
      : ring_(ring),
        stages_(static_cast<std::uint32_t>(ring.stages.size())),
        window_(ring.answers ? FlightWindow::Work::answers : FlightWindow::Work::prompts, stages_),
        free_at_(stages_) {}

  FoundSteps run(int steps) {
    while (done_ < steps)
      if (!begin()) finish();
    found_.at_the_end = window_.steps();
    found_.took = now_;
    return found_;
  }

 private:
  struct Step {
    std::uint32_t rows = 0;
    Milliseconds begun{}, back{};
  };

  // Rows of the next step; 0: there are none.
  std::uint32_t rows_due() const {
    if (!ring_.answers) return 8;
    const auto answers = ring_.answers(done_);
    auto due = answers;
    for (const Step& step : under_way_) due -= std::min(due, step.rows);
    return std::min(due, (answers + window_.steps() - 1) / window_.steps());
  }

  double share_of_a_step(std::uint32_t rows) const {
    if (!ring_.answers) return 1;
    const double share = static_cast<double>(rows * stages_) / ring_.answers(done_);
    return share < 1 ? share * ring_.price_of_few : share;
  }

  Milliseconds time_in(std::size_t stage, double share) {
    std::uniform_real_distribution<double> noise(1 - ring_.jitter, 1 + ring_.jitter);
    return ring_.stages[stage] * share * noise(random_);
  }

  bool begin() {
    const auto rows = rows_due();
    if (under_way_.size() >= window_.steps() || rows == 0) return false;
    const double share = share_of_a_step(rows);
    const auto begun = std::max(now_, free_at_[0]);
    auto at = now_ = free_at_[0] = begun + time_in(0, share);
    for (std::size_t stage = 1; stage < stages_; ++stage)
      at = free_at_[stage] = std::max(at, free_at_[stage]) + time_in(stage, share);
    under_way_.push_back({rows, begun, at + ring_.latency});
    if (window_.steps() > stages_) ++found_.beyond_stages;
    return true;
  }

  void finish() {
    const bool is_full = under_way_.size() >= window_.steps();
    const auto [rows, begun, back] = under_way_.front();
    under_way_.pop_front();
    const auto waited = std::max(back, now_) - now_;
    now_ += waited;
    window_.saw({.rows = rows,
                 .round = whole(now_ - begun),
                 .interval = whole(now_ - std::max(finished_, begun)),
                 .idle = is_full ? whole(waited) : FlightWindow::Duration{}});
    finished_ = now_;
    ++done_;
  }

  static FlightWindow::Duration whole(Milliseconds time) {
    return std::chrono::duration_cast<FlightWindow::Duration>(time);
  }

  const ModelledRing& ring_;
  const std::uint32_t stages_;
  FlightWindow window_;
  std::vector<Milliseconds> free_at_;
  std::deque<Step> under_way_;
  Milliseconds now_{}, finished_{};
  int done_ = 0;
  std::mt19937 random_{5};
  FoundSteps found_;
};

FoundSteps steps_found(const ModelledRing& ring, int steps) { return RunOfRing(ring).run(steps); }

std::uint32_t sixty_four(int) { return 64; }

TEST(FlightWindow, StagesOfOnePlaceHaveAStepEach) {
  EXPECT_EQ(steps_found({{10ms}, 100ms}, 200).at_the_end, 1u);
  EXPECT_EQ(steps_found({{10ms, 10ms}}, 200).at_the_end, 2u);
  EXPECT_EQ(steps_found({{10ms, 9ms, 10ms}, 1ms}, 200).at_the_end, 3u);
}

TEST(FlightWindow, AnUnevenRingGainsNothingByMore) {
  for (const auto slow : {13ms, 20ms, 40ms})
    for (const auto& stages : {std::vector{10ms, slow}, std::vector{slow, 10ms}}) {
      EXPECT_LE(steps_found({.stages = stages}, 3000).at_the_end, 3u) << slow.count() << ": pieces of prompts";
      const auto answering = steps_found({.stages = stages, .answers = sixty_four}, 3000);
      EXPECT_LT(answering.beyond_stages, 300) << slow.count() << ": a few trials";
    }
}

// 64 answers on two stages: two steps of 32 rows, or three of 22 whose rows are dearer. Where they cost the same, more
// steps do no harm, and what a trial finds is noise.
TEST(FlightWindow, AnswersAreNotSplitFurtherWhereTheirRowsThenCostMore) {
  for (const double price : {1.2, 1.5})
    for (const double jitter : {0.0, 0.1}) {
      const ModelledRing ring{
          .stages = {255ms, 300ms}, .answers = sixty_four, .price_of_few = price, .jitter = jitter};
      EXPECT_LT(steps_found(ring, 3000).beyond_stages, 300) << price << ": trials, " << jitter;
    }
}

// A trial that other work came into would else be made again at once, or kept for what that work brought.
TEST(FlightWindow, WorkThatChangesDoesNotSplitAnswersFurther) {
  for (const int every : {5, 9, 14, 23}) {
    const auto answers = [every](int step) { return step / every % 2 == 0 ? 40U : 64U; };
    const ModelledRing ring{.stages = {255ms, 300ms}, .answers = answers, .price_of_few = 1.3};
    EXPECT_LT(steps_found(ring, 3000).beyond_stages, 900) << every;
  }
}

TEST(FlightWindow, ATrialThatPromptsBreakOffEndsAndIsNotRepeatedAtOnce) {
  FlightWindow window(FlightWindow::Work::answers, 2);
  const auto steps_until_a_trial = [&] {
    int seen = 0;
    for (; window.steps() == 2 && seen < 200; ++seen)
      window.saw({.rows = 32, .round = 100ms, .interval = 100ms, .idle = 50ms});
    return seen;
  };
  EXPECT_LT(steps_until_a_trial(), 10);
  window.interrupt();
  EXPECT_EQ(window.steps(), 2u);
  const int rested = steps_until_a_trial();
  EXPECT_GT(rested, 28);
  EXPECT_LT(rested, 60);
}

TEST(FlightWindow, LongRoundTripsAreHiddenBySoManyStepsAsFitIntoThem) {
  EXPECT_EQ(steps_found({{25ms, 25ms}, 50ms}, 200).at_the_end, 4u);
  EXPECT_THAT(steps_found({{10ms, 20ms}, 50ms}, 200).at_the_end, testing::AnyOf(4u, 5u));
  EXPECT_EQ(steps_found({{1ms, 1ms}, 50ms}, 600).at_the_end, steps_under_way_max);
}

// It begins afresh three times meanwhile.
TEST(FlightWindow, LongRoundTripsStayHidden) {
  EXPECT_LT(steps_found({{25ms, 25ms}, 50ms}, 3500).took, 1.1 * 3500 * 25ms);
  EXPECT_LT(steps_found({.stages = {25ms, 25ms}, .latency = 50ms, .jitter = 0.1}, 3500).took, 1.2 * 3500 * 25ms);
}

TEST(FlightWindow, AnswersAreSplitFurtherWhereTheWayIsLong) {
  const auto found = steps_found({.stages = {100ms, 100ms}, .latency = 200ms, .answers = sixty_four}, 600);
  EXPECT_GT(found.at_the_end, 3u);
  EXPECT_GT(found.beyond_stages, 500);
}

// A Q4_K model on one core of an EPYC with AVX-512: rows of steps, and what they took in steps of one row.
constexpr std::array<double, 6> dear_eights = {1, 1.74, 3.17, 7.5, 8.9, 16.4};

double dear_eights_at(std::uint32_t rows) {
  const auto below = static_cast<std::size_t>(std::bit_width(rows)) - 1;
  if (below + 1 >= dear_eights.size()) return dear_eights.back();
  return std::lerp(dear_eights[below], dear_eights[below + 1], static_cast<double>(rows) / (1u << below) - 1);
}

// Where a window comes to rest that learns only what the steps it chose took.
std::uint32_t window_found(RowCosts costs, double chance) {
  std::uint32_t drafts = 0;
  for (int step = 0; step < 60; ++step) {
    const std::chrono::duration<double> took(0.029 * dear_eights_at(1 + drafts));
    costs.saw(1 + drafts, std::chrono::duration_cast<RowCosts::Duration>(took));
    drafts = draft_window(costs, std::min(chance, 0.5 + 0.02 * step), 1, drafts_max);  // texts become sure
  }
  return drafts;
}

TEST(DraftWindow, SizesThatAreDearAreSteppedOverWhereTheyAreForetold) {
  EXPECT_LT(window_found(RowCosts(), 0.97), 7u) << "grown row by row it ends before them";
  // On a machine twice as fast: only the shape counts.
  const RowCosts foretold({0.015, 0.015 * 1.74, 0.015 * 3.17, 0.015 * 7.5, 0.015 * 8.9, 0.015 * 16.4});
  EXPECT_EQ(window_found(foretold, 1), 31u);
  EXPECT_EQ(window_found(foretold, 0.97), 15u);
  EXPECT_LT(window_found(foretold, 0.8), 4u);
  EXPECT_EQ(window_found(foretold, 0.3), 0u);
}

TEST(DraftWindow, WhatIsMeasuredCountsMoreThanWhatWasForetold) {
  const RowCosts wrong({1, 1, 1, 1, 1, 1, 1});  // rows that cost nothing
  EXPECT_LT(window_found(wrong, 0.7), 4u);
}

struct Course {
  int steps = 0;
  Scheduler::Now took{};
};

// The most rows of a step of an answer that repeats itself, where rows cost as in dear_eights.
std::size_t rows_most(const SchedulerOptions& options) {
  FakeModel model(options, repetitive_token);
  EXPECT_TRUE(model.scheduler().submit(request(1, counting(12), 1000), {}));
  Scheduler::Now now{};
  std::size_t most = 0;
  for (bool reads = true; const auto batch = model.begin(now); reads = false) {
    if (!reads) most = std::max(most, batch->rows.size());
    const std::chrono::duration<double> took(0.029 * dear_eights_at(static_cast<std::uint32_t>(batch->rows.size())));
    now += std::chrono::duration_cast<Scheduler::Now::duration>(took);
    model.finish(now);
  }
  return most;
}

TEST(Scheduler, GuessesByWhatStepsWereForetoldToTake) {
  SchedulerOptions options{.sequences = 1};
  EXPECT_GT(rows_most(options), 4u);
  options.step_seconds = {1, 2.1, 4.3, 8.7, 17.5, 35};  // rows that are dearer in company
  EXPECT_EQ(rows_most(options), 1u);
}

// Until a request of `tokens` has its answer, which must be the one it would have had without guesses.
Course course_of(bool speculate, NextToken next, std::uint32_t tokens, std::chrono::milliseconds row_cost) {
  FakeModel model({.sequences = 1}, next);
  auto asked = request(1, counting(12), tokens);
  asked.speculate = speculate;
  EXPECT_TRUE(model.scheduler().submit(asked, {}));
  Course course;
  for (; const auto batch = model.begin(course.took); ++course.steps) {
    course.took += std::chrono::milliseconds(100) + row_cost * batch->rows.size();
    model.finish(course.took);
  }
  EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096, next));
  return course;
}

TEST(Scheduler, ATextThatRepeatsItselfTakesFewerStepsAndGivesTheSameAnswer) {
  EXPECT_EQ(course_of(false, repetitive_token, 400, 5ms).steps, 400);
  EXPECT_LT(course_of(true, repetitive_token, 400, 5ms).steps, 130);
}

TEST(Scheduler, GuessesThatAConstraintForbidsAreNotTried) {
  for (const std::size_t allowed : {std::size_t{0}, std::size_t{2}}) {
    std::size_t asked_for = 0;
    FakeModel model({.sequences = 1,
                     .allowed_guesses =
                         [&](const GenerateRequest& request, std::span<const TokenId> answer,
                             std::span<const TokenId> guesses) {
                           EXPECT_TRUE(request.constraint.any());
                           EXPECT_EQ(answer.size(), model.answers[request.id].size());
                           ++asked_for;
                           return std::min(allowed, guesses.size());
                         }},
                    repetitive_token);
    auto asked = request(1, counting(12), 100);
    asked.constraint = {ConstraintKind::regex, ".*"};
    ASSERT_TRUE(model.scheduler().submit(asked, {}));
    Scheduler::Now now{};
    std::size_t rows_most = 0;
    for (bool reads = true; const auto batch = model.begin(now); reads = false) {
      if (!reads) rows_most = std::max(rows_most, batch->rows.size());
      now += std::chrono::milliseconds(100) + 5ms * batch->rows.size();
      model.finish(now);
    }
    EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096, repetitive_token));
    EXPECT_EQ(rows_most, 1 + allowed);
    EXPECT_GT(asked_for, 10u);
  }
}

TEST(Scheduler, ARowWithoutATokenEndsItsAnswerAndNoOther) {
  const auto scheduler = Scheduler::create({});
  ASSERT_TRUE(scheduler->submit(request(1, {5, 6}, 4), {}));
  ASSERT_TRUE(scheduler->submit(request(2, {7, 8}, 4), {}));
  const auto step = scheduler->next({}, {}, 1);
  ASSERT_TRUE(step);
  std::vector<RowResult> results(2);
  results[0].error = Error{Code::unsupported, "it cannot go on"};
  std::map<RequestId, TokenEvent> events;
  for (const auto& event : scheduler->complete(step->batch.step, results, {})) events[event.id] = event;
  EXPECT_EQ(events.at(RequestId{1}).finish, FinishReason::failed);
  EXPECT_EQ(events.at(RequestId{1}).error->message, "it cannot go on");
  EXPECT_FALSE(events.at(RequestId{1}).has_token);
  EXPECT_TRUE(events.at(RequestId{2}).has_token);
  EXPECT_EQ(scheduler->running(), 1u);
}

TEST(Scheduler, WhatRowsCostAndHowOftenGuessesAreRightDecideHowManyThereAre) {
  const auto milliseconds_with = [](bool speculate) {
    return course_of(speculate, repetitive_token, 400, 2000ms).took.time_since_epoch() / 1.0ms;
  };
  EXPECT_LT(milliseconds_with(true), 1.03 * milliseconds_with(false)) << "rows are dear: each costs as much as a step";
  EXPECT_GT(course_of(true, next_token, 400, 5ms).steps, 390) << "a text without repetition";
}

TEST(Scheduler, ADeadlineEndsQueuedAndRunningRequestsWithATimeout) {
  FakeModel model({.sequences = 1, .unix_offset = 1'000'000ms});
  auto running = request(1, {1, 2}, 50), waiting = request(2, {3}, 50), patient = request(3, {4}, 1);
  running.deadline_ms = waiting.deadline_ms = 1'000'500;
  for (const auto& asked : {running, waiting, patient}) ASSERT_TRUE(model.scheduler().submit(asked, {}));
  ASSERT_TRUE(model.begin(Scheduler::Now(499ms)));
  model.finish();
  EXPECT_THAT(model.ends, IsEmpty());
  const auto batch = model.begin(Scheduler::Now(500ms));
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->rows.front().token, 4);
  for (const auto id : {running.id, waiting.id}) {
    EXPECT_EQ(model.ends.at(id).finish, FinishReason::failed);
    EXPECT_EQ(model.ends.at(id).error.value().code, Code::timeout);
  }
}

TEST(Scheduler, AScoredPromptTellsEachTokenOnceInOrderAndThenAnswers) {
  FakeModel model({.step_rows_max = 4});
  auto asked = request(1, {11, 12, 13, 14, 15, 16}, 2);
  asked.prompt_logprobs = true;
  ASSERT_TRUE(model.scheduler().submit(asked, {}));
  model.run();
  const auto& scores = model.scores[asked.id];
  ASSERT_EQ(scores.size(), 5u) << "the first token has nothing before it";
  for (std::size_t i = 0; i < scores.size(); ++i) {
    EXPECT_EQ(scores[i].index, static_cast<std::int32_t>(i) - 5);
    EXPECT_EQ(scores[i].token, asked.prompt[i + 1]);
  }
  EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096));
}

TEST(Scheduler, FailAllEndsEverythingOnceAndTheSchedulerGoesOn) {
  FakeModel model({.sequences = 1});
  ASSERT_TRUE(model.scheduler().submit(request(1, {1, 2}, 50), {}));
  ASSERT_TRUE(model.scheduler().submit(request(2, {1, 2}, 50), {}));
  ASSERT_TRUE(model.begin());
  model.fail_all({Code::unavailable, "stage 2 is gone"});
  EXPECT_EQ(model.ends.size(), 2u);
  for (const auto& [id, end] : model.ends) EXPECT_EQ(end.error.value().message, "stage 2 is gone");
  EXPECT_TRUE(model.scheduler().idle());
  const auto asked = request(3, {1, 2}, 3);
  ASSERT_TRUE(model.scheduler().submit(asked, {}));
  model.run();
  EXPECT_EQ(model.answers[asked.id], answer_alone(asked, 4096));
}

// --- Answers that were begun elsewhere ---

// As if the first `count` tokens of its answer had been made by a placement that was lost.
GenerateRequest resumed(GenerateRequest asked, std::size_t count, std::uint32_t context_tokens = 4096,
                        NextToken next = next_token) {
  asked.prompt_logprobs = false;
  asked.resumed = answer_alone(asked, context_tokens, next);
  asked.resumed.resize(std::min({asked.resumed.size(), count, std::size_t{asked.tokens_max - 1}}));
  return asked;
}

// Submits it to a model that has told its first tokens, and gives the whole answer.
std::vector<TokenId> whole_answer(FakeModel& model, const GenerateRequest& asked) {
  model.answers[asked.id] = asked.resumed;
  EXPECT_TRUE(model.scheduler().submit(asked, {}));
  model.run();
  return model.answers[asked.id];
}

TEST(Scheduler, AResumedAnswerGoesOnWithItsNextTokenAndEndsWhereTheUnbrokenOneDoes) {
  auto asked = request(1, counting(50), 40);
  for (const std::size_t told : {1u, 7u, 39u}) {
    FakeModel model({});
    EXPECT_EQ(whole_answer(model, resumed(asked, told)), answer_alone(asked, 4096)) << told;
    EXPECT_EQ(model.ends.at(asked.id).finish, FinishReason::length);
    EXPECT_EQ(model.ends.at(asked.id).index, 39);
  }
  asked.stop_tokens = {answer_alone(asked, 4096)[20]};
  FakeModel model({});
  EXPECT_EQ(whole_answer(model, resumed(asked, 5)), answer_alone(asked, 4096));
  EXPECT_EQ(model.ends.at(asked.id).finish, FinishReason::stop);
}

TEST(Scheduler, AResumedAnswerIsReadInPiecesWithItsPrompt) {
  FakeModel model({.step_rows_max = 16});
  auto asked = request(1, counting(10), 200);
  EXPECT_EQ(whole_answer(model, resumed(asked, 100)), answer_alone(asked, 4096));
}

TEST(Scheduler, ResumedChoicesShareTheirPromptAndWhatTheyHadInCommon) {
  FakeModel model({.sequences = 2});
  std::vector<GenerateRequest> choices;
  for (std::uint64_t id = 1; id <= 2; ++id) {
    auto choice = shared(id, counting(100));
    choice.tokens_max = 60;
    choices.push_back(resumed(choice, 10 * id));
    model.answers[choice.id] = choices.back().resumed;
    ASSERT_TRUE(model.scheduler().submit(choices.back(), {}));
  }
  EXPECT_EQ(model.begin()->rows.size(), 110u);
  model.finish();
  EXPECT_EQ(model.begin()->rows.size(), 1u + 10u) << "the answer of the first, and what is new in the second";
  model.finish();
  model.run();
  for (const auto& choice : choices) EXPECT_EQ(model.answers[choice.id], answer_alone(choice, 4096));
  EXPECT_EQ(model.ends.at(RequestId{2}).prompt_reused, 100u) << "of the prompt, however much of the answer was too";
}

TEST(Scheduler, AResumedAnswerThatFillsASmallerContextEndsThere) {
  FakeModel model({.context_tokens = 20});
  auto asked = resumed(request(1, counting(10), 100), 15);
  EXPECT_EQ(whole_answer(model, asked).size(), 15u);
  EXPECT_EQ(model.ends.at(asked.id).finish, FinishReason::length);
  EXPECT_TRUE(model.scheduler().idle());
}

// What one seed did, for comparison with what each of its requests would have been answered alone.
struct Story {
  std::map<RequestId, GenerateRequest> asked;
  std::set<RequestId> cancelled;
};

GenerateRequest random_request(std::mt19937_64& random, std::uint64_t id, const SchedulerOptions& options) {
  std::vector<TokenId> prompt(1 + random() % (options.context_tokens - 1));
  for (auto& token : prompt) token = static_cast<TokenId>(random() % 40);
  // Half of them begin alike, so that prefixes are reused.
  const auto alike = random() % 2 ? random() % prompt.size() : 0;
  for (std::size_t i = 0; i < alike; ++i) prompt[i] = static_cast<TokenId>(i % 37);
  auto made = request(id, std::move(prompt), 1 + static_cast<std::uint32_t>(random() % 30));
  if (random() % 2) made.stop_tokens = {stop_token, 21};
  made.prompt_logprobs = random() % 4 == 0;
  made.cache_scope = random() % 3;
  made.speculate = random() % 4 != 0;
  made.request_class = static_cast<RequestClass>(random() % 2);
  return made;
}

void act(std::mt19937_64& random, FakeModel& model, const SchedulerOptions& options, NextToken next, Story& story) {
  const auto dice = random() % 10;
  if (dice < 4 && story.asked.size() < 60) {
    auto asked = random_request(random, story.asked.size() + 1, options);
    if (random() % 3 == 0) asked = resumed(asked, 1 + random() % 30, options.context_tokens, next);
    if (!model.scheduler().submit(asked, {})) return;
    model.answers[asked.id] = asked.resumed;
    story.asked.emplace(asked.id, asked);
  } else if (dice == 4 && !story.asked.empty()) {
    const RequestId id{1 + random() % story.asked.size()};
    if (!model.ends.contains(id)) story.cancelled.insert(id);
    model.scheduler().cancel(id);
    model.keep(model.scheduler().take_events());
  }
}

void play(std::uint64_t seed, bool in_flight) {
  std::mt19937_64 random(seed), clock(seed);
  SchedulerOptions options;
  options.sequences = 1 + static_cast<std::uint32_t>(random() % 5);
  options.context_tokens = 2 + static_cast<std::uint32_t>(random() % 120);
  options.step_rows_max = options.sequences + static_cast<std::uint32_t>(random() % 12);
  options.requests_queued_max = 1 + random() % 20;
  const NextToken next = random() % 2 ? next_token : repetitive_token;
  const auto steps_max = in_flight ? 2 + static_cast<std::uint32_t>(clock() % 4) : 1;
  FakeModel model(options, next, steps_max);
  Story story;
  Scheduler::Now now{};
  for (int turn = 0; turn < 400 && !testing::Test::HasFatalFailure(); ++turn) {
    act(random, model, options, next, story);
    model.begin(now);
    act(random, model, options, next, story);  // while steps are under way
    now += std::chrono::milliseconds(clock() % 400);
    // As a ring: a step more, or one that comes back, whichever happens to be first.
    while (model.under_way() > 0 && (model.under_way() == steps_max || clock() % 2)) model.finish(now);
  }
  model.run();
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  EXPECT_TRUE(model.scheduler().idle());
  EXPECT_EQ(model.scheduler().running() + model.scheduler().queued(), 0u);
  ASSERT_EQ(model.ends.size(), story.asked.size());
  for (const auto& [id, asked] : story.asked) {
    const auto expected = answer_alone(asked, options.context_tokens, next);
    const auto& got = model.answers[id];
    ASSERT_TRUE(got.size() <= expected.size() && std::equal(got.begin(), got.end(), expected.begin())) << id.value;
    if (story.cancelled.contains(id)) continue;
    EXPECT_EQ(got, expected) << id.value;
    EXPECT_EQ(model.scores[id].size(), asked.prompt_logprobs ? asked.prompt.size() - 1 : 0) << id.value;
  }
}

TEST(Scheduler, EveryRequestEndsOnceWithTheAnswerItWouldHaveHadAlone) {
  for (std::uint64_t seed = 1; seed <= 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    play(seed, false);
  }
}

TEST(Scheduler, SoItDoesWithSeveralStepsUnderWay) {
  for (std::uint64_t seed = 1; seed <= 600 && !HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    play(seed, true);
  }
}

}  // namespace
}  // namespace flotilla
