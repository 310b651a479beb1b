#include "app/head_desk.h"

#include <algorithm>

#include "app/fleet.h"
#include "app/headed.h"
#include "app/wishes.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/secret.h"
#include "hub/gather.h"
#include "model/spec.h"
#include "planner/link_table.h"

namespace flotilla {

HeadDesk::HeadDesk(NodeContext& context, HeaderDesk& headers, OnEnded on_ended)
    : context_(context), headers_(headers), on_ended_(std::move(on_ended)) {}

std::vector<Placement> HeadDesk::placements() const {
  std::vector<Placement> list;
  for (const auto& [id, headed] : headed_) list.push_back(headed->placement);
  return list;
}

const Placement* HeadDesk::find(PlacementId id) const {
  const auto found = headed_.find(id);
  return found == headed_.end() ? nullptr : &found->second->placement;
}

const StatsPerStage* HeadDesk::stats(PlacementId id) const {
  const auto found = headed_.find(id);
  return found == headed_.end() ? nullptr : &found->second->stats;
}

// What its stages say. Of one whose stages have ended nothing is heard: it may have been under way.
std::shared_ptr<HeadDesk::Headed> HeadDesk::find_headed(PlacementId id, Epoch epoch) const {
  const auto found = headed_.find(id);
  if (found == headed_.end() || found->second->placement.epoch != epoch || found->second->is_empty) return nullptr;
  return found->second;
}

const LoadModel& HeadDesk::order(PlacementId id) const { return headed_.at(id)->order; }
const Plan& HeadDesk::plan(PlacementId id) const { return headed_.at(id)->plan; }

// While a placement moves there are two: the old one answers until the new one can, and is no more to be found then.
std::shared_ptr<HeadDesk::Headed> HeadDesk::find_model(const std::string& model) const {
  std::shared_ptr<Headed> best;
  for (const auto& [id, headed] : headed_)
    if (headed->placement.model == model && (!best || rank(headed->placement.state) > rank(best->placement.state)))
      best = headed;
  return best;
}

namespace {

bool is_member(const Placement& placement, std::uint32_t stage, std::uint32_t member, const NodeId& node) {
  return stage < placement.stages.size() && member < placement.stages[stage].nodes.size() &&
         placement.stages[stage].nodes[member] == node;
}

bool all_of_all(const auto& stages, auto is_so) {
  return std::ranges::all_of(stages, [&](const auto& members) { return std::ranges::all_of(members, is_so); });
}

// What each shard of a stage does of its work: a machine's shards share alike.
std::vector<double> shares_of(const PlannedStage& stage) {
  std::vector<double> shares;
  for (const PlannedMember& member : stage.members)
    shares.insert(shares.end(), member.shards, member.share / member.shards);
  return shares;
}

}  // namespace

void HeadDesk::on_load(const NodeId& node, const LoadModel& order) {
  const Asker asker{node, order.ticket, order.any_will_do};
  const auto headed = find_model(order.model);
  // One of ours that moves within our reach goes on until this one is ready; so does one of ours that has moved to the
  // asker and from there comes back.
  const bool is_beside = order.moves > 0 && (node == context_.identity.node || (headed && headed->has_successor));
  if (is_beside) return begin(order, asker, std::nullopt);
  if (!headed) {
    const ClusterView view = context_.view();
    const Placement* other = order.any_will_do ? placement_of(view, order.model) : nullptr;
    if (other && other->state == PlacementState::ready) return answer(asker, *other);
    if (other && other->state == PlacementState::loading)
      return refuse(asker, {Code::busy, std::format("[app] {} is being loaded by {} already; ask there", order.model,
                                                    name_of(view, other->head()))});
    return begin(as_before(order), asker, std::nullopt);
  }
  const bool is_back = headed->gives_way && is_by_hand(order);  // somebody wants it here after all
  if (order.any_will_do || (!is_back && !differs(order, headed->placement, context_.view())))
    return join(*headed, order, asker);
  const Placement replaced = headed->placement;
  end_all(order.model,
          {Code::unavailable,
           std::format("[app] {} is being loaded anew with another placement; ask again in a moment", order.model)},
          GoesOn::broken_off);
  begin(order, asker, replaced);
}

void HeadDesk::join(Headed& headed, const LoadModel& order, const Asker& asker) {
  if (headed.is_empty && is_by_hand(order))
    return refuse(asker, {Code::busy, std::format("[app] {} is on its way to other machines; say again in a moment "
                                                  "where it shall be",
                                                  order.model)});
  if (is_by_hand(order)) headed.order = order;  // what is so by chance is so by wish from now on
  if (headed.has_successor) {
    if (const auto other = ready_elsewhere(headed.placement)) return answer(asker, *other);
    open_again(headed.placement.id, "answers again: where it had moved to is gone");
  }
  if (headed.placement.state == PlacementState::ready) return answer(asker, headed.placement);
  headed.askers.push_back(asker);
}

std::optional<Placement> HeadDesk::ready_elsewhere(const Placement& placement) const {
  const ClusterView view = context_.view();
  const Placement* other = placement_of(view, placement.model);
  if (!other || other->state != PlacementState::ready || other->id == placement.id ||
      other->fingerprint != placement.fingerprint)
    return std::nullopt;
  return *other;
}

// Who asks for nothing else gets what is being started. Whether it meets another wish is known once it is planned.
void HeadDesk::begin(const LoadModel& order, const Asker& asker, const std::optional<Placement>& replaced) {
  Starting& starting = starting_[order.model];
  if (starting.number != 0 && !order.any_will_do && !asks_for_nothing(order) && !asks_alike(order, starting.order)) {
    starting.later.emplace_back(asker.node, order);
    return;
  }
  starting.askers.push_back(asker);
  if (starting.number != 0) return;
  starting.number = ++starts_;
  starting.order = order;
  headers_.want(
      order.model, order.fingerprint,
      [this, model = order.model, number = starting.number, replaced](const Result<StoredModel>& stored) {
        on_header(model, number, stored, replaced);
      },
      asker.node);
}

void HeadDesk::on_header(const std::string& model, std::uint64_t number, const Result<StoredModel>& stored,
                         const std::optional<Placement>& replaced) {
  const auto found = starting_.find(model);
  if (found == starting_.end() || found->second.number != number) return;  // unloaded meanwhile
  const Starting starting = std::move(starting_.extract(found).mapped());
  if (const auto planned = plan_and_start(starting, stored, replaced); !planned)
    for (const Asker& asker : starting.askers) refuse(asker, planned.error());
  for (const auto& [node, order] : starting.later) on_load(node, order);
}

Status HeadDesk::plan_and_start(const Starting& starting, const Result<StoredModel>& stored,
                                const std::optional<Placement>& replaced) {
  if (!stored) return fail(stored.error());
  FLOTILLA_TRY(const ModelShape shape, read_shape(*stored->gguf));
  // The machines of a placement just ended may not have said yet that its memory is free; they are told in order.
  const ClusterView view = replaced ? without(context_.view(), *replaced) : context_.view();
  const auto plan_for = [&](const LoadModel& order) {
    PlanWishes wishes = wishes_from(order, context_.activation_type);
    wishes.fingerprint = stored->info.fingerprint;
    wishes.head = context_.identity.node;
    return flotilla::plan(view, shape, wishes);
  };
  LoadModel order = starting.order;
  auto plan = plan_for(order);
  if (!plan && order.any_will_do && is_by_hand(order)) {  // the machines it was on are not all here
    order.nodes.clear();
    order.layers.clear();
    order.mode = "auto";
    plan = plan_for(order);
  }
  if (!plan) return fail(plan.error());
  order.any_will_do = false;
  start(order, *plan, *stored, starting.askers);
  return {};
}

std::shared_ptr<HeadDesk::Headed> HeadDesk::start(const LoadModel& order, const Plan& plan, const StoredModel& stored,
                                                  std::vector<Asker> askers) {
  lost_.erase(order.model);
  auto headed = std::make_shared<Headed>();
  headed->order = order;
  headed->plan = plan;
  headed->stored = stored;
  if (order.origin.is_known()) headed->stored.origin = order.origin;
  headed->began = context_.now();
  ++tally_.begun;
  ++context_.next_epoch.counter;
  Placement& placement = headed->placement;
  placement.id = {context_.random()};
  placement.epoch = context_.next_epoch;
  placement.model = order.model;
  placement.fingerprint = stored.info.fingerprint;
  placement.context_tokens = plan.context_tokens;
  placement.sequences = plan.sequences;
  placement.embeds = plan.embeds;
  placement.predicted_token_seconds = plan.token_seconds;
  placement.predicted_prompt_seconds = plan.prompt_seconds;
  placement.predicted_prompt_tokens = plan.prompt_tokens;
  placement.detail = "preparing";
  for (const PlannedStage& stage : plan.stages) {
    PlacedStage& placed = placement.stages.emplace_back();
    for (const PlannedMember& member : stage.members) placed.nodes.push_back(member.node);
    placed.layers = stage.layers;
    headed->ready.emplace_back(stage.members.size());
    headed->connected.emplace_back(stage.members.size());
    headed->stats.emplace_back(stage.members.size());
  }
  headed->askers = std::move(askers);
  headed_[placement.id] = headed;
  context_.changed();
  log(LogLevel::info, "app", "loading {}: {}", placement.model, plan.summary);
  prepare(headed);
  return headed;
}

namespace {

double slowest_exchange(const ClusterView& view, const PlannedStage& stage) {
  std::vector<const Member*> members;
  std::vector<std::size_t> places;
  for (const PlannedMember& planned : stage.members)
    if (const Member* member = view.find(planned.node)) {
      places.push_back(members.size());
      members.push_back(member);
    }
  return members.size() > 1 ? LinkTable(members).worst(places).bytes_per_second : 0;
}

// What each machine of a plan fetches from the hub, in the plan's order: every byte that somebody keeps, once.
std::vector<FileRanges> downloads_of(const Plan& plan, const StoredModel& stored) {
  std::vector<FileRanges> kept;
  for (const PlannedStage& stage : plan.stages)
    for (std::size_t member = 0; member < stage.members.size(); ++member)
      kept.push_back(stage_keeps(*stored.gguf, stage.layers, stage.is_head));
  return shared_out(kept, piece_bytes_for(stored.info.file_bytes));
}

std::vector<ByteRange> for_wire(const FileRanges& ranges) {
  std::vector<ByteRange> out;
  for (const FileRange& range : ranges) out.push_back({range.file_index, range.offset, range.bytes});
  return out;
}

std::vector<NodeId> others_of(const Placement& placement, const NodeId& self) {
  std::vector<NodeId> others;
  for (const PlacedStage& stage : placement.stages)
    for (const NodeId& node : stage.nodes)
      if (node != self && !std::ranges::contains(others, node)) others.push_back(node);
  return others;
}

}  // namespace

void HeadDesk::prepare(const std::shared_ptr<Headed>& headed) {
  const Placement& placement = headed->placement;
  const Plan& plan = headed->plan;
  PrepareStage order;
  order.placement = placement.id;
  order.epoch = placement.epoch;
  order.model = placement.model;
  order.fingerprint = placement.fingerprint;
  order.stage_count = static_cast<std::uint32_t>(plan.stages.size());
  order.context_tokens = plan.context_tokens;
  order.sequences = plan.sequences;
  order.embeds = plan.embeds;
  order.step_seconds = plan.step_seconds;
  order.activation_type = context_.activation_type;
  const auto secret = random_secret();
  order.ring_key = to_hex(std::span(secret).first(16));  // 128 bits
  if (const auto source = holder_of(context_.view(), placement.model, placement.fingerprint)) order.source = *source;
  order.origin = headed->stored.origin;
  const bool lies_in_parts = order.origin.is_known() && order.source == NodeId{};
  const auto downloads = lies_in_parts ? downloads_of(plan, headed->stored) : std::vector<FileRanges>();
  std::size_t machine = 0;
  for (const PlannedStage& stage : plan.stages) {
    order.layers = stage.layers;
    order.is_head = stage.is_head;
    order.members = static_cast<std::uint32_t>(stage.members.size());
    order.shares = order.members > 1 ? shares_of(stage) : std::vector<double>();
    order.exchange_bytes_per_second = slowest_exchange(context_.view(), stage);
    order.member = order.first_shard = order.shards = 0;
    for (const PlannedMember& member : stage.members) {
      order.first_shard += order.shards;
      order.shards = order.members > 1 ? member.shards : 0;
      if (lies_in_parts) {
        order.downloads = for_wire(downloads[machine++]);
        order.others = others_of(placement, member.node);
      }
      context_.send(member.node, make_frame(FrameKind::prepare_stage, encode(order)));
      ++order.member;
    }
    ++order.stage_index;
  }
}

void HeadDesk::on_ready(const NodeId& from, const StageReady& ready) {
  const auto headed = find_headed(ready.placement, ready.epoch);
  if (!headed || !is_member(headed->placement, ready.stage_index, ready.member, from)) return;
  auto& members = headed->ready[ready.stage_index];
  members[ready.member] = ready;
  PlacedStage& stage = headed->placement.stages[ready.stage_index];
  stage.weight_bytes = stage.kv_bytes = stage.compute_bytes = 0;
  stage.member_bytes.assign(members.size(), 0);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto& member = members[i];
    if (!member) continue;
    stage.member_bytes[i] = member->weight_bytes + member->kv_bytes + member->compute_bytes;
    stage.weight_bytes += member->weight_bytes;
    stage.kv_bytes += member->kv_bytes;
    stage.compute_bytes += member->compute_bytes;
  }
  if (all_of_all(headed->ready, [](const auto& member) { return member.has_value(); })) close_ring(*headed);
}

