// Claims about the loops of head and worker, over links in memory and with stages that compute by a script.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <thread>

#include "io/memory_link.h"
#include "pipeline/head.h"
#include "pipeline/local_ring.h"
#include "pipeline/node_line.h"
#include "pipeline/ring.h"
#include "pipeline/scripted_stage.h"
#include "pipeline/worker.h"

namespace flotilla {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::chrono::seconds patience{20};
constexpr std::chrono::seconds long_grace{60};
constexpr Epoch epoch{.incarnation = 100, .counter = 7};
constexpr PlacementId placement{42};

GenerateRequest request(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens_max) {
  GenerateRequest made;
  made.id = RequestId{id};
  made.placement = placement;
  made.prompt = std::move(prompt);
  made.tokens_max = tokens_max;
  made.sampling.temperature = 0;
  return made;
}

std::vector<TokenId> counting(TokenId first, std::size_t count) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i) tokens[i] = first + static_cast<TokenId>(i * 7 % 100);
  return tokens;
}

PrepareStage plan_of(std::uint32_t index, std::uint32_t count, std::uint32_t sequences) {
  PrepareStage plan;
  plan.placement = placement;
  plan.epoch = epoch;
  plan.stage_index = index;
  plan.stage_count = count;
  plan.is_head = index == 0;
  plan.layers = even_stages(ScriptedModel{}.layers, count)[index];
  plan.sequences = sequences;
  plan.context_tokens = 512;
  return plan;
}

// One stage of a ring whose links are in memory, run by a thread, with the node's end of its line.
class StageUnderTest {
 public:
  using BeforeStep = std::function<Status(const StepBatch&)>;

  StageUnderTest(PrepareStage plan, std::unique_ptr<Link> upstream, std::unique_ptr<Link> downstream,
                 BeforeStep before_step, ScriptedModel model = {})
      : plan_(std::move(plan)), ring_(std::move(upstream), std::move(downstream), plan_), group_(plan_) {
    auto [node, runner] = make_memory_link_pair(256);
    node_ = std::move(node);
    line_ = std::make_unique<NodeLine>(std::move(runner), long_grace);
    stage_ = make_scripted_stage({.model = model,
                                  .layers = plan_.layers,
                                  .is_head = plan_.is_head,
                                  .sequences = plan_.sequences,
                                  .context_tokens = plan_.context_tokens,
                                  .before_step = std::move(before_step)});
  }
  ~StageUnderTest() { finish(); }

  void start() {
    thread_ = std::thread([this] {
      const auto hooked = line_->on_end([this](const Error& cause) { ring_.close(cause); });
      const auto no_vocabulary = [] -> Result<std::shared_ptr<const Tokenizer>> {
        return fail(Code::unsupported, "no request of these tests has a constraint");
      };
      status_ = plan_.is_head ? run_head(*stage_, ring_, group_, *line_, clock_, plan_, no_vocabulary)
                              : run_worker(*stage_, ring_, group_, *line_, clock_, plan_);
      ring_.close({Code::closed, "the runner is done"});  // as the end of its process would
    });
  }
  Status finish() {
    node_->close({Code::closed, "the test is over"});
    return wait();
  }
  Status wait() {
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  void send(const GenerateRequest& asked) { ASSERT_TRUE(node_->send(make_frame(FrameKind::generate, encode(asked)))); }
  void cancel(std::uint64_t id) {
    ASSERT_TRUE(node_->send(make_frame(FrameKind::cancel, encode(CancelRequest{RequestId{id}}))));
  }
  Link& node() { return *node_; }
  Ring& ring() { return ring_; }
  NodeLine& line() { return *line_; }

 private:
  const PrepareStage plan_;
  Ring ring_;
  Group group_;
  StepClock clock_;
  std::unique_ptr<Link> node_;
  std::unique_ptr<NodeLine> line_;
  std::unique_ptr<Stage> stage_;
  std::thread thread_;
  Status status_;
};

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<std::int32_t> indexes;
  TokenEvent end;
};

// Reads events until `count` requests have ended.
std::map<std::uint64_t, Answer> read_answers(Link& node, std::size_t count) {
  std::map<std::uint64_t, Answer> answers;
  Frame frame;
  while (count > 0) {
    const auto status = node.receive(frame, patience);
    if (!status) {
      ADD_FAILURE() << status.error().message;
      return answers;
    }
    if (frame.header.kind != FrameKind::token_event) continue;
    const auto event = decode_token_event(frame.body).value();
    auto& answer = answers[event.id.value];
    EXPECT_EQ(answer.end.finish, FinishReason::none) << "an event after the last one";
    if (event.has_token) answer.tokens.push_back(event.token), answer.indexes.push_back(event.index);
    if (event.finish == FinishReason::none) continue;
    answer.end = event;
    --count;
  }
  return answers;
}

