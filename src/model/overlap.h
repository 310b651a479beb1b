// Decides how a tensor group's computing and the exchange of its summands go on at the same time. Pure. All members of
// a group must decide alike, since it decides what follows what on their links: so only by what they all know. Who
// plans for a group foretells by the same rule what it will do.
#pragma once

#include <cstdint>
#include <limits>

namespace flotilla {

struct Overlap {
  // From so many rows on a step is computed in two parts, each while the other is exchanged. That hides nearly all of
  // the exchange, but reads the weights twice.
  std::uint32_t rows_in_two_parts_min = std::numeric_limits<std::uint32_t>::max();
  // With fewer, a projection is computed in two halves of its output, and the first is exchanged meanwhile. That hides
  // a part of the transfer for one more message.
  bool by_halves = false;
};

// `width`: values a row, of which each sum moves as many. `values_per_second`: of the slowest link between two members;
// 0: not known, and nothing overlaps.
Overlap overlap_of(std::uint32_t width, double values_per_second);

}  // namespace flotilla