// Stage i passes activations straight to stage i + 1; the last returns the rows that need logits to the head. Of a
// stage with several members the first stands in the ring, and each connects to those before it.
void HeadDesk::close_ring(Headed& headed) {
  const auto& stages = headed.placement.stages;
  if (stages.size() == 1 && stages.front().nodes.size() == 1) return;  // a ring of one closes itself, in memory
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const std::size_t next = (i + 1) % stages.size();
    ConnectRing order{headed.placement.id,
                      headed.placement.epoch,
                      stages[next].nodes.front(),
                      headed.ready[next].front()->port,
                      "",
                      {}};
    if (next == i) order.port = 0;
    for (std::size_t member = 0; member < stages[i].nodes.size(); ++member) {
      const NodeId& node = stages[i].nodes[member];
      context_.send(node, make_frame(FrameKind::connect_ring, encode(order)));
      order.port = 0;
      order.members.push_back({.node = node, .port = headed.ready[i][member]->port, .address = ""});
    }
  }
}

void HeadDesk::on_connected(const NodeId& from, const RingConnected& connected) {
  const auto headed = find_headed(connected.placement, connected.epoch);
  if (!headed || !is_member(headed->placement, connected.stage_index, connected.member, from)) return;
  headed->connected[connected.stage_index][connected.member] = true;
  if (all_of_all(headed->connected, std::identity{})) become_ready(*headed);
}