// `count` stages in a circle; stage i sends to stage i + 1.
std::vector<std::unique_ptr<StageUnderTest>> make_ring(std::uint32_t count, std::uint32_t sequences,
                                                       const StageUnderTest::BeforeStep& before_head_step = {},
                                                       const StageUnderTest::BeforeStep& before_second_step = {}) {
  std::vector<std::unique_ptr<Link>> senders, receivers;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto [sender, receiver] = make_memory_link_pair();
    senders.push_back(std::move(sender));
    receivers.push_back(std::move(receiver));
  }
  std::vector<std::unique_ptr<StageUnderTest>> stages;
  for (std::uint32_t i = 0; i < count; ++i)
    stages.push_back(std::make_unique<StageUnderTest>(
        plan_of(i, count, sequences), std::move(receivers[(i + count - 1) % count]), std::move(senders[i]),
        i == 0   ? before_head_step
        : i == 1 ? before_second_step
                 : nullptr));
  return stages;
}

TEST(Pipeline, OneTwoAndThreeStagesGiveTheSameTokensForManyRequestsAtOnce) {
  for (const std::uint32_t count : {1u, 2u, 3u}) {
    auto stages = make_ring(count, 3);
    for (auto& stage : stages) stage->start();
    for (std::uint64_t id = 1; id <= 9; ++id)
      stages[0]->send(request(id, counting(static_cast<TokenId>(id), 5 * id), static_cast<std::uint32_t>(3 + id)));
    const auto answers = read_answers(stages[0]->node(), 9);
    ASSERT_EQ(answers.size(), 9u);
    for (const auto& [id, answer] : answers) {
      EXPECT_EQ(answer.tokens, scripted_answer({}, counting(static_cast<TokenId>(id), 5 * id), 3 + id))
          << "request " << id << " on " << count << " stages";
      EXPECT_EQ(answer.end.finish, FinishReason::length);
    }
    EXPECT_TRUE(stages[0]->finish()) << "the node's end is no failure";
  }
}

TEST(Pipeline, AResumedAnswerGivesOnlyItsNewTokensOnAnyNumberOfStages) {
  const auto prompt = counting(3, 40);
  const auto whole = scripted_answer({}, prompt, 20);
  for (const std::uint32_t count : {1u, 2u, 3u}) {
    auto stages = make_ring(count, 2);
    for (auto& stage : stages) stage->start();
    auto asked = request(1, prompt, 20);
    asked.resumed.assign(whole.begin(), whole.begin() + 17);
    stages[0]->send(asked);
    const auto answer = read_answers(stages[0]->node(), 1).at(1);
    EXPECT_EQ(answer.tokens, std::vector<TokenId>(whole.begin() + 17, whole.end()));
    EXPECT_THAT(answer.indexes, ElementsAre(17, 18, 19));
    asked.id = RequestId{2};
    asked.resumed[3] = 251;
    stages[0]->send(asked);
    EXPECT_EQ(read_answers(stages[0]->node(), 1).at(2).end.error.value().code, Code::invalid_argument);
  }
}

TEST(Pipeline, APromptLongerThanAStepGoesRoundInChunks) {
  auto stages = make_ring(2, 1);
  const auto prompt = counting(3, 500);
  std::size_t largest = 0;
  auto alone = make_ring(1, 1, [&](const StepBatch& batch) -> Status {
    largest = std::max(largest, batch.rows.size());
    return {};
  });
  for (auto* ring : {&stages, &alone}) {
    for (auto& stage : *ring) stage->start();
    (*ring)[0]->send(request(1, prompt, 4));
    EXPECT_EQ(read_answers((*ring)[0]->node(), 1).at(1).tokens, scripted_answer({}, prompt, 4));
  }
  EXPECT_LT(largest, prompt.size());
}

