#include "app/fleet.h"

#include <algorithm>
#include <map>

#include "wire/values.h"

namespace flotilla {
namespace {

bool joined(const Member& member) { return member.state != MemberState::seen; }

// An older head does not say what each member of a group holds.
std::uint64_t held_by(const PlacedStage& stage, std::size_t member) {
  if (member < stage.member_bytes.size()) return stage.member_bytes[member];
  return (stage.weight_bytes + stage.kv_bytes + stage.compute_bytes) / stage.nodes.size();
}

}  // namespace

bool is_joined(const ClusterView& view, const NodeId& node) {
  const Member* member = view.find(node);
  return member && joined(*member);
}

int rank(PlacementState state) { return state == PlacementState::ready ? 2 : state == PlacementState::loading ? 1 : 0; }

namespace {

template <class Matches>
const Placement* find_placement(const ClusterView& view, const Matches& matches) {
  const Placement* best = nullptr;
  for (const Member& member : view.members) {
    if (!joined(member)) continue;
    for (const Placement& placement : member.info.placements)
      if (matches(placement) && (!best || rank(placement.state) > rank(best->state))) best = &placement;
  }
  return best;
}

std::optional<HeaderSource> whole_file(const ClusterView& view, const std::string& model,
                                       const std::string& fingerprint) {
  for (const Member& member : view.members)
    if (joined(member))
      for (const ModelInfo& info : member.info.models)
        if (info.complete && info.name == model && (fingerprint.empty() || info.fingerprint == fingerprint))
          return HeaderSource{member.info.id, info.fingerprint};
  return std::nullopt;
}

// What its head says of the file that a placement was made from, of which it has at least its own layers.
ModelInfo placed_model(const Member& head, const Placement& placement) {
  ModelInfo model{.name = placement.model, .fingerprint = placement.fingerprint};
  for (const ModelInfo& info : head.info.models)
    if (info.fingerprint == placement.fingerprint) model.file_bytes = info.file_bytes;
  return model;
}

}  // namespace

std::optional<NodeId> holder_of(const ClusterView& view, const std::string& model, const std::string& fingerprint) {
  const auto holder = whole_file(view, model, fingerprint);
  return holder ? std::optional(holder->node) : std::nullopt;
}

std::vector<std::string> whole_file_names(const ClusterView& view, const std::string& fingerprint) {
  std::vector<std::string> names;
  for (const Member& member : view.members) {
    const bool has_it = std::ranges::any_of(
        member.info.models, [&](const ModelInfo& model) { return model.complete && model.fingerprint == fingerprint; });
    if (has_it && member.state != MemberState::seen) names.push_back(member.info.name);
  }
  return names;
}

std::optional<HeaderSource> header_source(const ClusterView& view, const std::string& model,
                                          const std::string& fingerprint) {
  if (auto holder = whole_file(view, model, fingerprint)) return holder;
  const Placement* placement = find_placement(view, [&](const Placement& candidate) {
    return candidate.state == PlacementState::ready && candidate.model == model &&
           (fingerprint.empty() || candidate.fingerprint == fingerprint);
  });
  if (!placement) return std::nullopt;
  return HeaderSource{placement->head(), placement->fingerprint};
}

const Placement* placement_of(const ClusterView& view, const std::string& model) {
  return find_placement(view, [&](const Placement& placement) { return placement.model == model; });
}

const Placement* placement_of(const ClusterView& view, PlacementId id) {
  return find_placement(view, [&](const Placement& placement) { return placement.id == id; });
}

bool loads_elsewhere(const ClusterView& view, const Placement& placement) {
  return find_placement(view, [&](const Placement& other) {
           return other.model == placement.model && other.fingerprint == placement.fingerprint &&
                  other.head() != placement.head() && other.state == PlacementState::loading;
         }) != nullptr;
}

bool holds_part(const Placement& placement, const NodeId& node) {
  return std::ranges::any_of(placement.stages,
                             [&](const PlacedStage& stage) { return std::ranges::contains(stage.nodes, node); });
}

std::vector<NodeId> heads_of(const ClusterView& view, const std::string& model) {
  std::vector<NodeId> heads;
  if (const Placement* best = placement_of(view, model)) heads.push_back(best->head());
  for (const Member& member : view.members)
    if (joined(member))
      for (const Placement& placement : member.info.placements)
        if (placement.model == model && !std::ranges::contains(heads, placement.head()))
          heads.push_back(placement.head());
  return heads;
}

std::vector<ModelInfo> models_of(const ClusterView& view) {
  std::map<std::string, ModelInfo> by_name;
  for (const Member& member : view.members)
    if (joined(member))
      for (const ModelInfo& info : member.info.models)
        if (info.complete) by_name.emplace(info.name, info);
  // A model answers as long as its placement does, also where the file's owner has left.
  for (const Member& member : view.members)
    if (joined(member))
      for (const Placement& placement : member.info.placements)
        if (placement.state == PlacementState::ready) by_name.emplace(placement.model, placed_model(member, placement));
  std::vector<ModelInfo> list;
  for (auto& [name, info] : by_name) list.push_back(std::move(info));
  return list;
}

ClusterView without(ClusterView view, const Placement& placement) {
  for (const PlacedStage& stage : placement.stages)
    for (Member& member : view.members)
      if (const auto at = std::ranges::find(stage.nodes, member.info.id); at != stage.nodes.end())
        member.info.memory_free_bytes =
            std::min(member.info.memory_bytes, member.info.memory_free_bytes + memory_reserve_bytes +
                                                   held_by(stage, static_cast<std::size_t>(at - stage.nodes.begin())));
  return view;
}

ClusterView without_all(const ClusterView& view, const std::string& model) {
  ClusterView rest = view;
  for (const Member& member : view.members)
    for (const Placement& placement : member.info.placements)
      if (placement.model == model) rest = without(std::move(rest), placement);
  return rest;
}

PlanWishes wishes_from(const LoadModel& order, ActivationType activations) {
  PlanWishes wishes;
  wishes.overheads.value_bytes = static_cast<std::uint32_t>(value_bytes(activations));
  wishes.mode = order.mode == "tensor"     ? PlanMode::tensor
                : order.mode == "pipeline" ? PlanMode::pipeline
                                           : PlanMode::automatic;
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
