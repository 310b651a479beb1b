// Decides nothing but the order, as worker.h does: a member of a tensor group that is not its first computes what the
// first says, with its own slice of every layer, and on the head's stage its slice of the logits or the likeliest
// there.
//
// In: steps and rows from the first member.   Out: slices; stage_stats to the node.   Owns: nothing.
// Thread: the computing thread.   Never: goes on after an error.
#pragma once

#include "base/result.h"
#include "engine/stage.h"
#include "pipeline/group.h"
#include "pipeline/node_line.h"
#include "pipeline/step_clock.h"
#include "wire/control.h"

namespace flotilla {

// Until the node ends the line (success) or the group breaks: the cause, which the other members are told. Where it was
// computing that failed, the group's links are closed at once, so that nobody waits in a sum, and this member's node
// tells.
Status run_member(Stage& stage, Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan);

}  // namespace flotilla