TEST(Pipeline, CancelFreesTheSlotBeforeTheNextStep) {
  std::vector<StepBatch> batches;
  StageUnderTest* head = nullptr;
  auto stages = make_ring(1, 1, [&](const StepBatch& batch) -> Status {
    batches.push_back(batch);
    if (batches.size() == 2) {  // in the midst of the second step the client hangs up
      head->cancel(1);
      while (head->line().waiting() == 0) std::this_thread::yield();
    }
    return {};
  });
  head = stages[0].get();
  head->send(request(1, counting(5, 4), 400));
  head->send(request(2, counting(60, 3), 2));
  while (head->line().waiting() < 2) std::this_thread::yield();
  head->start();
  const auto answers = read_answers(head->node(), 2);
  EXPECT_TRUE(head->finish());
  EXPECT_EQ(answers.at(1).end.finish, FinishReason::cancelled);
  EXPECT_EQ(answers.at(1).tokens.size(), 2u);
  EXPECT_EQ(answers.at(2).tokens, scripted_answer({}, counting(60, 3), 2));
  ASSERT_GE(batches.size(), 3u);
  EXPECT_THAT(batches[2].free, ElementsAre(SeqId{0}));
  EXPECT_EQ(batches[2].rows.size(), 3u) << "the waiting request has the slot";
}

TEST(Pipeline, RequestsTheModelCannotAnswerAreRefusedAndTheOthersGoOn) {
  auto stages = make_ring(1, 2);
  stages[0]->start();
  auto stray = request(2, {1, 2}, 3);
  stray.placement = PlacementId{43};
  stages[0]->send(request(1, {1, 251}, 3));
  stages[0]->send(stray);
  stages[0]->send(request(3, counting(1, 512), 3));
  stages[0]->send(request(4, {1, 250}, 3));
  const auto answers = read_answers(stages[0]->node(), 4);
  EXPECT_EQ(answers.at(1).end.error.value().code, Code::invalid_argument);
  EXPECT_EQ(answers.at(2).end.error.value().code, Code::unavailable);
  EXPECT_EQ(answers.at(3).end.error.value().code, Code::context_length);
  EXPECT_EQ(answers.at(4).tokens, scripted_answer({}, std::vector<TokenId>{1, 250}, 3));
}

TEST(Pipeline, AScoredPromptGivesOneEventPerTokenAlsoBeyondOneBlockOfLogits) {
  auto stages = make_ring(2, 1);
  for (auto& stage : stages) stage->start();
  auto asked = request(1, counting(2, 100), 1);
  asked.prompt_logprobs = true;
  asked.top_logprobs = 1;
  stages[0]->send(asked);
  const auto answer = read_answers(stages[0]->node(), 1).at(1);
  ASSERT_EQ(answer.tokens.size(), 100u) << "99 scores and one token";
  for (std::size_t i = 0; i < 99; ++i) EXPECT_EQ(answer.tokens[i], asked.prompt[i + 1]);
  EXPECT_EQ(answer.tokens[99], scripted_answer({}, asked.prompt, 1)[0]);
}

// --- Several steps under way ---

TEST(Pipeline, TheHeadComputesTheNextPieceWhileTheOneBeforeIsOnItsWay) {
  std::atomic<std::uint64_t> begun_at_head = 0;
  std::uint64_t seen_by_second = 0;
  auto stages = make_ring(
      2, 1,
      [&](const StepBatch& batch) -> Status {
        begun_at_head = batch.step;
        return {};
      },
      [&](const StepBatch& batch) -> Status {
        // The first piece waits here until the head has begun the second: for ever, if it waited for the first.
        const auto until = std::chrono::steady_clock::now() + patience;
        while (batch.step == 1 && begun_at_head < 2 && std::chrono::steady_clock::now() < until)
          std::this_thread::yield();
        if (batch.step == 1) seen_by_second = begun_at_head;
        return {};
      });
  for (auto& stage : stages) stage->start();
  const auto prompt = counting(3, 300);
  stages[0]->send(request(1, prompt, 5));
  EXPECT_EQ(read_answers(stages[0]->node(), 1).at(1).tokens, scripted_answer({}, prompt, 5));
  EXPECT_EQ(seen_by_second, 2u);
}

TEST(Pipeline, ALoneHeadHasOneStepAtATime) {
  std::vector<std::size_t> rows;
  auto stages = make_ring(1, 4, [&](const StepBatch& batch) -> Status {
    rows.push_back(batch.rows.size());
    return {};
  });
  for (std::uint64_t id = 1; id <= 4; ++id) stages[0]->send(request(id, {static_cast<TokenId>(id)}, 20));
  while (stages[0]->line().waiting() < 4) std::this_thread::yield();
  stages[0]->start();
  read_answers(stages[0]->node(), 4);
  EXPECT_TRUE(stages[0]->finish());
  EXPECT_EQ(rows.front(), 4u) << "all answers share every step";
}

