// What a fleet that nobody has here would do with a model: as a plain pipeline, as we would plan it, on one of its
// machines, and on what might be bought instead, each with price and watts. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "planner/imagined_fleet.h"
#include "planner/planner.h"

namespace flotilla {

struct WhatIfLine {
  std::string what;  // "plain pipeline", "our plan", "m2-ultra alone", "instead: m3-ultra-512"
  std::string who;   // "m2-ultra (40 layers), m3-max (40 layers)"; or why it cannot
  bool is_possible = false;
  std::size_t machines = 0;  // that would have to be bought and powered
  double token_seconds = 0, prompt_seconds = 0, price = 0, watts = 0;
};

struct WhatIf {
  std::optional<Plan> plan;       // ours; empty where the fleet cannot hold the model
  std::vector<WhatIfLine> lines;  // plain pipeline first, then ours, then single machines
  std::uint32_t prompt_tokens = 0;
};

// invalid_argument for wishes that contradict themselves; a fleet too small is an answer, not an error.
Result<WhatIf> what_if(const ImaginedFleet& fleet, const ModelShape& shape, const PlanWishes& wishes);

}  // namespace flotilla
