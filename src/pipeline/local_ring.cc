#include "pipeline/local_ring.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "base/check.h"

extern char** environ;

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int inherited_fd = 3;
constexpr PlacementId placement{0x0f07111a};
constexpr Epoch epoch{.incarnation = 1'700'000'000'000'000, .counter = 1};

}  // namespace

// --- Runners as threads --------------------------------------------------------------------------

ThreadRunners::~ThreadRunners() { join(); }

Result<std::unique_ptr<Link>> ThreadRunners::start(std::size_t) {
  FLOTILLA_TRY(auto sockets, socket_pair());
  auto run = std::make_unique<Run>();
  run->thread = std::thread([this, run = run.get(), link = make_tcp_link(std::move(sockets.second))]() mutable {
    run->status = run_runner(std::move(link), options_, load_);
  });
  runs_.push_back(std::move(run));
  return make_tcp_link(std::move(sockets.first));
}

std::vector<Status> ThreadRunners::join() {
  std::vector<Status> statuses;
  for (auto& run : runs_) {
    if (run->thread.joinable()) run->thread.join();
    statuses.push_back(run->status);
  }
  return statuses;
}

// --- Runners as processes ------------------------------------------------------------------------

ProcessRunners::~ProcessRunners() {
  for (std::size_t index = 0; index < pids_.size(); ++index) {
    if (pids_[index] <= 0) continue;
    kill(index);
    (void)wait_for_exit(index, std::chrono::seconds(10));
  }
}

Result<std::unique_ptr<Link>> ProcessRunners::start(std::size_t) {
  FLOTILLA_TRY(auto sockets, socket_pair());
  auto arguments = command_;
  arguments.insert(arguments.end(), {"--fd", std::to_string(inherited_fd)});
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // dup2 onto itself would leave close-on-exec set, so the socket is first moved out of the way of 3.
  const Descriptor theirs(::fcntl(sockets.second.get(), F_DUPFD_CLOEXEC, inherited_fd + 1));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), inherited_fd);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return fail(Code::unavailable, "[pipeline] expected to start {} but got error {}", arguments[0], error);
  pids_.push_back(pid);
  return make_tcp_link(std::move(sockets.first));
}