// Prompts that begin alike, guesses, cancels: what makes cache orders, with steps under way that they must not
// overtake.
TEST(Pipeline, CacheOrdersTravelBehindTheStepsThatUseTheirSlots) {
  for (const std::uint32_t count : {2u, 3u}) {
    auto stages = make_ring(count, 2);
    for (auto& stage : stages) stage->start();
    for (std::uint64_t id = 1; id <= 24; ++id) {
      auto asked = request(id, counting(static_cast<TokenId>(id % 3), 140 + 5 * id), 12);
      asked.cache_scope = 9;
      stages[0]->send(asked);
      if (id % 4 == 0) stages[0]->cancel(id);
    }
    const auto answers = read_answers(stages[0]->node(), 24);
    ASSERT_EQ(answers.size(), 24u);
    std::size_t reused = 0;
    for (const auto& [id, answer] : answers) {
      auto expected = scripted_answer({}, counting(static_cast<TokenId>(id % 3), 140 + 5 * id), 12);
      if (answer.end.finish == FinishReason::cancelled && id % 4 == 0) expected.resize(answer.tokens.size());
      EXPECT_EQ(answer.tokens, expected) << id;
      reused += answer.end.prompt_reused > 0;
    }
    EXPECT_GT(reused, 8u);
    EXPECT_TRUE(stages[0]->finish());
  }
}

// Scored prompts bring as many rows back as go out, a megabyte a step: more than the sockets hold. While the head sends
// one the second stage sends another back, and neither would ever read.
TEST(Pipeline, AHeadThatWaitsToSendTakesInWhatComesBack) {
  auto there = socket_pair().value(), back = socket_pair().value();
  const ScriptedModel wide{.width = 4096};
  StageUnderTest head(plan_of(0, 2, 4), make_tcp_link(std::move(back.second)), make_tcp_link(std::move(there.first)),
                      nullptr, wide);
  StageUnderTest second(plan_of(1, 2, 4), make_tcp_link(std::move(there.second)), make_tcp_link(std::move(back.first)),
                        nullptr, wide);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    auto asked = request(id, counting(static_cast<TokenId>(id), 400), 1);
    asked.prompt_logprobs = true;
    head.send(asked);
  }
  head.start();
  second.start();
  const auto answers = read_answers(head.node(), 4);
  ASSERT_EQ(answers.size(), 4u);
  for (const auto& [id, answer] : answers) EXPECT_EQ(answer.tokens.size(), 400u) << id;
}

TEST(Pipeline, StepsOfOneRowAloneAreMeasuredApart) {
  auto stages = make_ring(2, 1);
  for (auto& stage : stages) stage->start();
  stages[0]->send(request(1, counting(1, 40), 6));
  Frame frame;
  StageStats last;
  while (last.tokens < 6 && stages[0]->node().receive(frame, patience))
    if (frame.header.kind == FrameKind::stage_stats) last = decode_stage_stats(frame.body).value();
  EXPECT_EQ(last.steps, 6u);
  EXPECT_EQ(last.single_steps, 5u) << "all but the prompt's";
  EXPECT_EQ(last.single_positions, 40u + 41 + 42 + 43 + 44);
  EXPECT_GT(last.single_compute_seconds, 0);
  EXPECT_GT(last.single_round_seconds, last.single_compute_seconds);
}

// --- Frames that a ring should not see -------------------------------------------------------------------------------

// A stage between two ends that the test holds.
struct LoneStage {
  LoneStage(std::uint32_t index, std::uint32_t count) {
    auto [sender, upstream] = make_memory_link_pair();
    auto [downstream, receiver] = make_memory_link_pair();
    before = std::move(sender);
    after = std::move(receiver);
    stage =
        std::make_unique<StageUnderTest>(plan_of(index, count, 2), std::move(upstream), std::move(downstream), nullptr);
  }
  void send_step(Epoch of, std::uint64_t step, const StepBatch& batch, std::span<const float> values,
                 std::uint32_t width) {
    Bytes body;
    encode_step(batch, values, width, ActivationType::f32, body);
    ASSERT_TRUE(before->send(make_frame(FrameKind::step, std::move(body), of, step)));
  }
  Frame receive() {
    Frame frame;
    EXPECT_TRUE(after->receive(frame, patience));
    return frame;
  }
  std::unique_ptr<Link> before, after;
  std::unique_ptr<StageUnderTest> stage;
};

