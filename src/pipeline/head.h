// Decides when a step happens: takes the node's commands between steps, asks the scheduler what runs, sends it round
// the ring and turns the rows that come back into tokens.
//
// As many steps are under way as the ring has stages, or more where round trips are long (flight_window), so that no
// machine waits for another that computes: while one is on its way the head computes the next. It waits for the ring
// only where it has nothing to compute. A ring of one stage has one step at a time.
//
// In:  generate, cancel; rows from the ring's last stage.   Out: steps; token_event, stage_stats.   Owns: the
// scheduler. Thread: the computing thread.   Never: takes steps back in another order than it sent them; leaves a
// request without its last event.
//
// An idle head waits for the node's next command and looks at nothing else: that the ring broke meanwhile it learns
// from its node (the lost stage's own runner reports it) or at the next step.
#pragma once

#include "base/result.h"
#include "engine/stage.h"
#include "pipeline/constraints.h"
#include "pipeline/group.h"
#include "pipeline/node_line.h"
#include "pipeline/ring.h"
#include "pipeline/step_clock.h"
#include "wire/control.h"

namespace flotilla {

// Until the node ends the line (success) or a step fails (the cause). Either way every request has ended by then.
// `group`: the other machines of this stage, for the counters. `load_tokenizer`: for answers with a constraint.
Status run_head(Stage& stage, Ring& ring, const Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan,
                Constraints::LoadTokenizer load_tokenizer);

}  // namespace flotilla
