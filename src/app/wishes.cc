#include "app/wishes.h"

#include <algorithm>
#include <tuple>

namespace flotilla {
namespace {

// Without a word of the way, the planner chooses it.
std::string_view way_of(const LoadModel& order) { return order.mode.empty() ? std::string_view("auto") : order.mode; }

}  // namespace

bool differs(const LoadModel& order, const Placement& placement, const ClusterView& view) {
  if (order.context_tokens != 0 && order.context_tokens != placement.context_tokens) return true;
  if (order.sequences != 0 && order.sequences != placement.sequences) return true;
  const bool in_groups =
      std::ranges::any_of(placement.stages, [](const PlacedStage& stage) { return stage.nodes.size() > 1; });
  const bool alone = placement.stages.size() == 1 && !in_groups;
  if (order.mode == "tensor" && !in_groups && !(alone && order.nodes.size() <= 1)) return true;
  // Who names machines and no mode names a ring.
  if (in_groups && (order.mode == "pipeline" || (order.mode != "tensor" && !order.nodes.empty()))) return true;
  if (order.nodes.empty() && order.layers.empty()) return false;
  std::vector<std::string> names;
  std::vector<std::uint32_t> layers;
  for (const PlacedStage& stage : placement.stages) {
    for (const NodeId& node : stage.nodes) {
      const Member* member = view.find(node);
      names.push_back(member ? member->info.name : "");
    }
    layers.push_back(stage.layers.count());
  }
  return (!order.nodes.empty() && order.nodes != names) || (!order.layers.empty() && order.layers != layers);
}

bool is_by_hand(const LoadModel& order) {
  return !order.nodes.empty() || !order.layers.empty() || way_of(order) != "auto";
}

bool asks_alike(const LoadModel& one, const LoadModel& other) {
  return std::tie(one.nodes, one.layers, one.context_tokens, one.sequences) ==
             std::tie(other.nodes, other.layers, other.context_tokens, other.sequences) &&
         way_of(one) == way_of(other);
}

bool asks_for_nothing(const LoadModel& order) {
  return !is_by_hand(order) && order.context_tokens == 0 && order.sequences == 0;
}

}  // namespace flotilla
