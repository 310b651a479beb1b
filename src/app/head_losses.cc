// HeadDesk's part where a stage of a placement is lost: end it with one cause, and load it again as it was.
#include "app/fleet.h"
#include "app/headed.h"
#include "app/wishes.h"
#include "base/log.h"

namespace flotilla {
namespace {

// The view forgets a machine with its connection.
std::string name_in(const Plan& plan, const NodeId& node) {
  for (const PlannedStage& stage : plan.stages)
    for (const PlannedMember& member : stage.members)
      if (member.node == node) return member.node_name;
  return "a machine";
}

}  // namespace

void HeadDesk::on_failed(const NodeId& from, const StageFailed& failed) {
  const auto headed = find_headed(failed.placement, failed.epoch);
  if (!headed || !holds_part(headed->placement, from)) return;
  lose(headed, {code_from_string(failed.code), failed.message});
}

void HeadDesk::on_node_lost(const NodeId& node, const Error& cause) {
  std::vector<std::shared_ptr<Headed>> broken;
  for (const auto& [id, headed] : headed_)
    if (!headed->is_empty && holds_part(headed->placement, node)) broken.push_back(headed);
  for (const auto& headed : broken)
    lose(headed, {Code::unavailable, std::format("[app] {}, which held layers of {}, is gone ({})",
                                                 name_in(headed->plan, node), headed->placement.model, cause.message)});
}

void HeadDesk::lose(const std::shared_ptr<Headed>& headed, const Error& cause) {
  log(LogLevel::warning, "app", "{} is lost: {}", headed->placement.model, cause.message);
  ++tally_.lost[to_string(cause.code)];
  if (headed->is_empty || headed->placement.state != PlacementState::loading) lost_[headed->placement.model] = headed->order;
  end(headed, cause, GoesOn::broken_off);
}

// A model that was lost here is loaded as it was, unless someone wants it in another way.
LoadModel HeadDesk::as_before(LoadModel order) const {
  const auto lost = lost_.find(order.model);
  if (lost == lost_.end() || !(order.any_will_do || asks_for_nothing(order))) return order;
  LoadModel before = lost->second;
  before.ticket = order.ticket;
  before.why_moved = order.why_moved;
  before.moves = 0;
  before.any_will_do = true;
  return before;
}

}  // namespace flotilla
