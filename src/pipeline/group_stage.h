// The first member of a tensor group, as its ring sees it: one stage. What it is asked to compute it has the other
// members compute too; summands are exchanged beneath (link_collective.h), logits are put together here.
// Thread: the computing thread.
#pragma once

#include <memory>

#include "engine/stage.h"
#include "pipeline/group.h"

namespace flotilla {

// `own`: this member's shards, which exchange summands over `group`. `lone`: the ring has no other stage, so members
// know the rows whose logits come next.
std::unique_ptr<Stage> make_group_stage(std::unique_ptr<Stage> own, std::shared_ptr<Group> group, bool lone);

}  // namespace flotilla
