// A Collective over the links of a group: every member sends its summands to every other and adds what it gets, in the
// order of members, so that all have the same bits (one-shot all-reduce: one latency, members - 1 times the bytes). What
// does not fit a socket's buffers goes in pieces, sent ahead of those received by no more than fits.
// Thread: the computing thread.
#pragma once

#include <memory>

#include "engine/collective.h"
#include "pipeline/group.h"

namespace flotilla {

// The group's links are there by the first start().
std::unique_ptr<Collective> make_link_collective(std::shared_ptr<Group> group);

}  // namespace flotilla