void HeadDesk::become_ready(Headed& headed) {
  headed.placement.state = PlacementState::ready;
  headed.placement.detail = headed.order.why_moved;
  tally_.load_seconds.observe(std::chrono::duration<double>(context_.now() - headed.began).count());
  context_.changed();
  answer_all(headed, headed.placement);
}

void HeadDesk::on_progress(const NodeId& from, const LoadProgress& progress) {
  const auto found = headed_.find({progress.ticket});
  if (found == headed_.end() || !holds_part(found->second->placement, from)) return;
  Headed& headed = *found->second;
  headed.placement.detail = progress.text;
  for (const Asker& asker : headed.askers) {
    LoadProgress onward = progress;
    onward.ticket = asker.ticket;
    context_.send(asker.node, make_frame(FrameKind::load_progress, encode(onward)));
  }
}

void HeadDesk::on_stats(const NodeId& from, const StageStats& stats) {
  const auto found = headed_.find(stats.placement);
  if (found == headed_.end() || !is_member(found->second->placement, stats.stage_index, stats.member, from)) return;
  found->second->stats[stats.stage_index][stats.member] = stats;
}

void HeadDesk::on_unload(const NodeId& node, const UnloadModel& order) {
  const Asker asker{node, order.ticket};
  const auto headed = find_model(order.model);
  const auto starting = starting_.extract(order.model);
  if (!headed && starting.empty())
    return refuse(asker, {Code::not_found, std::format("[app] {} is not loaded", order.model)});
  Placement last{.model = order.model, .stages = {{.nodes = {context_.identity.node}}}};
  if (headed) last = headed->placement;
  const GoesOn requests = order.replaced ? GoesOn::broken_off : GoesOn::no;
  const Error cause{
      Code::unavailable,
      std::format("[app] {} {}", order.model,
                  order.replaced ? "is being loaded anew by another machine; ask again in a moment" : "was unloaded")};
  if (!starting.empty()) refuse_all(starting.mapped(), cause, requests);
  lost_.erase(order.model);
  order.replaced ? give_way(order.model, cause) : end_all(order.model, cause, requests);
  answer(asker, last);
}

