// A Collective over the links of a group (exchange.h). Small sums are exchanged by who asks for them: a thread that has
// to be woken costs more than they take. Large ones by a thread of their own, while the caller computes; it sleeps
// where it waits, for the cores are others'. As long as it has a sum, it has the group's links too, and whatever is
// begun meanwhile goes to it. Thread: the computing thread.
#pragma once

#include <memory>

#include "engine/collective.h"
#include "pipeline/group.h"

namespace flotilla {

// The group's links are there by the first start().
std::unique_ptr<Collective> make_link_collective(std::shared_ptr<Group> group);

}  // namespace flotilla
