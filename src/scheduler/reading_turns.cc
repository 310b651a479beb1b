#include "scheduler/reading_turns.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace flotilla {

std::vector<std::size_t> ReadingTurns::next(std::span<const WaitingPrompt> waiting) {
  std::vector<std::size_t> order(waiting.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Where the oldest is due only the others are sorted.
  const auto sorted_from = passed_over_ >= passed_over_max ? order.begin() + 1 : order.begin();
  std::stable_sort(sorted_from, order.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(waiting[a].request_class, waiting[a].rows_left) <
           std::tuple(waiting[b].request_class, waiting[b].rows_left);
  });
  passed_over_ = order.front() == 0 ? 0 : passed_over_ + 1;
  return order;
}

}  // namespace flotilla
