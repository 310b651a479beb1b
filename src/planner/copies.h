// Decides which machines hold a model that makes vectors of texts: each the whole of it, side by side, since what one
// makes needs nothing of another. Pure.
#pragma once

#include "planner/planner.h"

namespace flotilla {

// Its first stage is the machine that is quickest, which does where one is enough; `copies` the others worth having.
// Machines that are named are taken in their order, whatever their speed.
Result<Plan> plan_copies(const ClusterView& view, const ModelShape& shape, const PlanWishes& wishes);

}  // namespace flotilla