Result<int> ProcessRunners::wait_for_exit(std::size_t index, std::chrono::milliseconds patience) {
  const auto until = Clock::now() + patience;
  int status = 0;
  pid_t& pid = pids_.at(index);
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (Clock::now() > until) return fail(Code::timeout, "[pipeline] expected runner {} to end but it lives on", index);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  pid = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void ProcessRunners::kill(std::size_t index) { ::kill(pids_.at(index), SIGKILL); }

// --- The ring ------------------------------------------------------------------------------------

std::vector<LayerRange> even_stages(std::uint32_t layers, std::uint32_t stages) {
  std::vector<LayerRange> ranges;
  for (std::uint32_t stage = 0; stage < stages; ++stage)
    ranges.push_back({.first = layers * stage / stages, .end = layers * (stage + 1) / stages});
  return ranges;
}

Result<LocalRing> LocalRing::form(Runners& runners, LocalRingOptions options) {
  LocalRing ring(std::move(options));
  FLOTILLA_TRY_STATUS(ring.prepare(runners));
  FLOTILLA_TRY_STATUS(ring.introduce());
  ring.is_formed_ = true;
  return ring;
}

PrepareStage LocalRing::plan_of(std::size_t index) const {
  PrepareStage plan;
  plan.placement = placement;
  plan.epoch = epoch;
  plan.model = options_.model;
  plan.files = options_.files;
  plan.stage_index = static_cast<std::uint32_t>(index / members());
  plan.stage_count = static_cast<std::uint32_t>(options_.stages.size());
  plan.layers = options_.stages[plan.stage_index];
  plan.is_head = plan.stage_index == 0;
  plan.shards = options_.shards;
  plan.members = static_cast<std::uint32_t>(members());
  plan.member = static_cast<std::uint32_t>(index % members());
  if (members() > 1) {
    plan.first_shard = plan.member * options_.shards;
    for (const double share : options_.shares) plan.shares.insert(plan.shares.end(), options_.shards, share);
  }
  plan.context_tokens = options_.context_tokens;
  plan.sequences = options_.sequences;
  plan.threads = options_.threads;
  plan.activation_type = options_.activation_type;
  plan.exchange_bytes_per_second = options_.exchange_bytes_per_second;
  plan.ring_key = "00112233445566778899aabbccddeeff";
  return plan;
}

Status LocalRing::prepare(Runners& runners) {
  const std::size_t runner_count = options_.stages.size() * members();
  stats_.resize(runner_count);
  for (std::size_t index = 0; index < runner_count; ++index) {
    FLOTILLA_TRY(auto line, runners.start(index));
    lines_.push_back(std::move(line));
    FLOTILLA_TRY_STATUS(lines_[index]->send(make_frame(FrameKind::prepare_stage, encode(plan_of(index)), epoch)));
  }
  for (std::size_t index = 0; index < lines_.size(); ++index) {
    FLOTILLA_TRY(const auto frame, receive(index, FrameKind::stage_ready));
    FLOTILLA_TRY(const auto ready, decode_stage_ready(frame.body));
    ports_.push_back(ready.port);
  }
  return {};
}

ConnectRing LocalRing::introduction_of(std::size_t index) const {
  const std::size_t member = index % members(), first = index - member;
  ConnectRing connect;
  connect.placement = placement;
  connect.epoch = epoch;
  connect.address = "127.0.0.1";
  if (member == 0) connect.port = ports_[(first + members()) % ports_.size()];
  for (std::size_t earlier = first; earlier < index; ++earlier)
    connect.members.push_back({.node = {}, .port = ports_[earlier], .address = "127.0.0.1"});
  return connect;
}

Status LocalRing::introduce() {
  for (std::size_t index = 0; lines_.size() > 1 && index < lines_.size(); ++index)
    FLOTILLA_TRY_STATUS(
        lines_[index]->send(make_frame(FrameKind::connect_ring, encode(introduction_of(index)), epoch)));
  for (std::size_t index = 0; index < lines_.size(); ++index)
    FLOTILLA_TRY_STATUS(receive(index, FrameKind::ring_connected).transform([](const Frame&) {}));
  return {};
}

Result<Frame> LocalRing::receive(std::size_t index, FrameKind kind) {
  Frame frame;
  for (;;) {
    hear_all();
    FLOTILLA_TRY_STATUS(lines_.at(index)->receive(frame, options_.patience));
    keep_stats(index, frame);
    if (frame.header.kind == kind) return frame;
    if (frame.header.kind != FrameKind::stage_failed) continue;
    FLOTILLA_TRY(auto failed, decode_stage_failed(frame.body));
    return fail(Error{code_from_string(failed.code), std::move(failed.message)});
  }
}

void LocalRing::keep_stats(std::size_t index, const Frame& frame) {
  if (frame.header.kind != FrameKind::stage_stats) return;
  if (const auto stats = decode_stage_stats(frame.body)) stats_[index][stats->steps] = *stats;
}

Result<RunnerPulse> LocalRing::next_pulse(std::size_t index) {
  FLOTILLA_TRY(const auto frame, receive(index, FrameKind::runner_pulse));
  return decode_runner_pulse(frame.body);
}

// Once a second; the head's line is read anyway. Not before the ring is formed: each line's word on that is awaited.
void LocalRing::hear_all() {
  const auto now = Clock::now();
  if (!is_formed_ || now - heard_all_ < std::chrono::seconds(1)) return;
  heard_all_ = now;
  Frame frame;
  for (std::size_t index = 1; index < lines_.size(); ++index)
    while (lines_[index]->receive(frame, {})) {
      keep_stats(index, frame);
      if (frame.header.kind == FrameKind::stage_failed) failed_[index] = frame;
    }
}

std::vector<StageStats> LocalRing::newest_stats() const {
  std::vector<StageStats> newest;
  for (std::size_t index = 0; index < stats_.size(); index += members())
    newest.push_back(stats_[index].empty() ? StageStats{} : stats_[index].rbegin()->second);
  return newest;
}

std::vector<StageStats> LocalRing::common_stats() {
  Frame frame;
  for (std::size_t index = 0; index < lines_.size(); ++index)
    while (lines_[index]->receive(frame, {})) keep_stats(index, frame);
  for (const auto& [steps, of_head] : stats_.front() | std::views::reverse) {
    std::vector<StageStats> common;
    for (std::size_t index = 0; index < stats_.size(); index += members())
      if (const auto found = stats_[index].find(steps); found != stats_[index].end()) common.push_back(found->second);
    if (common.size() == options_.stages.size()) return common;
  }
  return {};
}

Status LocalRing::send(const GenerateRequest& request) {
  auto placed = request;
  placed.placement = placement;
  return lines_.front()->send(make_frame(FrameKind::generate, encode(placed), epoch));
}

Status LocalRing::cancel(RequestId id) {
  return lines_.front()->send(make_frame(FrameKind::cancel, encode(CancelRequest{id}), epoch));
}

Result<TokenEvent> LocalRing::next_event() {
  FLOTILLA_TRY(const auto frame, receive(0, FrameKind::token_event));
  return decode_token_event(frame.body);
}

Result<std::map<RequestId, LocalRing::Answer>> LocalRing::answers(std::size_t count) {
  std::map<RequestId, Answer> answers;
  while (count > 0) {
    FLOTILLA_TRY(auto event, next_event());
    auto& answer = answers[event.id];
    check(answer.end.finish == FinishReason::none, "nothing comes after a request's last event");
    if (event.has_token && event.index >= 0) {
      answer.tokens.push_back(event.token);
      answer.logprobs.push_back(event.logprob);
    }
    if (event.finish == FinishReason::none) continue;
    answer.end = std::move(event);
    --count;
  }
  return answers;
}

Result<StageFailed> LocalRing::wait_for_failed(std::size_t index) {
  if (const auto heard = failed_.find(index); heard != failed_.end()) return decode_stage_failed(heard->second.body);
  Frame frame;
  do {
    FLOTILLA_TRY_STATUS(lines_.at(index)->receive(frame, options_.patience));
  } while (frame.header.kind != FrameKind::stage_failed);
  return decode_stage_failed(frame.body);
}

void LocalRing::hang_up(std::size_t index) { lines_.at(index)->close({Code::closed, "[pipeline] the node is gone"}); }

}  // namespace flotilla
