#include "pipeline/runner.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "pipeline/embedding.h"
#include "pipeline/group.h"
#include "pipeline/group_stage.h"
#include "pipeline/head.h"
#include "pipeline/link_collective.h"
#include "pipeline/member.h"
#include "pipeline/node_line.h"
#include "pipeline/plan_files.h"
#include "pipeline/pulse.h"
#include "pipeline/ring.h"
#include "pipeline/worker.h"
#include "wire/values.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds progress_interval{100};
constexpr std::size_t ring_key_digits = 32;
// A ring is taken down stage by stage, and a neighbour may go before our own node tells us to. So a broken ring is a
// failure only once our node has had this long to say that it is meant to end.
constexpr std::chrono::milliseconds node_may_explain{250};

Result<std::unique_ptr<Stage>> load_from_files(const PrepareStage& plan, const LoadProgressFn& progress,
                                               std::unique_ptr<Collective> others) {
  FLOTILLA_TRY_STATUS(start_engine());
  FLOTILLA_TRY(auto gguf, open_files(plan));
  StageOptions options{
      .layers = plan.layers,
      .is_head = plan.is_head,
      .threads = plan.threads,
      .shards = std::max(plan.shards, 1u),
      .shares = plan.shares,
      .first_shard = plan.first_shard,
      .exchange_values_per_second = plan.exchange_bytes_per_second / double(value_bytes(plan.activation_type)),
      .context_tokens = plan.context_tokens,
      .sequences = plan.sequences,
      .step_rows_max = limits::step_rows_max};
  const std::vector<std::filesystem::path> files = files_of(plan);
  if (plan.members > 1) return Stage::load(std::move(gguf), files, options, progress, std::move(others));
  auto stage = Stage::load(gguf, files, options, progress);
  if (stage || stage.error().code != Code::unsupported || options.shards == 1) return stage;
  log(LogLevel::info, "pipeline", "one shard of {} threads instead: {}", options.shards * options.threads,
      stage.error().message);
  options.threads *= std::exchange(options.shards, 1);
  return Stage::load(std::move(gguf), files, options, progress);
}

// Nobody to connect with.
bool is_alone(const PrepareStage& plan) { return plan.stage_count == 1 && plan.members == 1; }

Status check_plan(const PrepareStage& plan) {
  if (plan.stage_count == 0 || plan.stage_index >= plan.stage_count || plan.is_head != (plan.stage_index == 0))
    return fail(Code::invalid_argument,
                "[pipeline] expected a stage of a ring whose first is the head but got {} of {}{}", plan.stage_index,
                plan.stage_count, plan.is_head ? " as head" : "");
  if (plan.members > 1 && (plan.shares.size() < plan.members || plan.shards == 0))
    return fail(Code::invalid_argument,
                "[pipeline] expected a share of the work for each of {} members but got {} and {} shards here",
                plan.members, plan.shares.size(), plan.shards);
  if (plan.sequences == 0 || plan.sequences > limits::sequences_max || plan.context_tokens < 2 ||
      plan.context_tokens > limits::context_tokens_max)
    return fail(Code::invalid_argument,
                "[pipeline] expected 1 to {} sequences of 2 to {} tokens but got {} of {}; ask for another context",
                limits::sequences_max, limits::context_tokens_max, plan.sequences, plan.context_tokens);
  if (!is_alone(plan) && plan.ring_key.size() != ring_key_digits)
    return fail(Code::invalid_argument, "[pipeline] expected a ring key of {} digits but got {}", ring_key_digits,
                plan.ring_key.size());
  return {};
}

// From prepare_stage to the end.
class Runner {
 public:
  Runner(NodeLine& node, const RunnerOptions& options, const StageLoader& load)
      : node_(node), options_(options), load_(load) {}

  Status run();
  void send_failed(const Error& cause);

 private:
  template <class Wanted>
  Result<Wanted> wait_for();
  void pass_over(const Command& command);
  LoadProgressFn progress_to_node();
  Result<Descriptor> listen_where_needed();
  void send_ready(const StageMemory& memory, std::uint16_t port);
  Status run_as_embedder();
  void send_connected();
  Result<std::unique_ptr<Stage>> load();
  Result<std::optional<Ring>> form_ring(Descriptor listener);
  Constraints::LoadTokenizer load_tokenizer() const;

  NodeLine& node_;
  const RunnerOptions& options_;
  const StageLoader& load_;
  PrepareStage plan_;
  StepClock clock_;
  std::shared_ptr<Group> group_;
};

Status Runner::run() {
  FLOTILLA_TRY(plan_, wait_for<PrepareStage>());
  FLOTILLA_TRY_STATUS(check_plan(plan_));
  if (plan_.embeds) return run_as_embedder();
  group_ = std::make_shared<Group>(plan_, &clock_);
  FLOTILLA_TRY(const auto stage, load());
  FLOTILLA_TRY(auto listener, listen_where_needed());
  send_ready(stage->memory(), listener ? local_port(listener) : std::uint16_t{0});
  FLOTILLA_TRY(auto ring, form_ring(std::move(listener)));
  const auto hooked = node_.on_end([this, &ring](const Error& cause) {
    group_->close(cause);
    if (ring) ring->close(cause);
  });
  send_connected();
  const Pulse pulse(node_, clock_, plan_.epoch);
  if (!ring) return run_member(*stage, *group_, node_, clock_, plan_);
  auto status = plan_.is_head ? run_head(*stage, *ring, *group_, node_, clock_, plan_, load_tokenizer())
                              : run_worker(*stage, *ring, *group_, node_, clock_, plan_);
  if (!status) group_->send_lost(status.error());
  return status;
}

