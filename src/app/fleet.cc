#include "app/fleet.h"

#include <algorithm>
#include <map>

namespace flotilla {
namespace {

bool joined(const Member& member) { return member.state != MemberState::seen; }

template <class Matches>
const Placement* find_placement(const ClusterView& view, const Matches& matches) {
  const Placement* best = nullptr;
  for (const Member& member : view.members) {
    if (!joined(member)) continue;
    for (const Placement& placement : member.info.placements)
      if (matches(placement) &&
          (!best || (best->state != PlacementState::ready && placement.state == PlacementState::ready)))
        best = &placement;
  }
  return best;
}

}  // namespace

std::optional<NodeId> holder_of(const ClusterView& view, const std::string& model, const std::string& fingerprint) {
  for (const Member& member : view.members)
    if (joined(member))
      for (const ModelInfo& info : member.info.models)
        if (info.complete && info.name == model && (fingerprint.empty() || info.fingerprint == fingerprint))
          return member.info.id;
  return std::nullopt;
}

const Placement* placement_of(const ClusterView& view, const std::string& model) {
  return find_placement(view, [&](const Placement& placement) { return placement.model == model; });
}

const Placement* placement_of(const ClusterView& view, PlacementId id) {
  return find_placement(view, [&](const Placement& placement) { return placement.id == id; });
}

std::vector<ModelInfo> models_of(const ClusterView& view) {
  std::map<std::string, ModelInfo> by_name;
  for (const Member& member : view.members)
    if (joined(member))
      for (const ModelInfo& info : member.info.models)
        if (info.complete) by_name.emplace(info.name, info);
  std::vector<ModelInfo> list;
  for (auto& [name, info] : by_name) list.push_back(std::move(info));
  return list;
}

ClusterView without(ClusterView view, const Placement& placement) {
  for (const PlacedStage& stage : placement.stages)
    for (Member& member : view.members)
      if (member.info.id == stage.nodes.front())
        member.info.memory_free_bytes =
            std::min(member.info.memory_bytes, member.info.memory_free_bytes + stage.weight_bytes + stage.kv_bytes +
                                                   stage.compute_bytes + memory_reserve_bytes);
  return view;
}

PlanWishes wishes_from(const LoadModel& order) {
  PlanWishes wishes;
  wishes.nodes = order.nodes;
  wishes.layers = order.layers;
  wishes.context_tokens = order.context_tokens;
  wishes.sequences = order.sequences;
  return wishes;
}

std::string name_of(const ClusterView& view, const NodeId& id) {
  const Member* member = view.find(id);
  return member && !member->info.name.empty() ? member->info.name : to_string(id).substr(0, 8);
}

}  // namespace flotilla
