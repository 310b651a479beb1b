// One run of the simulation from its seed: machines start, people ask, things go wrong, all is healed, and what was
// promised must hold (docs/testing.md).
// Thread: any; each run has a world of its own. Deterministic: the same seed and options give the same run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/clients.h"
#include "sim/referee.h"

namespace flotilla::sim {

struct RunOptions {
  std::uint64_t seed = 0;
  Plant plant = Plant::none;
  bool tells_all = false;  // each note as it is made, to stdout
};

struct Outcome {
  std::optional<Referee::Breach> breach;
  std::vector<std::string> last_notes;
  Clients::Sums sums;
  double seconds = 0;        // simulated
  std::uint64_t digest = 0;  // of all that was noted
};

Outcome run(const RunOptions& options);

std::optional<Plant> plant_from(std::string_view name);  // "two-heads", ...
std::string_view to_string(Plant plant);

// What to say of a run that failed: the breach, the last notes, and the command that runs it again.
std::string describe(const RunOptions& options, const Outcome& outcome);

}  // namespace flotilla::sim