StepBatch one_row(std::uint32_t position) {
  StepBatch batch;
  batch.rows = {{SeqId{0}, position, 5, true}};
  return batch;
}

std::vector<float> activations(std::uint32_t position, std::size_t width = ScriptedModel{}.width) {
  std::vector<float> values(width, 0.0f);
  values[0] = 5;
  values[2] = static_cast<float>(position);
  return values;
}

TEST(Pipeline, FramesOfAnOldEpochAreDropped) {
  LoneStage worker(1, 2);
  worker.stage->start();
  const Epoch old{.incarnation = epoch.incarnation, .counter = epoch.counter - 1};
  worker.send_step(old, 1, one_row(0), activations(0), 8);
  worker.send_step(epoch, 1, one_row(0), activations(0), 8);  // fails if the old one was computed: position 0 is taken
  worker.send_step(old, 2, one_row(1), activations(1), 8);
  worker.send_step(epoch, 2, one_row(1), activations(1), 8);
  for (const std::uint64_t step : {1u, 2u}) {
    const auto frame = worker.receive();
    EXPECT_EQ(frame.header.kind, FrameKind::step);
    EXPECT_EQ(frame.header.epoch, epoch);
    EXPECT_EQ(frame.header.step, step);
  }
  EXPECT_TRUE(worker.stage->finish());
  EXPECT_EQ(worker.stage->ring().frames_dropped(), 2u);
}

TEST(Pipeline, AHeadDropsRowsOfAnOldEpochToo) {
  LoneStage head(0, 2);
  head.stage->start();
  head.stage->send(request(1, {5}, 1));
  const auto sent = head.receive();
  const Epoch old{.incarnation = epoch.incarnation - 1, .counter = 99};
  head.send_step(old, sent.header.step, one_row(0), std::vector<float>{77, 0, 0, 0, 0, 0, 0, 0}, 8);
  head.send_step(epoch, sent.header.step, one_row(0), std::vector<float>{33, 0, 0, 0, 0, 0, 0, 0}, 8);
  EXPECT_THAT(read_answers(head.stage->node(), 1).at(1).tokens, ElementsAre(33));
}

// Each of these frames passes the frame's own checks and is still wrong.
TEST(Pipeline, FramesThatDoNotFitTheModelEndTheStageWithAnErrorForTheNext) {
  const auto narrow = activations(0, 4);
  auto two_rows = one_row(0);
  two_rows.rows.push_back({SeqId{0}, 1, 5, false});
  auto far_slot = one_row(0);
  far_slot.rows[0].sequence = SeqId{200};
  struct Case {
    const char* what;
    StepBatch batch;
    std::vector<float> values;
    std::uint32_t width;
  };
  for (const auto& [what, batch, values, width] :
       {Case{"narrow", one_row(0), narrow, 4}, Case{"too few rows", two_rows, activations(0), 8},
        Case{"no activations", one_row(0), {}, 8}, Case{"a slot nobody has", far_slot, activations(0), 8}}) {
    SCOPED_TRACE(what);
    LoneStage worker(1, 2);
    worker.stage->start();
    worker.send_step(epoch, 1, batch, values, width);
    const auto status = worker.stage->wait();
    ASSERT_FALSE(status);
    const auto told = worker.receive();
    ASSERT_EQ(told.header.kind, FrameKind::stage_lost);
    EXPECT_EQ(decode_stage_failed(told.body).value().message, status.error().message);
  }
}

TEST(Pipeline, GarbageInAStepBodyIsAnErrorNotAnAbort) {
  for (const std::size_t bytes : {0u, 1u, 31u, 48u, 4096u}) {
    LoneStage worker(1, 3);
    worker.stage->start();
    ASSERT_TRUE(worker.before->send(make_frame(FrameKind::step, Bytes(bytes, std::byte{0xa5}), epoch, 1)));
    EXPECT_FALSE(worker.stage->wait()) << bytes;
  }
  LoneStage worker(1, 3);
  worker.stage->start();
  ASSERT_TRUE(worker.before->send(make_frame(FrameKind::generate, encode(request(1, {1}, 1)), epoch)));
  EXPECT_EQ(worker.stage->wait().error().code, Code::corrupt);
}

