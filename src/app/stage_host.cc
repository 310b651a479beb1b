#include "app/stage_host.h"

#include <algorithm>

#include "app/layer_fetch.h"
#include "app/machine.h"
#include "app/runner_watch.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/units.h"
#include "model/spec.h"
#include "planner/planner.h"

namespace flotilla {
namespace {

// For the word of whose stage is gone, after its neighbour's. On a loaded machine it has taken longer than 300 ms,
// and where no word comes it is a link alone that broke, which is rare.
constexpr auto first_hand_wait = std::chrono::seconds(1);

}  // namespace

struct StageHost::Held {
  NodeId head;
  PrepareStage order;
  std::uint64_t memory_bytes = 0;  // counted against the offer from the moment the header is here
  std::shared_ptr<SpawnedRunner> runner;
  RunnerWatch watch;
  std::shared_ptr<std::atomic<bool>> stop_copy = std::make_shared<std::atomic<bool>>(false);
  bool is_ready = false;               // it has loaded
  Instant counted{};                   // when its runner last told what it had done
  std::unique_ptr<Alarm> explanation;  // of why its neighbour is gone; awaited where set: its runner serves nobody now
};

StageHost::StageHost(NodeContext& context, std::uint64_t memory_offered_bytes, std::uint32_t threads)
    : context_(context),
      memory_offered_bytes_(memory_offered_bytes),
      threads_(threads),
      watch_(context.alarm, limits::pulse_interval, [this] { watch_stages(); }) {}

StageHost::~StageHost() {
  for (auto& [placement, held] : held_) {
    held->stop_copy->store(true);
    if (held->runner) held->runner->stop();
  }
}

std::uint64_t StageHost::memory_taken_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [placement, held] : held_) bytes += held->memory_bytes;
  return bytes;
}

int StageHost::runner_pid(PlacementId placement) const {
  const auto found = held_.find(placement);
  return found == held_.end() || !found->second->runner ? -1 : found->second->runner->pid();
}

std::shared_ptr<StageHost::Held> StageHost::find(const NodeId& head, PlacementId placement, Epoch epoch) {
  const auto found = held_.find(placement);
  if (found == held_.end() || found->second->head != head || found->second->order.epoch != epoch) return nullptr;
  return found->second;
}

// How this machine's cores are divided is its own to know: as it measured, unless the stage is cut for a group.
void StageHost::set_threads(PrepareStage& order) const {
  if (order.members == 1) {
    order.shards = std::max(1u, std::min(rates_.shards, threads_));
    order.first_shard = 0;
    order.shares.clear();
  }
  order.threads = std::max(1u, threads_ / std::max(1u, order.shards));
}

void StageHost::on_prepare(const NodeId& head, PrepareStage order) {
  if (const auto found = held_.find(order.placement); found != held_.end() && found->second->head != head)
    return refuse(head, order,
                  {Code::permission, std::format("[app] expected a placement of its own from a machine but "
                                                 "{} holds a stage of this one for another",
                                                 context_.identity.name)});
  context_.working();
  drop(order.placement);
  auto held = std::make_shared<Held>();
  held->head = head;
  held->order = std::move(order);
  held->order.files.clear();  // a peer names a model, never a path
  set_threads(held->order);
  held_[held->order.placement] = held;
  if (!std::exchange(is_watching_, true)) watch_.begin();
  if (const auto stored = context_.store.find(held->order.model, held->order.fingerprint)) return admit(held, *stored);
  fetch_header(held);
}

