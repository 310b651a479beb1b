// A Collective for threads of one process: each shard reads the others' summands where they lie.
#pragma once

#include <memory>
#include <vector>

#include "engine/collective.h"

namespace flotilla {

// One end per shard. The group lives as long as any end. Where `others` is there, what these shards sum is a summand
// itself: the first shard's thread has it summed with those of elsewhere.
std::vector<std::unique_ptr<Collective>> make_memory_collective(std::uint32_t shards,
                                                                std::shared_ptr<Collective> others = nullptr);

}  // namespace flotilla
