// Machines that nobody has here, as the planner sees real ones: a cluster view whose rates come from data sheets. Pure.
// In: nominal numbers, a model's shape.  Out: ClusterView.  Thread: any.
//
// A data sheet promises more than programs get. What they do get was read off published results (published_rows.h),
// none of which is among those that the predictions are tested against.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "model/shape.h"
#include "planner/cost.h"
#include "planner/link_table.h"

namespace flotilla {

// Of nominal memory bandwidth, what decoding reaches: three mixtures of experts on Macs, a dense model on a DGX Spark.
inline constexpr double mac_bandwidth_fraction = 0.550, other_bandwidth_fraction = 0.777;
// Of nominal half precision arithmetic, what reading an 8B model's prompt reaches on a Mac and on a DGX Spark.
inline constexpr double compute_fraction = 0.77;
// What a hop costs a plain pipeline beside the wire: llama.cpp over a switch, and over a direct cable.
inline constexpr double plain_switch_hop_seconds = 4.20e-3, plain_cable_hop_seconds = 1.22e-3;
// Of a mixture of experts, what each machine of a tensor group computed for itself (exo on Macs).
inline constexpr double experts_whole_share = 0.29;

struct ImaginedMachine {
  std::string name;
  std::uint32_t count = 1;         // several are called name-1, name-2 …
  std::uint64_t memory_bytes = 0;  // offered to models
  double bytes_per_second = 0;     // nominal memory bandwidth
  double flops = 0;                // nominal, half precision
  double bandwidth_fraction = other_bandwidth_fraction;
  double price = 0, watts = 0;  // 0: not said
};

struct ImaginedLink {
  std::string name = "1 GbE";
  LinkCost cost = assumed_link;
  bool through_switch = true;
};

struct LinkBetween {
  std::string from, to;  // names of machines, after counting
  ImaginedLink link;
};

struct ImaginedFleet {
  std::string title;
  std::string currency = "USD";
  std::vector<std::string> sources;
  std::vector<ImaginedMachine> machines;
  std::vector<ImaginedMachine> instead;  // each alone: what might be bought in their place
  ImaginedLink link;                     // between any two
  std::vector<LinkBetween> links;        // but for these
};

// "studio" three times becomes studio-1 … studio-3, each once.
std::vector<ImaginedMachine> counted(const std::vector<ImaginedMachine>& machines);

// The first machine asks. Rates for the types of weights that `shape` has.
ClusterView imagine(const ImaginedFleet& fleet, const ModelShape& shape);

// Of a pipeline as programs run it that measure nothing; the dearest of the fleet's links decides.
Overheads plain_overheads(const ImaginedFleet& fleet, const ModelShape& shape);
Overheads our_overheads(const ModelShape& shape);

}  // namespace flotilla
