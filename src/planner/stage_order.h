// In which order stages follow the head: the cheapest way round. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "planner/search.h"

namespace flotilla {

inline constexpr std::size_t exact_order_max = 8;  // stages; beyond, the cheapest next one and exchanges of two hops

// The units with `head` first, so that the hops of the expected answer and of the prompt's chunks cost least.
std::vector<std::size_t> order_behind(const SearchProblem& problem, const std::vector<std::size_t>& units,
                                      std::size_t head, std::size_t chunking);

}  // namespace flotilla
