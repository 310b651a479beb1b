#include "planner/stage_order.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace flotilla {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

// Held and Karp (1962), the start fixed: the cheapest path over a set that ends at one of it extends the cheapest path
// over the set without that one.
class Tour {
 public:
  Tour(const SearchProblem& problem, const std::vector<std::size_t>& units, std::size_t head, double wire_seconds)
      : problem_(problem), wire_seconds_(wire_seconds), head_(head) {
    for (const auto unit : units)
      if (unit != head) others_.push_back(unit);
  }

  std::vector<std::size_t> exact() const {
    const std::size_t count = others_.size();
    if (count == 0) return {head_};
    const std::uint32_t all = (std::uint32_t{1} << count) - 1;
    std::vector<std::vector<double>> cost(all + 1, std::vector<double>(count, never));
    std::vector<std::vector<std::size_t>> before(all + 1, std::vector<std::size_t>(count, 0));
    for (std::size_t last = 0; last < count; ++last)
      cost[std::uint32_t{1} << last][last] = onward(head_, others_[last]);
    for (std::uint32_t set = 1; set <= all; ++set)
      for (std::size_t last = 0; last < count; ++last) {
        if (cost[set][last] == never) continue;
        for (std::size_t next = 0; next < count; ++next) {
          if ((set >> next & 1) != 0) continue;
          const std::uint32_t longer = set | std::uint32_t{1} << next;
          const double sum = cost[set][last] + onward(others_[last], others_[next]);
          if (sum >= cost[longer][next]) continue;
          cost[longer][next] = sum;
          before[longer][next] = last;
        }
      }
    std::size_t last = 0;
    for (std::size_t end = 1; end < count; ++end)
      if (cost[all][end] + home(others_[end]) < cost[all][last] + home(others_[last])) last = end;
    if (cost[all][last] == never) return {};
    std::vector<std::size_t> ring;
    for (std::uint32_t set = all; set != 0;) {
      ring.push_back(others_[last]);
      const std::size_t previous = before[set][last];
      set &= ~(std::uint32_t{1} << last);
      last = previous;
    }
    ring.push_back(head_);
    std::ranges::reverse(ring);
    return ring;
  }

  // Where the order is nothing, as on a switch, the one people expect: as they are listed. Empty where none is
  // possible.
  std::vector<std::size_t> plainest(std::vector<std::size_t> best) const {
    std::vector<std::size_t> listed{head_};
    listed.insert(listed.end(), others_.begin(), others_.end());
    const double least = best.empty() ? never : cost_of(best);
    if (least == never) return {};
    return cost_of(listed) <= least * (1 + 1e-12) ? listed : best;
  }

  std::vector<std::size_t> nearest_first() const {
    std::vector<std::size_t> ring{head_}, left = others_;
    while (!left.empty()) {
      const auto next = std::ranges::min_element(left, {}, [&](std::size_t unit) { return onward(ring.back(), unit); });
      ring.push_back(*next);
      left.erase(next);
    }
    for (bool better = true; better;) better = reverse_some_part(ring);
    return ring;
  }

 private:
  // A hop towards the end of the model carries the prompt's piece and each token's row, the way home rows only.
  double onward(std::size_t from, std::size_t to) const {
    if (problem_.prompt.wire_seconds[from][to] >= wire_seconds_) return never;
    return problem_.answer_tokens * problem_.hop_seconds[from][to] + problem_.prompt.hop_seconds[from][to];
  }
  double home(std::size_t last) const { return (problem_.answer_tokens + 1) * problem_.hop_seconds[last][head_]; }

  double cost_of(const std::vector<std::size_t>& ring) const {
    double sum = home(ring.back());
    for (std::size_t at = 1; at < ring.size(); ++at) sum += onward(ring[at - 1], ring[at]);
    return sum;
  }

  bool reverse_some_part(std::vector<std::size_t>& ring) const {
    const double now = cost_of(ring);
    for (std::size_t first = 1; first + 1 < ring.size(); ++first)
      for (std::size_t end = first + 2; end <= ring.size(); ++end) {
        std::reverse(ring.begin() + static_cast<std::ptrdiff_t>(first),
                     ring.begin() + static_cast<std::ptrdiff_t>(end));
        if (cost_of(ring) < now * (1 - 1e-12)) return true;
        std::reverse(ring.begin() + static_cast<std::ptrdiff_t>(first),
                     ring.begin() + static_cast<std::ptrdiff_t>(end));
      }
    return false;
  }

  const SearchProblem& problem_;
  const double wire_seconds_;
  const std::size_t head_;
  std::vector<std::size_t> others_;
};

}  // namespace

std::vector<std::size_t> order_behind(const SearchProblem& problem, const std::vector<std::size_t>& units,
                                      std::size_t head, double wire_seconds) {
  const Tour tour(problem, units, head, wire_seconds);
  return tour.plainest(units.size() <= exact_order_max ? tour.exact() : tour.nearest_first());
}

}  // namespace flotilla
