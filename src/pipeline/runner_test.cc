// Claims about whole runners: real sockets, the node's protocol, threads of this process or processes of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <thread>

#include "io/socket_calls.h"
#include "pipeline/local_ring.h"
#include "pipeline/ring_hello.h"
#include "pipeline/runner.h"
#include "pipeline/scripted_stage.h"

namespace flotilla {
namespace {

using testing::HasSubstr;

constexpr std::chrono::milliseconds patience{20'000};
const RunnerOptions in_threads{.link_model = "", .spin_us = 0, .grace = std::chrono::seconds(60)};

GenerateRequest request(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens_max) {
  GenerateRequest made;
  made.id = RequestId{id};
  made.prompt = std::move(prompt);
  made.tokens_max = tokens_max;
  made.sampling.temperature = 0;
  return made;
}

StageLoader scripted(std::function<Status(const PrepareStage&, const StepBatch&)> before_step = {}) {
  return [before_step](const PrepareStage& plan, const LoadProgressFn& progress,
                       std::unique_ptr<Collective>) -> Result<std::unique_ptr<Stage>> {
    for (std::uint64_t done = 0; done <= 1000; ++done) progress(done, 1000);
    ScriptedStageOptions options{.model = {},
                                 .layers = plan.layers,
                                 .is_head = plan.is_head,
                                 .sequences = plan.sequences,
                                 .context_tokens = plan.context_tokens,
                                 .before_step = {}};
    if (before_step)
      options.before_step = [before_step, plan](const StepBatch& batch) { return before_step(plan, batch); };
    return make_scripted_stage(options);
  };
}

LocalRingOptions stages(std::uint32_t count) {
  LocalRingOptions options;
  options.stages = even_stages(ScriptedModel{}.layers, count);
  options.patience = patience;
  return options;
}

std::vector<std::string> scripted_tool(std::initializer_list<std::string> more = {}) {
  std::vector<std::string> command = {FLOTILLA_RUNNER_TOOL, "--scripted", "8"};
  command.insert(command.end(), more);
  return command;
}

void expect_right_answers(LocalRing& ring) {
  for (std::uint64_t id = 1; id <= 6; ++id)
    ASSERT_TRUE(ring.send(request(id, {static_cast<TokenId>(id), 9, 3}, static_cast<std::uint32_t>(5 * id))));
  const auto answers = ring.answers(6);
  ASSERT_TRUE(answers) << answers.error().message;
  for (const auto& [id, answer] : *answers) {
    const std::vector<TokenId> prompt = {static_cast<TokenId>(id.value), 9, 3};
    EXPECT_EQ(answer.tokens, scripted_answer({}, prompt, 5 * id.value)) << id.value;
  }
}

// The last of a runner's pulses, once it is as wanted.
Result<RunnerPulse> pulse_where(LocalRing& ring, std::size_t index,
                                const std::function<bool(const RunnerPulse&)>& is_so) {
  for (;;) {
    FLOTILLA_TRY(const auto pulse, ring.next_pulse(index));
    if (is_so(pulse)) return pulse;
  }
}

TEST(Runner, ItsPulseGoesOnWhileAStepIsComputedAndSaysHowLong) {
  std::promise<void> go_on;
  const auto allowed = go_on.get_future().share();
  ThreadRunners runners(in_threads, scripted([allowed](const PrepareStage& plan, const StepBatch&) -> Status {
                          if (plan.stage_index == 1) allowed.wait_for(patience);
                          return {};
                        }));
  auto ring = LocalRing::form(runners, stages(2));
  ASSERT_TRUE(ring) << ring.error().message;
  ASSERT_TRUE(ring->send(request(1, {5, 9, 3}, 4)));
  const auto hanging = pulse_where(*ring, 1, [](const RunnerPulse& pulse) { return pulse.step_seconds > 0.6; });
  ASSERT_TRUE(hanging) << hanging.error().message;
  EXPECT_EQ(hanging->steps, 0u);
  const auto waiting = pulse_where(*ring, 0, [](const RunnerPulse& pulse) { return pulse.step_seconds == 0; });
  ASSERT_TRUE(waiting) << "the head only waits for it: " << waiting.error().message;
  go_on.set_value();
  const auto answers = ring->answers(1);
  ASSERT_TRUE(answers) << answers.error().message;
  const auto done = pulse_where(*ring, 1, [](const RunnerPulse& pulse) { return pulse.steps >= 4; });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->step_seconds, 0);
}

TEST(Runner, OneAndThreeStagesGiveTheSameTokens) {
  for (const std::uint32_t count : {1u, 2u, 3u}) {
    SCOPED_TRACE(count);
    ThreadRunners runners(in_threads, scripted());
    {
      auto ring = LocalRing::form(runners, stages(count));
      ASSERT_TRUE(ring) << ring.error().message;
      expect_right_answers(*ring);
    }
    for (const auto& status : runners.join()) EXPECT_TRUE(status) << status.error().message;
  }
}

TEST(Runner, SpinningAndModelledLinksChangeNothingInTheAnswer) {
  for (const auto& options : {RunnerOptions{.link_model = "", .spin_us = 200, .grace = in_threads.grace},
                              RunnerOptions{.link_model = "delay=50us", .spin_us = 0, .grace = in_threads.grace}}) {
    ThreadRunners runners(options, scripted());
    auto ring = LocalRing::form(runners, stages(2));
    ASSERT_TRUE(ring) << ring.error().message;
    expect_right_answers(*ring);
    ring->hang_up(0);
    ring->hang_up(1);
  }
}

TEST(Runner, ProcessesOfTheirOwnGiveTheSameTokensAndEndWithTheirNode) {
  ProcessRunners runners(scripted_tool());
  auto ring = LocalRing::form(runners, stages(3));
  ASSERT_TRUE(ring) << ring.error().message;
  expect_right_answers(*ring);
  for (std::size_t index = 0; index < 3; ++index) ring->hang_up(index);
  for (std::size_t index = 0; index < 3; ++index) EXPECT_TRUE(runners.wait_for_exit(index, patience));
}

// --- The node's protocol -------------------------------------------------------------------------

// One runner and the node's end of its line, without the help of LocalRing.
struct LoneRunner {
  explicit LoneRunner(StageLoader load = scripted())
      : runners(in_threads, std::move(load)), line(runners.start(0).value()) {}
  ~LoneRunner() { line->close({Code::closed, "the test is over"}); }
  void send(FrameKind kind, Bytes body) { ASSERT_TRUE(line->send(make_frame(kind, std::move(body)))); }
  // The next frame of the kind; how many came before it is counted by kind.
  Frame receive(FrameKind kind) {
    Frame frame;
    for (;;) {
      const auto status = line->receive(frame, patience);
      EXPECT_TRUE(status) << "waiting for " << to_string(kind) << ": " << status.error().message;
      if (!status || frame.header.kind == kind) return frame;
      ++seen[frame.header.kind];
    }
  }
  ThreadRunners runners;
  std::unique_ptr<Link> line;
  std::map<FrameKind, int> seen;
};

PrepareStage plan(std::uint32_t index, std::uint32_t count) {
  PrepareStage made;
  made.placement = PlacementId{5};
  made.epoch = {.incarnation = 9, .counter = 2};
  made.model = "scripted";
  made.stage_index = index;
  made.stage_count = count;
  made.is_head = index == 0;
  made.layers = even_stages(ScriptedModel{}.layers, count)[index];
  made.context_tokens = 64;
  made.sequences = 2;
  made.ring_key = "00112233445566778899aabbccddeeff";
  return made;
}

TEST(Runner, LoadingIsToldAtMostTenTimesASecondAndTheEndAlways) {
  LoneRunner runner;
  runner.send(FrameKind::prepare_stage, encode(plan(0, 1)));
  const auto ready = decode_stage_ready(runner.receive(FrameKind::stage_ready).body).value();
  EXPECT_EQ(ready.port, 0) << "a ring of one listens nowhere";
  EXPECT_EQ(ready.weight_bytes, 1u);
  EXPECT_EQ(ready.kv_bytes, 2u);
  EXPECT_EQ(ready.compute_bytes, 3u);
  EXPECT_GE(runner.seen[FrameKind::load_progress], 2) << "the first and the last";
  EXPECT_LE(runner.seen[FrameKind::load_progress], 20) << "not each of a thousand";
  runner.receive(FrameKind::ring_connected);
}

TEST(Runner, AStageThatCannotBeLoadedIsReportedOnceWithTheReason) {
  LoneRunner runner(
      [](const PrepareStage&, const LoadProgressFn&, std::unique_ptr<Collective>) -> Result<std::unique_ptr<Stage>> {
        return fail(Code::no_memory, "[script] no room for 3 GiB");
      });
  runner.send(FrameKind::prepare_stage, encode(plan(0, 1)));
  const auto failed = decode_stage_failed(runner.receive(FrameKind::stage_failed).body).value();
  EXPECT_EQ(failed.code, "no_memory");
  EXPECT_THAT(failed.message, HasSubstr("3 GiB"));
  EXPECT_EQ(failed.placement, PlacementId{5});
  EXPECT_EQ(runner.runners.join()[0].error().code, Code::no_memory);
  Frame frame;
  EXPECT_EQ(runner.line->receive(frame, patience).error().code, Code::closed) << "nothing after it";
}

TEST(Runner, AFileThatIsNotThereIsReportedByTheRealLoader) {
  auto sockets = socket_pair().value();
  Status status;
  std::thread thread([&status, link = make_tcp_link(std::move(sockets.second))]() mutable {
    status = run_runner(std::move(link), in_threads);
  });
  const auto node = make_tcp_link(std::move(sockets.first));
  auto missing = plan(0, 1);
  missing.files = {"/nowhere/model.gguf"};
  EXPECT_TRUE(node->send(make_frame(FrameKind::prepare_stage, encode(missing))));
  thread.join();
  EXPECT_EQ(status.error().code, Code::not_found) << status.error().message;
}

TEST(Runner, AStageOfNoRingIsRefused) {
  for (const int wrong : {0, 1, 2}) {
    LoneRunner runner;
    auto bad = plan(0, 1);
    if (wrong == 0) bad.is_head = false;
    if (wrong == 1) bad.context_tokens = 1;
    if (wrong == 2) bad.stage_count = 2, bad.ring_key = "short";
    runner.send(FrameKind::prepare_stage, encode(bad));
    const auto statuses = runner.runners.join();
    ASSERT_FALSE(statuses[0]) << wrong;
  }
}

TEST(Runner, ARequestBeforeTheRingStandsIsAnsweredThatItIsTooEarly) {
  LoneRunner runner;
  runner.send(FrameKind::prepare_stage, encode(plan(0, 2)));
  runner.receive(FrameKind::stage_ready);
  runner.send(FrameKind::generate, encode(request(1, {1}, 1)));
  const auto event = decode_token_event(runner.receive(FrameKind::token_event).body).value();
  EXPECT_EQ(event.error.value().code, Code::unavailable);
  EXPECT_EQ(event.id, RequestId{1});
}

// --- The ring's door -----------------------------------------------------------------------------

Descriptor call(std::uint16_t port, Bytes bytes) {
  auto socket = tcp_connect("127.0.0.1", port, patience).value();
  EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return socket;
}

Bytes hello_bytes(const RingHello& hello, FrameKind kind = FrameKind::ring_hello) {
  const auto frame = make_frame(kind, encode(hello), hello.epoch);
  const auto header = encode_header(frame.header, frame.body);
  Bytes bytes(header.begin(), header.end());
  bytes.insert(bytes.end(), frame.body.begin(), frame.body.end());
  return bytes;
}

// Whether the door's other side closed it, whatever TLS said before.
bool is_closed(const Descriptor& socket) {
  const auto until = std::chrono::steady_clock::now() + patience;
  std::array<char, 4096> said;
  while (poll_until(socket.get(), POLLIN, until) > 0) {
    const auto count = ::recv(socket.get(), said.data(), said.size(), 0);
    if (count <= 0) return count == 0 || errno == ECONNRESET;
  }
  return false;
}

TEST(Runner, WrongRingKeyIsTurnedAwayAndSoIsEveryOtherStranger) {
  const auto listener = tcp_listen("127.0.0.1", 0).value();
  const auto port = local_port(listener);
  const auto until = std::chrono::steady_clock::now() + patience;
  const auto right = hello_expected_by(plan(1, 3));
  ASSERT_EQ(right.stage_index, 0u);
  const RingDoor door{.tls = ring_tls(plan(1, 3)),
                      .expected = {right},
                      .patience = patience,
                      .hello_patience = std::chrono::milliseconds(200),
                      .given_up = {}};
  auto accepted = std::async(std::launch::async, [&] { return accept_neighbours(listener, door); });

  // In the clear: a hello that is right, another frame, nonsense, half a hello and then silence.
  auto cut = hello_bytes(right);
  cut.resize(cut.size() / 2);
  for (const Bytes& bytes :
       {hello_bytes(right), hello_bytes(right, FrameKind::generate), Bytes(300, std::byte{0x41}), cut})
    EXPECT_TRUE(is_closed(call(port, bytes)));
  auto another = plan(1, 3);
  another.ring_key.back() = 'e';
  auto with_another_key = shake_hands(call(port, {}), ring_tls(another), TlsRole::initiator, until);
  EXPECT_FALSE(with_another_key);
  // With the key, and a hello that is not this ring's.
  auto wrong_key = right, wrong_placement = right, wrong_epoch = right, wrong_stage = right;
  wrong_key.ring_key.back() = 'e';
  wrong_placement.placement.value += 1;
  wrong_epoch.epoch.counter -= 1;
  wrong_stage.stage_index = 2;
  for (const auto& hello : {wrong_key, wrong_placement, wrong_epoch, wrong_stage}) {
    auto stranger = shake_hands(call(port, {}), door.tls, TlsRole::initiator, until);
    ASSERT_TRUE(stranger) << stranger.error().message;
    ASSERT_TRUE(send_exactly(*stranger, hello_bytes(hello), until));
    EXPECT_TRUE(is_closed(stranger->socket));
  }
  auto friend_of_ours = shake_hands(call(port, {}), door.tls, TlsRole::initiator, until);
  ASSERT_TRUE(friend_of_ours);
  ASSERT_TRUE(send_exactly(*friend_of_ours, hello_bytes(right), until));
  auto neighbours = accepted.get();
  ASSERT_TRUE(neighbours) << neighbours.error().message;
  const Bytes word(1, std::byte{7});
  ASSERT_TRUE(send_exactly(neighbours->front(), word, until));
  Bytes heard(1);
  ASSERT_TRUE(receive_exactly(*friend_of_ours, heard, until)) << "the one with the right hello was let in";
  EXPECT_EQ(heard, word);
}

TEST(Runner, ADoorNobodyComesToIsClosedInTimeAndWhenNoLongerWanted) {
  const auto listener = tcp_listen("127.0.0.1", 0).value();
  RingDoor door{.tls = ring_tls(plan(1, 3)),
                .expected = {hello_expected_by(plan(1, 3))},
                .patience = std::chrono::milliseconds(1),
                .hello_patience = {},
                .given_up = {}};
  EXPECT_EQ(accept_neighbours(listener, door).error().code, Code::timeout);
  door.patience = patience;
  door.given_up = [] { return true; };
  EXPECT_EQ(accept_neighbours(listener, door).error().code, Code::closed);
}

// --- Breaking ------------------------------------------------------------------------------------

TEST(Runner, CutRingFailsEveryRequestOnceWithTheCause) {
  ProcessRunners runners(scripted_tool({"--step-ms", "5"}));
  auto ring = LocalRing::form(runners, stages(3));
  ASSERT_TRUE(ring) << ring.error().message;
  for (std::uint64_t id = 1; id <= 8; ++id) ASSERT_TRUE(ring->send(request(id, {1, 2, 3}, 400)));
  ASSERT_TRUE(ring->next_event()) << "it is running";
  runners.kill(1);
  const auto answers = ring->answers(8);
  ASSERT_TRUE(answers) << answers.error().message;
  ASSERT_EQ(answers->size(), 8u);
  for (const auto& [id, answer] : *answers) {
    EXPECT_EQ(answer.end.finish, FinishReason::failed);
    ASSERT_TRUE(answer.end.error);
    EXPECT_FALSE(answer.end.error->message.empty());
  }
  for (const std::size_t index : {0u, 2u}) {
    const auto failed = ring->wait_for_failed(index);
    ASSERT_TRUE(failed) << failed.error().message;
    EXPECT_EQ(failed->stage_index, index);
    EXPECT_EQ(runners.wait_for_exit(index, patience).value(), 1) << "the exit status says that something went wrong";
  }
}

TEST(Runner, RunnerEndsWhenItsNodeGoes) {
  for (const std::uint32_t count : {1u, 2u}) {  // idle
    ThreadRunners runners(in_threads, scripted());
    {
      ASSERT_TRUE(LocalRing::form(runners, stages(count)));
    }
    for (const auto& status : runners.join()) EXPECT_TRUE(status) << status.error().message;
  }
  LoneRunner waiting_for_the_ring;
  waiting_for_the_ring.send(FrameKind::prepare_stage, encode(plan(0, 2)));
  waiting_for_the_ring.receive(FrameKind::stage_ready);
  waiting_for_the_ring.line->close({Code::closed, "the node is gone"});
  EXPECT_TRUE(waiting_for_the_ring.runners.join()[0]);
}

TEST(Runner, RunnerEndsWithinASecondOfItsNodeEvenInTheMidstOfALongStep) {
  ProcessRunners runners(scripted_tool({"--step-ms", "60000"}));
  auto ring = LocalRing::form(runners, stages(2));
  ASSERT_TRUE(ring) << ring.error().message;
  ASSERT_TRUE(ring->send(request(1, {1, 2, 3}, 400)));
  ring->hang_up(0);
  ring->hang_up(1);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(runners.wait_for_exit(0, patience));
  EXPECT_TRUE(runners.wait_for_exit(1, patience));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(1));
}

// Every stage tells the rest of its counts once it has nothing to do.
TEST(Runner, StagesTellWhatTheySendToEachOther) {
  ThreadRunners runners(in_threads, scripted());
  auto ring = LocalRing::form(runners, stages(2));
  ASSERT_TRUE(ring) << ring.error().message;
  auto asked = request(1, {1, 2, 3}, 5);
  asked.speculate = false;
  ASSERT_TRUE(ring->send(asked));
  ASSERT_TRUE(ring->answers(1));
  std::vector<StageStats> stats;
  for (const auto until = std::chrono::steady_clock::now() + patience;
       (stats.empty() || stats[0].steps < 5) && std::chrono::steady_clock::now() < until;)
    stats = ring->common_stats();
  ASSERT_EQ(stats.size(), 2u);
  ASSERT_EQ(stats[0].steps, 5u);
  EXPECT_EQ(stats[0].sent_messages, 6u) << "the hello and five steps";
  EXPECT_EQ(stats[1].sent_messages, 6u);
  // Steps of 3 + 4 × 1 rows: counts of 32 bytes, 16 a row, and 8 values of 4 bytes for each row, back only for wanted
  // ones.
  const std::uint64_t back = 5 * (frame_header_bytes + 32) + 7 * 16 + 5 * 32;
  EXPECT_EQ(stats[0].sent_bytes - stats[1].sent_bytes, 2 * 32u) << "the prompt's other rows";
  EXPECT_GT(stats[1].sent_bytes, back);
  EXPECT_LT(stats[1].sent_bytes, back + 400) << "the hello and orders to the cache";
  EXPECT_EQ(stats[1].exchange_seconds, 0) << "nobody to wait for within a stage";
}

TEST(Runner, BusyStagesTellTheirStatistics) {
  LoneRunner runner;
  runner.send(FrameKind::prepare_stage, encode(plan(0, 1)));
  runner.receive(FrameKind::ring_connected);
  auto asked = request(1, {1, 2}, 3);
  asked.placement = PlacementId{5};
  runner.send(FrameKind::generate, encode(asked));
  const auto stats = decode_stage_stats(runner.receive(FrameKind::stage_stats).body).value();
  EXPECT_EQ(stats.placement, PlacementId{5});
  EXPECT_EQ(stats.steps, 1u);
  EXPECT_EQ(stats.rows, 2u);
  EXPECT_EQ(stats.tokens, 1u);
  EXPECT_EQ(stats.running, 1u);
  EXPECT_GT(stats.compute_seconds, 0);
}

}  // namespace
}  // namespace flotilla
