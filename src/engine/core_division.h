// Which division of a machine's cores computes fastest: shards of one thread, one shard of all threads, or between.
// Measured on a small model with random weights through the real Stage, because no arithmetic knows what a host's
// barriers, caches and neighbours cost. In: cores.  Out: the division, and what a layer costs beside its weights.
// Thread: any, one at a time.  Never: chooses by a single round; the candidates take turns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/kernel_timing.h"

namespace flotilla {

// What is worth trying: every core alone in a shard, the same number of cores in fewer shards, one shard. At most four.
std::vector<CoreDivision> divisions_of(std::uint32_t cores);

// What a division took of the small model.
struct DivisionTime {
  CoreDivision division;
  double token_seconds = 0;     // one row
  double read_row_seconds = 0;  // a row of a prompt, read in steps of 64
};

// A chat: as many tokens read as written, which makes writing weigh most.
double chat_seconds(const DivisionTime& time);
// The fastest; of those within 3 %, the one with fewest shards, which suits most models. `times` is not empty.
const DivisionTime& fastest(std::span<const DivisionTime> times);

// Those that could be tried, at least one. Writes the model, of 71 MB, into `scratch` and removes it. no_space,
// permission.
Result<std::vector<DivisionTime>> measure_divisions(std::uint32_t cores, const std::filesystem::path& scratch);

// What a layer takes of a step of one row beside the reading of its weights (norms, launches, sums of shards): that of
// a model so narrow that its weights are nothing. Seconds.
Result<double> measure_layer(const CoreDivision& division, const std::filesystem::path& scratch);

}  // namespace flotilla
