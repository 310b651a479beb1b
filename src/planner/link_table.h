// What a message costs between any two machines, from what they measured of their links. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "planner/cost.h"

namespace flotilla {

// A link nobody measured, between machines without any measured link: Ethernet of one gigabit.
inline constexpr LinkCost assumed_link{.latency_seconds = 150e-6, .bytes_per_second = 117e6};

class LinkTable {
 public:
  // Machines by their place in the list. A pair that did not measure each other is taken to cost what each needs to
  // reach its nearest peer: half of that link's latency, and the slower of the two rates.
  explicit LinkTable(const std::vector<const Member*>& machines);

  const LinkCost& between(std::size_t from, std::size_t to) const { return costs_[from][to]; }
  bool is_measured(std::size_t from, std::size_t to) const { return measured_[from][to]; }
  LinkCost worst(const std::vector<std::size_t>& machines) const;                 // of any two of them, either way
  const std::string& name(std::size_t machine) const { return names_[machine]; }  // "Wi-Fi", "link"

 private:
  std::vector<std::vector<LinkCost>> costs_;
  std::vector<std::vector<bool>> measured_;
  std::vector<std::string> names_;
};

}  // namespace flotilla