namespace {

// Where the bytes that this node lacks can be had.
struct Source {
  std::string host;
  std::uint16_t port = 0;
};

Source source_of(const ClusterView& view, const PrepareStage& order) {
  const Member* member = view.find(order.source);
  if (!member || member->state == MemberState::self) return {};
  return {member->host, member->info.cluster_port};
}

Result<std::unique_ptr<Link>> connect(NodeContext& context, const PrepareStage& order, const Source& source) {
  if (source.host.empty())
    return fail(Code::not_found, "[app] {} has no file of {} and knows no machine to take it from",
                context.identity.name, order.model);
  return context.bulk(order.source, source.host, source.port);
}

// Both blocking, on the copy pool. After the second, every byte the stage reads is on this disk and has its digest.
Result<StoredModel> bring_header(NodeContext& context, const PrepareStage& order, const Source& source) {
  FLOTILLA_TRY(const auto link, connect(context, order, source));
  return context.store.fetch_header(*link, order.model, order.fingerprint);
}

// A machine without the file's header has it from whoever has the file, else from the head.
Source header_source_of(const ClusterView& view, const NodeId& head, PrepareStage& order) {
  if (order.source == NodeId{}) order.source = head;
  return source_of(view, order);
}

Result<StoredModel> bring_layers(NodeContext& context, const PrepareStage& order, const StoredModel& stored,
                                 const Source& source, const FetchProgressFn& progress, const std::atomic<bool>& stop) {
  if (!stored.is_part) return stored;
  const auto ranges = stage_ranges(*stored.gguf, order.layers, order.is_head);
  // Bytes kept from an earlier time are read once more before they are trusted.
  FLOTILLA_TRY_STATUS(context.store.verify(order.fingerprint, ranges));
  if (context.store.missing(order.fingerprint, ranges).empty()) return stored;
  FLOTILLA_TRY(const auto link, connect(context, order, source));
  return context.store.fetch_ranges(*link, stored, ranges, progress, stop);
}

// Of a stage that several machines compute, this one's part. By itself a machine makes fewer slices where layers cannot
// be cut into so many.
StagePart part_of(const PrepareStage& order, const ModelShape& shape) {
  if (order.members == 1) {
    const std::uint32_t shards = std::min(order.shards, shape.shards_max);
    return {.share = 1, .shards = shards, .all_shards = shards, .is_first = true};
  }
  double own = 0, all = 0;
  for (std::size_t shard = 0; shard < order.shares.size(); ++shard) {
    all += order.shares[shard];
    if (shard >= order.first_shard && shard < order.first_shard + order.shards) own += order.shares[shard];
  }
  return {.share = all > 0 ? own / all : 1,
          .shards = order.shards,
          .all_shards = static_cast<std::uint32_t>(order.shares.size()),
          .is_first = order.member == 0};
}

Result<std::uint64_t> memory_for(const StoredModel& stored, const PrepareStage& order) {
  FLOTILLA_TRY(const ModelShape shape, read_shape(*stored.gguf));
  const StageNeed need =
      stage_need(shape, order.layers, order.is_head, order.context_tokens, order.sequences, part_of(order, shape));
  return need.total() + memory_reserve_bytes;
}

}  // namespace

// The copy pool may outlive this object by a moment: there, only the context is touched.
void StageHost::fetch_header(const std::shared_ptr<Held>& held) {
  PrepareStage asked = held->order;
  const Source source = header_source_of(context_.view(), held->head, asked);
  context_.copies.post([this, context = &context_, held, order = std::move(asked), source] {
    auto stored = bring_header(*context, order, source);
    boost::asio::post(context->loop, [this, held, stored = std::move(stored)] {
      if (find(held->head, held->order.placement, held->order.epoch) != held) return;  // stopped meanwhile
      if (!stored) return fail_stage(held, stored.error());
      admit(held, *stored);
    });
  });
}

// Before the layers are copied, which may take minutes: whoever plans meanwhile must not count on this memory.
void StageHost::admit(const std::shared_ptr<Held>& held, const StoredModel& stored) {
  const auto memory = memory_for(stored, held->order);
  if (!memory) return fail_stage(held, memory.error());
  const std::uint64_t free = memory_offered_bytes_ - std::min(memory_offered_bytes_, memory_taken_bytes());
  if (*memory > free)
    return fail_stage(
        held, {Code::no_memory,
               std::format("[app] {} was asked to hold {} but offers only {}; unload another model or raise --memory",
                           context_.identity.name, format_bytes(*memory), format_bytes(free))});
  held->memory_bytes = *memory;
  context_.changed();
  fetch_layers(held, stored);
}

