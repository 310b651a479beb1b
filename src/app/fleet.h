// Questions about the cluster view that several parts of the node ask. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "planner/planner.h"
#include "wire/control.h"

namespace flotilla {

// A joined node (self first) that has the whole file. An empty fingerprint matches any file of that name.
std::optional<NodeId> holder_of(const ClusterView& view, const std::string& model, const std::string& fingerprint);

bool is_joined(const ClusterView& view, const NodeId& node);

// Joined nodes that have the whole file.
std::vector<std::string> whole_file_names(const ClusterView& view, const std::string& fingerprint);

// Of several placements of one model, as there are while one moves, that of the highest rank is meant: a ready one,
// then one that will be, then one that ends.
int rank(PlacementState state);

// The placement of a model somewhere in the cluster.
const Placement* placement_of(const ClusterView& view, const std::string& model);
const Placement* placement_of(const ClusterView& view, PlacementId id);
bool loads_elsewhere(const ClusterView& view, const Placement& placement);  // the same file, under another head
bool holds_part(const Placement& placement, const NodeId& node);
// The nodes that head one of the model, that of placement_of() first.
std::vector<NodeId> heads_of(const ClusterView& view, const std::string& model);

// A joined node that has the model's header: one with the whole file, else the head of a ready placement.
struct HeaderSource {
  NodeId node;
  std::string fingerprint;
};
std::optional<HeaderSource> header_source(const ClusterView& view, const std::string& model,
                                          const std::string& fingerprint);

// Every model that some joined node has whole or that a ready placement answers for, by name; self's first where names
// collide.
std::vector<ModelInfo> models_of(const ClusterView& view);

// The view with the memory of a placement given back: a plan that replaces it may use what it holds.
ClusterView without(ClusterView view, const Placement& placement);
ClusterView without_all(const ClusterView& view, const std::string& model);  // that of every placement of it

// Values go over the wire as `activations`.
PlanWishes wishes_from(const LoadModel& order, ActivationType activations);
std::string name_of(const ClusterView& view, const NodeId& id);  // a short form of the id where it is unknown

}  // namespace flotilla
