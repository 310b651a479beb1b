// Times what a layer is made of on this machine: the real kernels on random weights that lie where a stage's would,
// with all its cores at work as they are in a step. In: a division of the cores.  Out: seconds.  Owns: nothing between
// two calls; each holds some hundred MiB while it runs, more than any cache, so that what is timed is memory.
// Thread: any, one at a time; each call starts its own and ends them.
// Never: computes beside something else that computes; the caller sees to that.
#pragma once

#include <ggml.h>

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "wire/node_info.h"

namespace flotilla {

// How a machine's cores compute together: shards (sharded_stage.h), each with ggml's threads beneath it.
struct CoreDivision {
  std::uint32_t shards = 1, threads = 1;  // threads of each shard
  std::uint32_t cores() const { return shards * threads; }
  bool operator==(const CoreDivision&) const = default;
};

// Seconds for a GiB of weights of this type, all shards reading theirs at the same time, by kernel_rows. About half a
// second in all. no_memory.
Result<std::vector<double>> time_matrices(ggml_type type, const CoreDivision& division);

// Bytes of keys and values a second that attention reads for each of `rows` rows of one sequence: 32 query heads on 8,
// 2,048 positions, F16. Rows that share what is read count it each.
Result<double> attention_rate(const CoreDivision& division, std::uint32_t rows);

// Bytes a second that this many cores read from memory together, nothing else being done with them.
double memory_rate(std::uint32_t cores);

}  // namespace flotilla