void StageHost::fetch_layers(const std::shared_ptr<Held>& held, const StoredModel& stored) {
  NodeContext* context = &context_;
  const bool from_hub = comes_from_hub(held->order, stored);
  const auto progress = [context, held, from_hub, last = Instant{}](std::uint64_t done, std::uint64_t total) mutable {
    const Instant now = context->now();
    if (done < total && now - last < std::chrono::milliseconds(200)) return;
    last = now;
    const LoadProgress message{
        held->order.placement.value,
        std::format("{} layers to {}", from_hub ? "fetching" : "copying", context->identity.name), done, total,
        from_hub ? context->identity.name : ""};
    boost::asio::post(context->loop, [context, held, message] {
      context->send(held->head, make_frame(FrameKind::load_progress, encode(message)));
    });
  };
  const ClusterView view = context_.view();
  const auto bring = [this, context, held, order = held->order, stored, source = source_of(view, held->order),
                      neighbours = from_hub ? neighbours_of(context_, view, held->order) : std::vector<Neighbour>(),
                      from_hub, progress, stop = held->stop_copy] {
    auto brought = from_hub ? bring_from_hub(*context, order, stored, neighbours, progress, *stop)
                            : bring_layers(*context, order, stored, source, progress, *stop);
    boost::asio::post(context->loop, [this, held, brought = std::move(brought)] {
      if (find(held->head, held->order.placement, held->order.epoch) != held) return;  // stopped meanwhile
      if (!brought) return fail_stage(held, brought.error());
      context_.changed();  // the file may be whole here now
      for (const auto& file : brought->files) held->order.files.push_back(file.string());
      start_runner(held);
    });
  };
  from_hub ? context_.downloads.post(bring) : context_.copies.post(bring);
}

void StageHost::start_runner(const std::shared_ptr<Held>& held) {
  context_.working();
  RunnerSpawnOptions options = context_.runner;
  options.threads = threads_;
  auto runner = context_.spawn(
      options, [this, held](Frame frame) { on_runner_frame(held, std::move(frame)); },
      [this, held](const std::string& how) { on_runner_gone(held, how); });
  if (!runner) return fail_stage(held, runner.error());
  held->runner = *runner;
  held->runner->send(make_frame(FrameKind::prepare_stage, encode(held->order)));
}

void StageHost::on_runner_gone(const std::shared_ptr<Held>& held, const std::string& how) {
  if (held->explanation) return;  // it went because its neighbour did
  fail_stage(held, {Code::unavailable,
                    std::format("[app] the process holding layers {}–{} of {} on {} {}", held->order.layers.first,
                                held->order.layers.end - 1, held->order.model, context_.identity.name, how)});
}

// A stage that is fetched or loaded keeps this machine busy. A runner that lives and does not move is ended, and then
// gone like any other.
void StageHost::watch_stages() {
  if (std::ranges::any_of(held_, [](const auto& entry) { return !entry.second->is_ready; })) context_.working();
  const auto now = context_.now();
  std::vector<std::pair<std::shared_ptr<Held>, std::string>> failed;
  for (const auto& [placement, held] : held_)
    if (held->runner && !held->explanation)
      if (const auto how = held->watch.on_tick(now, [&] { return is_starved(held->runner->pid()); }))
        failed.emplace_back(held, *how);
  for (const auto& [held, how] : failed) {
    held->runner->kill();
    on_runner_gone(held, how);
  }
}

// Everything a runner says is for the head, but for its pulse; only the ticket of its loading progress is not its to
// know.
void StageHost::on_runner_frame(const std::shared_ptr<Held>& held, Frame frame) {
  if (frame.header.kind == FrameKind::runner_pulse) {  // also of one that rests
    if (const auto pulse = decode_runner_pulse(frame.body)) held->watch.on_pulse(*pulse, context_.now());
    return;
  }
  context_.working();
  switch (frame.header.kind) {
    case FrameKind::load_progress: {
      auto progress = decode_load_progress(frame.body);
      if (!progress) return;
      progress->ticket = held->order.placement.value;
      progress->text = std::format("loading layers on {}", context_.identity.name);
      context_.send(held->head, make_frame(FrameKind::load_progress, encode(*progress)));
      return;
    }
    case FrameKind::stage_failed: {
      const auto failed = decode_stage_failed(frame.body);
      if (failed) fail_stage_unless_explained(held, {code_from_string(failed->code), failed->message});
      return;
    }
    case FrameKind::stage_stats:
      held->counted = context_.now();
      if (const auto stats = decode_stage_stats(frame.body)) context_.stage_stats(*stats, is_alone(*held));
      context_.send(held->head, std::move(frame));
      return;
    case FrameKind::stage_ready:
      held->is_ready = true;
      context_.send(held->head, std::move(frame));
      return;
    case FrameKind::ring_connected:
    case FrameKind::token_event:
    case FrameKind::embedding:
      context_.send(held->head, std::move(frame));
      return;
    default:
      log(LogLevel::warning, "app", "a runner sent an unexpected {} frame", to_string(frame.header.kind));
  }
}

