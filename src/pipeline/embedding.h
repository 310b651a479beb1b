// Decides which texts are made into vectors together: takes batches as they come from its node and computes as many at
// once as a step holds. The nodes that send them see to it that one user's many texts do not stand before another's
// few.
//
// In: embed.   Out: embedding, stage_stats.   Owns: the batches not answered yet.   Thread: the computing thread.
// Never: leaves a batch unanswered, but where its node ends the line.
#pragma once

#include <memory>

#include "base/result.h"
#include "engine/embedder.h"
#include "pipeline/node_line.h"
#include "pipeline/step_clock.h"
#include "wire/control.h"

namespace flotilla {

Result<std::unique_ptr<Embedder>> load_embedder(const PrepareStage& plan, const LoadProgressFn& progress);

// Until the node ends the line.
Status run_embedder(Embedder& embedder, NodeLine& node, StepClock& clock, const PrepareStage& plan);

}  // namespace flotilla
