#include "app/load_desk.h"

#include "app/fleet.h"
#include "app/head_desk.h"
#include "model/shape.h"

namespace flotilla {

void LoadDesk::plan(const LoadModel& order, OnPlan on_plan) {
  if (order.mode == "tensor")
    return on_plan(fail(
        Code::unsupported,
        "[app] splitting tensors between machines (mode tensor) is not part of this version; use pipeline or auto"));
  headers_.want(order.model, "", [this, order, on_plan](const Result<StoredModel>& stored) {
    if (!stored) return on_plan(fail(stored.error()));
    const auto shape = read_shape(*stored->gguf);
    if (!shape) return on_plan(fail(shape.error()));
    PlanWishes wishes = wishes_from(order);
    wishes.fingerprint = stored->info.fingerprint;
    on_plan(flotilla::plan(context_.view(), *shape, wishes));
  });
}

void LoadDesk::load(LoadModel order, OnProgress on_progress, OnDone on_done) {
  const ClusterView view = context_.view();
  if (const Placement* placement = placement_of(view, order.model)) {
    if (placement->state == PlacementState::ready && !differs(order, *placement, view)) return on_done(*placement);
    // The head of the present placement decides: it alone may replace it.
    if (order.nodes.empty() || placement->head() == context_.identity.node ||
        name_of(view, placement->head()) == order.nodes.front())
      return ask(placement->head(), std::move(order), std::move(on_progress), std::move(on_done));
    const std::string model = order.model;
    return unload(model, [this, order = std::move(order), on_progress, on_done](const Result<Placement>&) mutable {
      plan(order, [this, order, on_progress, on_done](const Result<Plan>& plan) {
        if (!plan) return on_done(fail(plan.error()));
        ask(plan->stages.front().node, order, on_progress, on_done);
      });
    });
  }
  const LoadModel wish = order;
  plan(wish, [this, order = std::move(order), on_progress, on_done](const Result<Plan>& plan) {
    if (!plan) return on_done(fail(plan.error()));
    ask(plan->stages.front().node, order, on_progress, on_done);
  });
}

void LoadDesk::ask(const NodeId& head, LoadModel order, OnProgress on_progress, OnDone on_done) {
  order.ticket = random_u64();
  waiting_[order.ticket] = {head, std::move(on_progress), std::move(on_done)};
  context_.send(head, make_frame(FrameKind::load_model, encode(order)));
}

void LoadDesk::unload(const std::string& model, OnDone on_done) {
  const ClusterView view = context_.view();
  const Placement* placement = placement_of(view, model);
  if (!placement) return on_done(fail(Code::not_found, "[app] {} is not loaded; `flotilla ps` lists what is", model));
  const UnloadModel order{random_u64(), model};
  waiting_[order.ticket] = {placement->head(), nullptr, std::move(on_done)};
  context_.send(placement->head(), make_frame(FrameKind::unload_model, encode(order)));
}

void LoadDesk::on_progress(const LoadProgress& progress) {
  if (const auto found = waiting_.find(progress.ticket); found != waiting_.end() && found->second.on_progress)
    found->second.on_progress(progress);
}

void LoadDesk::on_result(const LoadResult& result) {
  const auto node = waiting_.extract(result.ticket);
  if (node.empty()) return;
  if (result.ok) return node.mapped().on_done(result.placement);
  node.mapped().on_done(fail(Error{code_from_string(result.code), result.message}));
}

void LoadDesk::on_node_lost(const NodeId& node, const Error& cause) {
  std::vector<OnDone> failed;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (it->second.head == node) {
      failed.push_back(std::move(it->second.on_done));
      it = waiting_.erase(it);
    } else {
      ++it;
    }
  }
  for (const OnDone& on_done : failed) on_done(fail(cause));
}

}  // namespace flotilla
