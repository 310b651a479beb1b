// A Collective for threads of one process: each shard reads the others' summands where they lie.
#pragma once

#include <memory>
#include <vector>

#include "engine/collective.h"

namespace flotilla {

// One end per shard. The group lives as long as any end.
std::vector<std::unique_ptr<Collective>> make_memory_collective(std::uint32_t shards);

}  // namespace flotilla