Status Runner::run_as_embedder() {
  FLOTILLA_TRY(const auto embedder, load_embedder(plan_, progress_to_node()));
  send_ready(embedder->memory(), 0);
  send_connected();
  const Pulse pulse(node_, clock_, plan_.epoch);
  return run_embedder(*embedder, node_, clock_, plan_);
}

// It says so too where there is no ring to connect.
void Runner::send_connected() {
  const RingConnected connected{
      .placement = plan_.placement, .epoch = plan_.epoch, .stage_index = plan_.stage_index, .member = plan_.member};
  node_.send(FrameKind::ring_connected, encode(connected), plan_.epoch);
}

Result<std::unique_ptr<Stage>> Runner::load() {
  if (plan_.members == 1) return load_(plan_, progress_to_node(), nullptr);
  FLOTILLA_TRY(auto own, load_(plan_, progress_to_node(), make_link_collective(group_)));
  if (plan_.member != 0) return own;
  return make_group_stage(std::move(own), group_, plan_.stage_count == 1);
}

template <class Wanted>
Result<Wanted> Runner::wait_for() {
  for (;;) {
    FLOTILLA_TRY(auto command, node_.next());
    if (auto* wanted = std::get_if<Wanted>(&command)) return std::move(*wanted);
    pass_over(command);
  }
}

// A request may come before the ring stands; it is answered all the same.
void Runner::pass_over(const Command& command) {
  const Error loading{Code::unavailable, "[pipeline] the model is still loading; try again in a moment"};
  if (const auto* texts = std::get_if<EmbedRequest>(&command))
    return node_.send(FrameKind::embedding, encode(EmbedResult{.id = texts->id, .vectors = {}, .error = loading}),
                      plan_.epoch);
  const auto* request = std::get_if<GenerateRequest>(&command);
  if (!request) return log(LogLevel::warning, "pipeline", "a command that comes before its time is passed over");
  TokenEvent refused;
  refused.id = request->id;
  refused.finish = FinishReason::failed;
  refused.error = loading;
  node_.send(FrameKind::token_event, encode(refused), plan_.epoch);
}

LoadProgressFn Runner::progress_to_node() {
  return [this, sent = Clock::time_point{}](std::uint64_t done, std::uint64_t total) mutable {
    const auto now = Clock::now();
    if (now - sent < progress_interval && done < total) return;
    sent = now;
    const LoadProgress progress{.ticket = 0,
                                .text = std::format("reading {} layers", plan_.layers.count()),
                                .done_bytes = done,
                                .total_bytes = total};
    node_.send(FrameKind::load_progress, encode(progress), plan_.epoch);
  };
}

Result<Descriptor> Runner::listen_where_needed() {
  if (is_alone(plan_)) return Descriptor{};
  return tcp_listen("", 0);
}

void Runner::send_ready(const StageMemory& memory, std::uint16_t port) {
  const StageReady ready{.placement = plan_.placement,
                         .epoch = plan_.epoch,
                         .stage_index = plan_.stage_index,
                         .member = plan_.member,
                         .port = port,
                         .weight_bytes = memory.weight_bytes,
                         .kv_bytes = memory.kv_bytes,
                         .compute_bytes = memory.compute_bytes};
  node_.send(FrameKind::stage_ready, encode(ready), plan_.epoch);
}

// The door is closed once the neighbours are in: nobody else is to come.
Result<std::optional<Ring>> Runner::form_ring(Descriptor listener) {
  if (is_alone(plan_)) return std::optional(make_lone_ring(plan_));
  for (;;) {
    FLOTILLA_TRY(const auto next, wait_for<ConnectRing>());
    if (next.placement == plan_.placement && next.epoch == plan_.epoch)
      return connect_ring(plan_, next, listener, options_, node_, *group_);
    log(LogLevel::warning, "pipeline", "connect_ring of another placement or epoch is passed over");
  }
}

Constraints::LoadTokenizer Runner::load_tokenizer() const {
  return [this]() -> Result<std::shared_ptr<const Tokenizer>> {
    if (options_.load_tokenizer) return options_.load_tokenizer(plan_);
    return fail(Code::unsupported, "[pipeline] expected a stage that knows the model's tokens but this one does not");
  };
}

void Runner::send_failed(const Error& cause) {
  const StageFailed failed{.placement = plan_.placement,
                           .epoch = plan_.epoch,
                           .stage_index = plan_.stage_index,
                           .code = std::string(to_string(cause.code)),
                           .message = cause.message};
  node_.send(FrameKind::stage_failed, encode(failed), plan_.epoch);
}

}  // namespace

Status run_runner(std::unique_ptr<Link> node, const RunnerOptions& options) {
  return run_runner(std::move(node), options, load_from_files);
}

Status run_runner(std::unique_ptr<Link> node, const RunnerOptions& options, const StageLoader& load) {
  NodeLine line(std::move(node), options.grace);
  Runner runner(line, options, load);
  auto status = runner.run();
  if (line.ended() || (!status && line.ended_within(node_may_explain))) return {};
  if (!status) runner.send_failed(status.error());
  return status;
}

}  // namespace flotilla
