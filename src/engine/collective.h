// Decides how the partial results of a stage's shards become one. A shard holds a slice of every layer; what its slice
// of an output projection gives is a summand of the whole (tensor parallelism: Shoeybi et al. 2019, Megatron-LM).
// In: each shard's summand.  Out: the sum, the same bits on all.  Owns: what the version needs to exchange.
// Thread: each shard's own, all in the same order of calls; close() from any. Errors stick. Sums are awaited in the
// order of their starts.
// Versions: memory_collective.h (threads of one process), pipeline/link_collective.h (machines). Who computes a stage
// alone has none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace flotilla {

// So that what is computed between two sums of one half of the work hides the sums of the other half.
inline constexpr std::size_t sums_under_way_max = 2;

class Collective {
 public:
  virtual ~Collective() = default;

  // Offers `values`, one at least, to be summed over the group. They are neither read nor written by the caller until the wait() for
  // them returns, whether well or not, and every shard offers as many.
  virtual void start(std::span<float> values) = 0;
  // For the oldest sum under way, once for each. Afterwards its values hold the sum. closed, with the cause, where a
  // shard went.
  virtual Status wait() = 0;
  // Both, where there is nothing to do meanwhile and no other sum is under way.
  virtual Status sum(std::span<float> values) {
    start(values);
    return wait();
  }

  // Ends every shard's waits, now and later, those for sums under way too.
  virtual void close(const Error& cause) = 0;
};

}  // namespace flotilla
