// Which machines, in which order: as few as can hold the model. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "planner/capacity.h"

namespace flotilla {

using Ring = std::vector<std::size_t>;  // indices of candidates, the head first

inline constexpr std::size_t exact_candidates_max = 16;

// The smallest ring that holds all layers; among equally small ones the one whose head has the complete file, then the
// one with most memory, then the one headed by this machine. Head first, then by name where the layers fit in that
// order, in another order where only that fits. Exact for up to 16 candidates; beyond, the 16 with most memory are
// tried and, where they do not suffice, further ones join by memory. Empty where all together cannot hold it.
std::optional<Ring> choose_ring(const std::vector<Candidate>& candidates, const Workload& work,
                                std::optional<std::size_t> head);

// The layer the machines reach together at best; the layers from there on fit nowhere.
std::uint32_t furthest_layer(const std::vector<Candidate>& candidates, const Workload& work,
                             std::optional<std::size_t> head);

}  // namespace flotilla
