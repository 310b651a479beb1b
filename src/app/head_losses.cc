// HeadDesk's part where a stage of a placement is lost: end it with one cause, and load it again as it was; where it
// was not loaded yet and the machine is here still, start over for those who wait.
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

// Of one order: each is the fault of a connection that another between the same machines has replaced.
constexpr std::uint32_t starts_over_max = 3;

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
  const bool is_here = is_joined(context_.view(), node);
  for (const auto& headed : broken) {
    const Error lost{Code::unavailable,
                     std::format("[app] {}, which held layers of {}, is gone ({})", name_in(headed->plan, node),
                                 headed->placement.model, cause.message)};
    const bool is_loading = headed->placement.state == PlacementState::loading;
    if (is_here && is_loading && headed->losses < starts_over_max)
      start_over(headed, lost);
    else
      lose(headed, lost);
  }
}

// What was sent went down with a connection. The old stages end first: their memory is what the new ones get.
void HeadDesk::start_over(const std::shared_ptr<Headed>& headed, const Error& cause) {
  log(LogLevel::info, "app", "loading {} is started over: {}", headed->placement.model, cause.message);
  auto askers = std::exchange(headed->askers, {});
  end(headed, cause, GoesOn::broken_off);
  start(headed->order, headed->plan, headed->stored, std::move(askers))->losses = headed->losses + 1;
}

void HeadDesk::lose(const std::shared_ptr<Headed>& headed, const Error& cause) {
  log(LogLevel::warning, "app", "{} is lost: {}", headed->placement.model, cause.message);
  ++tally_.lost[to_string(cause.code)];
  if (headed->is_empty || headed->placement.state != PlacementState::loading)
    lost_[headed->placement.model] = headed->order;
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
