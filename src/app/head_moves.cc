// HeadDesk's part in a move: the steps that app/move_desk orders, each seen by all nodes; and how a placement gives way
// to one that somebody loads by hand under another head.
#include "app/fleet.h"
#include "app/headed.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto successor_look_interval = 50ms;
constexpr std::uint32_t successor_looks_max = 100;  // five seconds: the new head may fetch the model's header first

}  // namespace

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

// Emptied, it is still seen until the new one answers, and whoever comes waits with it: who saw none would have the
// model loaded once more, here or elsewhere.
void HeadDesk::give_way(const std::string& model, const Error& cause) {
  for (const auto& [id, headed] : headed_) {
    if (headed->placement.model != model) continue;
    headed->has_successor = false;
    empty(id, "another machine loads it anew");
    for (const Asker& asker : std::exchange(headed->askers, {})) refuse(asker, cause);
    on_ended_(id, cause, GoesOn::broken_off);
    look_for_successor(id, successor_looks_max);
  }
}

void HeadDesk::look_for_successor(PlacementId id, std::uint32_t looks_left) {
  headed_.at(id)->gives_way = context_.alarm(successor_look_interval, [this, id, looks_left] {
    const Placement& placement = headed_.at(id)->placement;
    if (const auto successor = ready_elsewhere(placement)) return hand_over(id, *successor);
    const bool is_coming = loads_elsewhere(context_.view(), placement);
    if (!is_coming && looks_left == 0)
      return end(id,
                 {Code::unavailable,
                  std::format("[app] {} was to be loaded by another machine and is not; ask again", placement.model)});
    look_for_successor(id, is_coming ? looks_left : looks_left - 1);
  });
}

void HeadDesk::end(PlacementId id, const Error& cause) {
  if (const auto found = headed_.find(id); found != headed_.end())
    end(std::shared_ptr(found->second), cause, GoesOn::broken_off);
}

}  // namespace flotilla