TEST(Pipeline, AHeadThatGetsTheWrongRowsBackEndsItsRequestsWithTheCause) {
  for (const bool wrong_step : {false, true}) {
    LoneStage head(0, 2);
    head.stage->start();
    head.stage->send(request(1, {5}, 3));
    const auto sent = head.receive();
    if (wrong_step) {
      head.send_step(epoch, sent.header.step + 1, one_row(0), activations(0), 8);
    } else {
      head.send_step(epoch, sent.header.step, one_row(0), activations(0, 4), 4);
    }
    const auto answer = read_answers(head.stage->node(), 1).at(1);
    EXPECT_EQ(answer.end.finish, FinishReason::failed);
    EXPECT_EQ(answer.end.error.value().code, Code::corrupt);
    EXPECT_FALSE(head.stage->wait());
  }
}

// --- A long way round ------------------------------------------------------------------------------

// The test is the way: a scored prompt's pieces come back as they were sent, since each of their rows wants logits, and
// the head has time to see that one more would find room.
TEST(Pipeline, MorePiecesOfAScoredPromptAreTriedToo) {
  LoneStage head(0, 2);
  auto asked = request(1, counting(2, 500), 1);
  asked.prompt_logprobs = true;
  head.stage->send(asked);
  head.stage->start();
  std::deque<Frame> under_way;
  for (int stage = 0; stage < 2; ++stage) under_way.push_back(head.receive());
  for (int back = 0; back < 4; ++back) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    ASSERT_TRUE(head.before->send(std::move(under_way.front())));
    under_way.pop_front();
    under_way.push_back(head.receive());
    for (Frame score; head.stage->node().receive(score, {});) {
    }  // else its line is full of them
  }
  Frame third;
  EXPECT_TRUE(head.after->receive(third, patience)) << "two are under way, and no more are begun";
}

// --- Breaking ------------------------------------------------------------------------------------

// Running, waiting and not yet looked at: whatever state a request is in, it ends, once, and with the first cause.
void expect_all_ended_for_lack_of_memory(StageUnderTest& head) {
  const auto answers = read_answers(head.node(), 6);
  ASSERT_EQ(answers.size(), 6u);
  for (const auto& [id, answer] : answers) {
    EXPECT_EQ(answer.end.error.value().code, Code::no_memory);
    EXPECT_THAT(answer.end.error.value().message, HasSubstr("the device is full"));
  }
  EXPECT_EQ(head.wait().error().code, Code::no_memory);
}

// The first step takes long enough for every request sent before it to come in: those that reach a runner after its end
// are the node's to answer, not the stage's.
StageUnderTest::BeforeStep fails_in_step(int step) {
  return [count = 0, step](const StepBatch&) mutable -> Status {
    if (++count == 1) std::this_thread::sleep_for(std::chrono::seconds(1));
    if (count == step) return fail(Code::no_memory, "[script] the device is full");
    return {};
  };
}

TEST(Pipeline, AHeadWhoseOwnStageFailsEndsEveryRequestOnceWithTheCause) {
  auto stages = make_ring(1, 2, fails_in_step(3));
  for (std::uint64_t id = 1; id <= 6; ++id) stages[0]->send(request(id, counting(1, 5), 50));
  stages[0]->start();
  expect_all_ended_for_lack_of_memory(*stages[0]);
}

TEST(Pipeline, ALostStageTellsItsCauseToEveryoneAfterIt) {
  auto stages = make_ring(3, 2, {}, fails_in_step(3));
  for (std::uint64_t id = 1; id <= 6; ++id) stages[0]->send(request(id, counting(1, 5), 50));
  for (auto& stage : stages) stage->start();
  expect_all_ended_for_lack_of_memory(*stages[0]);
  for (auto& stage : stages) EXPECT_EQ(stage->wait().error().code, Code::no_memory);
}

TEST(Pipeline, AStoppedHeadEndsItsRequestsAndSaysThatTheModelIsUnloaded) {
  std::atomic<bool> computing = false;
  StageUnderTest* head = nullptr;
  auto stages = make_ring(1, 1, [&](const StepBatch&) -> Status {
    computing = true;
    while (!head->line().ended()) std::this_thread::yield();
    return {};
  });
  head = stages[0].get();
  head->send(request(1, counting(1, 5), 50));
  head->send(request(2, counting(1, 5), 50));
  head->start();
  while (!computing) std::this_thread::yield();
  ASSERT_TRUE(head->node().send(make_frame(FrameKind::stop_stage, encode(StopStage{placement, epoch}))));
  const auto answers = read_answers(head->node(), 2);
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& [id, answer] : answers) EXPECT_THAT(answer.end.error.value().message, HasSubstr("unloaded"));
  EXPECT_TRUE(head->wait());
}

}  // namespace
}  // namespace flotilla
