// How many layers each machine of a ring takes. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "planner/chooser.h"

namespace flotilla {

// True where the machines, in this order and each with at least one layer, hold them all.
bool can_hold(const std::vector<Candidate>& candidates, const Ring& ring, const Workload& work);

// Consecutive ranges, one a machine: in proportion to what each has left after its fixed parts, exact to one layer
// (largest remainder), at least one layer each, moved over where a machine could not hold its share. Empty where
// can_hold() is false.
std::optional<std::vector<LayerRange>> split_layers(const std::vector<Candidate>& candidates, const Ring& ring,
                                                    const Workload& work);

// The same, each as near to its wanted number of layers as they all fit.
std::optional<std::vector<LayerRange>> split_layers(const std::vector<Candidate>& candidates, const Ring& ring,
                                                    const Workload& work, const std::vector<std::uint32_t>& wanted);

// A stage of a ring where none ever waits for work: its part of it, with `layers` layers, takes fixed_seconds +
// layers * layer_seconds.
struct BusyStage {
  double layer_seconds = 0, fixed_seconds = 0;
  std::uint32_t room = 0;  // layers
};

// Layers of each, at least one, such that the slowest stage, which all others wait for, is soonest done. Empty
// where they cannot hold them all.
std::vector<std::uint32_t> even_layers(std::uint32_t layer_count, const std::vector<BusyStage>& stages);

// `total` items in proportion to `weights` (not all zero: equal shares then), at least one each; total >=
// weights.size().
std::vector<std::uint32_t> largest_remainder(std::uint32_t total, const std::vector<std::uint64_t>& weights);

}  // namespace flotilla
