// Whose prompt is read next: people's before batch work, the one with the least left first, so that a short question
// overtakes a long document. The oldest is passed over three times at most: of any four steps that read prompts it has
// one, so nobody waits for ever behind those who come later.
// In: the prompts that wait.   Out: their order.   Thread: the scheduler's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "wire/generate.h"

namespace flotilla {

// A quarter of the steps is what a long prompt keeps under any load, and what short ones lose at worst.
inline constexpr std::uint32_t passed_over_max = 3;

struct WaitingPrompt {
  RequestClass request_class = RequestClass::interactive;
  std::uint32_t rows_left = 0;
};

class ReadingTurns {
 public:
  // For the next step, indices of `waiting`, which is in order of admission and not empty. The first is certain to be
  // read.
  std::vector<std::size_t> next(std::span<const WaitingPrompt> waiting);

 private:
  std::uint32_t passed_over_ = 0;  // steps in a row in which the oldest was not the first
};

}  // namespace flotilla
