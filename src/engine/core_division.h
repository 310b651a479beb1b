// Which division of a machine's cores computes fastest: shards of one thread, one shard of all threads, or between.
// Measured on a small model with random weights through the real Stage, because no arithmetic knows what a host's
// barriers, caches and neighbours cost. In: cores.  Out: the division, and what its layers cost beside their weights.
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

struct DivisionModel {
  std::uint32_t layers = 0;
  std::uint64_t weight_bytes = 0;  // of all layers, of one type
  ggml_type type = GGML_TYPE_Q4_0;
};

struct MeasuredDivisions {
  std::vector<DivisionTime> times;  // those that could be tried, at least one
  DivisionModel model;
};
// Writes the model into `scratch` and removes it. no_space, permission.
Result<MeasuredDivisions> measure_divisions(std::uint32_t cores, const std::filesystem::path& scratch);

}  // namespace flotilla