// Runners tell once a second while they compute; two seconds back reaches over the one this stage counted.
bool StageHost::is_alone(const Held& held) const {
  const auto since = context_.now() - std::chrono::seconds(2);
  return std::ranges::none_of(held_, [&](const auto& entry) {
    const Held& other = *entry.second;
    return &other != &held && (!other.is_ready || other.counted > since);
  });
}

void StageHost::on_connect_ring(const NodeId& head, ConnectRing order) {
  const auto held = find(head, order.placement, order.epoch);
  if (!held || !held->runner) return;
  const ClusterView view = context_.view();
  bool reaches_all = true;
  const auto address_of = [&](const NodeId& node) -> std::string {
    const Member* member = view.find(node);
    reaches_all = reaches_all && member && member->state != MemberState::seen;
    if (!reaches_all) return {};
    return member->state == MemberState::self ? "127.0.0.1" : member->host;
  };
  if (order.port != 0) order.address = address_of(order.next);
  for (MemberAddress& member : order.members) member.address = address_of(member.node);
  if (!reaches_all)
    return fail_stage(
        held, {Code::unavailable, std::format("[app] {} is to pass activations to a machine it is not connected with; "
                                              "check that the two reach each other (a firewall?)",
                                              context_.identity.name)});
  held->runner->send(make_frame(FrameKind::connect_ring, encode(order)));
}

void StageHost::on_stop(const NodeId& head, const StopStage& order) {
  if (find(head, order.placement, order.epoch)) drop(order.placement);
}

Status StageHost::offer_to_runner(PlacementId placement, const Frame& frame) {
  context_.working();
  const auto found = held_.find(placement);
  const bool can_take = found != held_.end() && found->second->runner && found->second->runner->is_open();
  if (!can_take || found->second->explanation)
    return fail(Code::unavailable, "[app] the process that would compute this answer is gone; send the request again");
  found->second->watch.on_request(context_.now());
  if (found->second->runner->offer(frame)) return {};
  return fail(Code::busy,
              "[app] expected at most {} to wait for the process that computes {} but requests fill it; try "
              "again in a moment",
              format_bytes(FrameConnection::offered_bytes_max), found->second->order.model);
}

void StageHost::to_runner(PlacementId placement, const Frame& frame) {
  if (const auto found = held_.find(placement); found != held_.end() && found->second->runner)
    found->second->runner->send(frame);
}

void StageHost::on_node_lost(const NodeId& node) {
  std::vector<PlacementId> orphans;
  for (const auto& [placement, held] : held_)
    if (held->head == node) orphans.push_back(placement);
  for (const PlacementId placement : orphans) drop(placement);
}

void StageHost::fail_stage(const std::shared_ptr<Held>& held, const Error& cause) {
  if (find(held->head, held->order.placement, held->order.epoch) != held) return;  // said once
  refuse(held->head, held->order, cause);
  drop(held->order.placement);
}

// Why a neighbour is gone its own node tells the head, which then ends this stage: but often a little later than the
// closed link tells it here.
void StageHost::fail_stage_unless_explained(const std::shared_ptr<Held>& held, Error cause) {
  if (cause.code != Code::closed) return fail_stage(held, cause);
  cause.code = Code::unavailable;
  held->explanation = context_.alarm(first_hand_wait, [this, weak = std::weak_ptr(held), cause] {
    if (const auto alive = weak.lock()) fail_stage(alive, cause);
  });
}

void StageHost::refuse(const NodeId& head, const PrepareStage& order, const Error& cause) {
  const StageFailed message{order.placement, order.epoch, order.stage_index, std::string(to_string(cause.code)),
                            cause.message};
  context_.send(head, make_frame(FrameKind::stage_failed, encode(message)));
}

void StageHost::drop(PlacementId placement) {
  const auto found = held_.find(placement);
  if (found == held_.end()) return;
  const auto held = found->second;
  held_.erase(found);
  held->stop_copy->store(true);
  if (held->runner) held->runner->stop();
  held->runner.reset();
  context_.stage_ended(placement);
  context_.changed();
}

}  // namespace flotilla
