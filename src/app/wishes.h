// What an order to load asks for, compared with what is and with what others ask. Pure.
#pragma once

#include "cluster/view.h"
#include "wire/control.h"

namespace flotilla {

// True where the order asks for something the placement is not: other nodes, layers, context or slots.
bool differs(const LoadModel& order, const Placement& placement, const ClusterView& view);

// True where the order says which machines, which layers or in which way: then that is no longer the planner's to
// choose.
bool is_by_hand(const LoadModel& order);

// True where both ask for the same machines, layers, way, context and slots.
bool asks_alike(const LoadModel& one, const LoadModel& other);

// True where any placement of the model will do.
bool asks_for_nothing(const LoadModel& order);

}  // namespace flotilla
