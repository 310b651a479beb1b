// Brings the layers of a stage here where no machine has the whole file: what hub/gather.h does, for one order of a
// head. Thread: neighbours_of() the loop's, bring_from_hub() a thread of NodeContext::downloads, which it blocks.
#pragma once

#include <atomic>
#include <vector>

#include "app/node_context.h"
#include "hub/gather.h"
#include "wire/control.h"

namespace flotilla {

// Whether the stage's bytes are to be gathered, from a hub and from machines that have parts.
bool comes_from_hub(const PrepareStage& order, const StoredModel& stored);

// Who has or fetches bytes of the same file: the placement's other machines, and those that have some of it from
// before.
std::vector<Neighbour> neighbours_of(NodeContext& context, const ClusterView& view, const PrepareStage& order);

// Errors name this machine. Where all of the file has come it is checked as a whole, and fetched once more where that
// fails.
Result<StoredModel> bring_from_hub(NodeContext& context, const PrepareStage& order, const StoredModel& stored,
                                   const std::vector<Neighbour>& neighbours, const FetchProgressFn& progress,
                                   const std::atomic<bool>& stop);

}  // namespace flotilla
