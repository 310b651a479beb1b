#include "app/load_desk.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "app/fleet.h"
#include "app/wishes.h"
#include "base/log.h"
#include "model/shape.h"

namespace flotilla {
namespace {

// Of one order: as often as its head starts a load over (app/head_losses.cc).
constexpr std::uint32_t asks_again_max = 3;
constexpr auto leaving_look_interval = std::chrono::milliseconds(20);
constexpr std::uint32_t leaving_looks_max = 100;  // two seconds

}  // namespace

void LoadDesk::plan(const LoadModel& order, const OnPlan& on_plan) {
  headers_.want(order.model, order.fingerprint, [this, order, on_plan](const Result<StoredModel>& stored) {
    if (!stored) return on_plan(fail(stored.error()));
    const auto shape = read_shape(*stored->gguf);
    if (!shape) return on_plan(fail(shape.error()));
    PlanWishes wishes = wishes_from(order, context_.activation_type);
    wishes.fingerprint = stored->info.fingerprint;
    const ClusterView view = context_.view();
    const Placement* present = placement_of(view, order.model);
    if (shape->embeds) return on_plan(flotilla::plan(without_all(view, order.model), *shape, wishes));
    on_plan(flotilla::plan(present ? without(view, *present) : view, *shape, wishes));
  });
}

// A wish that differs from what is loaded is planned before anything is given up: one that cannot be met changes
// nothing.
void LoadDesk::load(LoadModel order, OnProgress on_progress, OnDone on_done) {
  const ClusterView view = context_.view();
  const Placement* present = placement_of(view, order.model);
  const bool may_spread = present && present->embeds && !order.any_will_do;
  if (present && !may_spread && (order.any_will_do || !differs(order, *present, view))) {
    // Who says where it shall be is heard even where it is there: its head must not move it elsewhere.
    if (present->state == PlacementState::ready && !is_by_hand(order)) return on_done(*present);
    return ask(present->head(), std::move(order), std::move(on_progress), std::move(on_done));
  }
  const LoadModel wish = order;
  plan(wish, [this, order = std::move(order), on_progress, on_done](const Result<Plan>& plan) {
    if (!plan) return on_done(fail(plan.error()));
    if (plan->embeds && !order.any_will_do) return spread(order, *plan, on_progress, on_done);
    replace(plan->stages.front().node, order, on_progress, on_done);
  });
}

// It went well where one copy is there. A machine that has one already answers at once.
void LoadDesk::spread(const LoadModel& order, const Plan& plan, const OnProgress& on_progress, const OnDone& on_done) {
  std::vector<PlannedStage> wanted = plan.stages;
  wanted.insert(wanted.end(), plan.copies.begin(), plan.copies.end());
  if (!order.nodes.empty()) {
    std::vector<NodeId> others = heads_of(context_.view(), order.model);
    std::erase_if(others, [&](const NodeId& head) { return std::ranges::contains(wanted, head, &PlannedStage::node); });
    unload_at(others, {.model = order.model, .replaced = true}, [](const auto&) {});
  }
  struct Answers {
    std::size_t missing;
    std::optional<Result<Placement>> best;
  };
  const auto answers = std::make_shared<Answers>(wanted.size(), std::nullopt);
  for (const PlannedStage& stage : wanted) {
    LoadModel own = order;
    own.nodes = {stage.node_name};
    ask(stage.node, std::move(own), on_progress, [answers, on_done, name = stage.node_name](Result<Placement> result) {
      if (!result)
        log(LogLevel::warning, "app", "{} holds no copy of a model that was to be there: {}", name,
            result.error().message);
      if (!answers->best || (result && !*answers->best)) answers->best = std::move(result);
      if (--answers->missing == 0) on_done(*std::move(answers->best));
    });
  }
}

// The head of the present placement replaces it by itself; another one can begin once that has given way.
void LoadDesk::replace(const NodeId& head, const LoadModel& order, const OnProgress& on_progress,
                       const OnDone& on_done) {
  const ClusterView view = context_.view();
  const Placement* present = placement_of(view, order.model);
  if (!present || present->head() == head) return ask(head, order, on_progress, on_done);
  std::vector<NodeId> others = heads_of(view, order.model);
  std::erase(others, head);
  const auto on_loaded = [this, others, model = order.model, on_done](const Result<Placement>& loaded) {
    if (!loaded) return on_done(loaded);
    answer_once_gone({model, others, [on_done, loaded] { on_done(loaded); }, leaving_looks_max});
  };
  unload_at(others, {.model = order.model, .replaced = true},
            [this, head, order, on_progress, on_loaded](const Result<Placement>&) {
              ask(head, order, on_progress, on_loaded);
            });
}

// What has given way is seen for a moment still. Who was answered and then looks what is loaded finds the new one only.
void LoadDesk::answer_once_gone(Leaving leaving) {
  const std::vector<NodeId> heads = heads_of(context_.view(), leaving.model);
  const bool is_seen =
      std::ranges::any_of(leaving.heads, [&](const NodeId& head) { return std::ranges::contains(heads, head); });
  if (!is_seen || leaving.looks_left-- == 0) return leaving.answer();
  const std::uint64_t look = context_.random();
  looks_[look] = context_.alarm(leaving_look_interval, [this, look, leaving = std::move(leaving)] {
    looks_.erase(look);
    answer_once_gone(leaving);
  });
}

void LoadDesk::ask(const NodeId& head, LoadModel order, OnProgress on_progress, OnDone on_done) {
  if (!order.origin.is_known() && !holder_of(context_.view(), order.model, order.fingerprint)) add_origin(order);
  ask({head, std::move(on_progress), std::move(on_done), std::move(order)});
}

// Each time by a new ticket: what still comes by an earlier one is nobody's.
void LoadDesk::ask(Waiting waiting) {
  LoadModel& order = *waiting.load;
  order.ticket = context_.random();
  const std::uint64_t ticket = order.ticket;
  const NodeId head = waiting.head;
  Frame frame = make_frame(FrameKind::load_model, encode(order));
  waiting_[ticket] = std::move(waiting);
  send(ticket, head, std::move(frame));
}

// Of a model that lies in parts this node may know which hub has the rest.
void LoadDesk::add_origin(LoadModel& order) const {
  const auto stored = context_.store.find(order.model, order.fingerprint);
  if (!stored || !stored->origin.is_known()) return;
  order.fingerprint = stored->info.fingerprint;
  order.origin = stored->origin;
}

// A head that left before its place in `waiting_` was taken is not announced as lost again: who waits is told here.
void LoadDesk::send(std::uint64_t ticket, const NodeId& head, Frame frame) {
  if (context_.send(head, std::move(frame))) return;
  const auto node = waiting_.extract(ticket);
  if (node.empty()) return;
  node.mapped().on_done(fail(Code::unavailable,
                             "[app] {}, which was to head the model, is no longer connected; send the request again",
                             name_of(context_.view(), head)));
}

void LoadDesk::unload(const std::string& model, const OnDone& on_done) {
  const std::vector<NodeId> heads = heads_of(context_.view(), model);
  if (heads.empty())
    return on_done(fail(Code::not_found, "[app] {} is not loaded; `flotilla ps` lists what is", model));
  unload_at(heads, {.model = model}, on_done);
}

void LoadDesk::unload_at(const std::vector<NodeId>& heads, UnloadModel order, const OnDone& on_done) {
  struct Answers {
    std::size_t missing;
    std::optional<Result<Placement>> best;  // the first that went well, else the first
  };
  const auto answers = std::make_shared<Answers>(heads.size(), std::nullopt);
  for (const NodeId& head : heads) {
    order.ticket = context_.random();
    const auto on_answer = [answers, on_done](Result<Placement> result) {
      if (!answers->best || (result && !*answers->best)) answers->best = std::move(result);
      if (--answers->missing == 0) on_done(*std::move(answers->best));
    };
    waiting_[order.ticket] = {head, nullptr, on_answer};
    send(order.ticket, head, make_frame(FrameKind::unload_model, encode(order)));
  }
}

void LoadDesk::on_progress(const NodeId& from, const LoadProgress& progress) {
  const auto found = waiting_.find(progress.ticket);
  if (found != waiting_.end() && found->second.head == from && found->second.on_progress)
    found->second.on_progress(progress);
}

void LoadDesk::on_result(const NodeId& from, const LoadResult& result) {
  const auto found = waiting_.find(result.ticket);
  if (found == waiting_.end() || found->second.head != from) return;
  const OnDone on_done = std::move(waiting_.extract(found).mapped().on_done);
  if (result.ok) return on_done(result.placement);
  on_done(fail(Error{code_from_string(result.code), result.message}));
}

// Where another connection to a head has replaced the one that was, its load goes on, or is started over: who asks
// again waits for it as before.
void LoadDesk::on_node_lost(const NodeId& node, const Error& cause) {
  std::vector<Waiting> lost;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto current = it++;
    if (current->second.head == node) lost.push_back(std::move(waiting_.extract(current).mapped()));
  }
  const bool is_here = is_joined(context_.view(), node);
  for (Waiting& waiting : lost)
    if (is_here && waiting.load && waiting.asked_again++ < asks_again_max)
      ask(std::move(waiting));
    else
      waiting.on_done(fail(cause));
}

}  // namespace flotilla
