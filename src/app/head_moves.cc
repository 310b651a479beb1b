// HeadDesk's part in a move: the steps that app/move_desk orders, each seen by all nodes.
#include "app/fleet.h"
#include "app/headed.h"

namespace flotilla {

void HeadDesk::tell(PlacementId id, const std::string& detail) {
  headed_.at(id)->placement.detail = detail;
  context_.changed();
}

void HeadDesk::close(PlacementId id, const std::string& detail, bool has_successor) {
  Headed& headed = *headed_.at(id);
  headed.placement.state = PlacementState::unloading;
  headed.has_successor = has_successor;
  tell(id, detail);
}

void HeadDesk::open_again(PlacementId id, const std::string& detail) {
  Headed& headed = *headed_.at(id);
  headed.placement.state = PlacementState::ready;
  headed.has_successor = false;
  tell(id, detail);
  answer_all(headed, headed.placement);
}

void HeadDesk::empty(PlacementId id, const std::string& detail) {
  Headed& headed = *headed_.at(id);
  stop_stages(headed);
  headed.is_empty = true;
  headed.placement.state = PlacementState::loading;
  tell(id, detail);
}

void HeadDesk::hand_over(PlacementId id, const Placement& successor) {
  const auto headed = headed_.at(id);
  answer_all(*headed, successor);
  end(headed, {Code::unavailable, std::format("[app] {} has moved", successor.model)}, GoesOn::broken_off);
}

void HeadDesk::load_again(PlacementId id, const std::string& why, std::uint32_t tries) {
  const auto headed = headed_.at(id);
  const ClusterView view = context_.view();
  for (const PlacedStage& stage : headed->placement.stages)
    for (const NodeId& node : stage.nodes)
      if (!is_joined(view, node))
        return lose(headed, {Code::unavailable, std::format("[app] {} was to move and could not, and a machine that "
                                                            "held layers of it is gone",
                                                            headed->order.model)});
  LoadModel order = headed->order;
  order.why_moved = why;
  order.moves = tries;
  start(order, headed->plan, headed->stored, std::exchange(headed->askers, {}));
  end(headed, {Code::unavailable, std::format("[app] {} is being loaded again", order.model)}, GoesOn::broken_off);
}

void HeadDesk::end(PlacementId id, const Error& cause) {
  if (const auto found = headed_.find(id); found != headed_.end())
    end(std::shared_ptr(found->second), cause, GoesOn::broken_off);
}

}  // namespace flotilla
