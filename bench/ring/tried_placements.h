// Which placements of a fleet that nobody has are worth trying: the planner's own, and what else people would do. Pure.
#pragma once

#include <string>
#include <vector>

#include "cluster/view.h"
#include "planner/planner.h"

namespace flotilla {

struct TriedPlacement {
  std::string way;  // "chosen", "even split", ...
  Plan plan;        // stages, and what the planner foretells of them
};

// The chosen one first, then at most `rivals_max` others; those that do not fit are passed over, and those
// that are the same, or equal machines under other names. Stages are
// machines, no tensor groups. Error: the planner's, where it finds no placement.
Result<std::vector<TriedPlacement>> placements_to_try(const ClusterView& view, const ModelShape& shape,
                                                      const PlanWishes& wishes, std::size_t rivals_max);

// "a (12 layers), b (20 layers)", the head first.
std::string who(const Plan& plan);

}  // namespace flotilla
