// Decides nothing but the order: receive a step, run the layers, send it on. A stage that is not the head.
//
// In: steps from upstream.   Out: steps downstream; stage_stats to the node.   Owns: nothing.
// Thread: the computing thread.   Never: changes which rows a step has, goes on after an error.
#pragma once

#include "base/result.h"
#include "engine/stage.h"
#include "pipeline/group.h"
#include "pipeline/node_line.h"
#include "pipeline/ring.h"
#include "pipeline/step_clock.h"
#include "wire/control.h"

namespace flotilla {

// Until the node ends the line (success) or the ring breaks (the cause, which the stages after this one are told).
// `group`: the other machines of this stage, for the counters.
Status run_worker(Stage& stage, Ring& ring, const Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan);

}  // namespace flotilla