void HeadDesk::refuse_all(const Starting& starting, const Error& cause, GoesOn requests) {
  for (const Asker& asker : starting.askers) refuse_ended(asker, cause, requests);
  for (const auto& [node, order] : starting.later) refuse({node, order.ticket}, cause);
}

// That it is gone is told before its requests are sent elsewhere, so that none comes back to it.
void HeadDesk::end(const std::shared_ptr<Headed>& headed, const Error& cause, GoesOn requests) {
  if (headed_.erase(headed->placement.id) == 0) return;
  stop_stages(*headed);
  context_.changed();
  for (const Asker& asker : headed->askers) refuse_ended(asker, cause, requests);
  on_ended_(headed->placement.id, cause, requests);
}

void HeadDesk::end_all(const std::string& model, const Error& cause, GoesOn requests) {
  while (const auto headed = find_model(model)) end(headed, cause, requests);
}

void HeadDesk::stop_stages(const Headed& headed) {
  if (headed.is_empty) return;
  const StopStage stop{headed.placement.id, headed.placement.epoch};
  for (const PlacedStage& stage : headed.placement.stages)
    for (const NodeId& node : stage.nodes) context_.send(node, make_frame(FrameKind::stop_stage, encode(stop)));
}

void HeadDesk::answer_all(Headed& headed, const Placement& placement) {
  for (const Asker& asker : std::exchange(headed.askers, {})) answer(asker, placement);
}

void HeadDesk::answer(const Asker& asker, const Placement& placement) {
  LoadResult result{.ticket = asker.ticket, .ok = true, .placement = placement};
  context_.send(asker.node, make_frame(FrameKind::load_result, encode(result)));
}

// Where it was unloaded: a code that no retry follows, for those who would else bring it back.
void HeadDesk::refuse_ended(const Asker& asker, Error cause, GoesOn requests) {
  if (requests == GoesOn::no && asker.is_for_requests) cause.code = Code::cancelled;
  refuse(asker, cause);
}

void HeadDesk::refuse(const Asker& asker, const Error& cause) {
  LoadResult result{.ticket = asker.ticket, .ok = false};
  result.code = to_string(cause.code);
  result.message = cause.message;
  context_.send(asker.node, make_frame(FrameKind::load_result, encode(result)));
}

}  // namespace flotilla
