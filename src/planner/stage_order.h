// In which order stages follow the head: the cheapest way round. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "planner/search.h"

namespace flotilla {

inline constexpr std::size_t exact_order_max = 8;  // stages; beyond, the cheapest next one and exchanges of two hops

// The units with `head` first, so that the hops of the expected answer and of a piece of the prompt cost least, over
// wires that a piece keeps for less than `wire_seconds` only. Empty where there is no such order.
std::vector<std::size_t> order_behind(const SearchProblem& problem, const std::vector<std::size_t>& units,
                                      std::size_t head, double wire_seconds);

}  // namespace flotilla
