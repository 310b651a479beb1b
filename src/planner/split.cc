#include "planner/split.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace flotilla {
namespace {

// For each machine of the ring and each layer: whether that machine and those after it can hold all from there to the
// end, each at least one layer. These places need not lie together: a small machine holds the small layer before a
// large one and the small one after it.
using Begins = std::vector<std::vector<bool>>;

Begins possible_begins(const std::vector<Candidate>& candidates, const Ring& ring, const Workload& work) {
  const auto layers = work.layer_count();
  Begins possible(ring.size() + 1, std::vector<bool>(layers + 1));
  possible.back()[layers] = true;
  for (std::size_t i = ring.size(); i-- > 0;) {
    const auto& next = possible[i + 1];
    const std::uint32_t firsts = i == 0 ? 1 : layers;  // the head begins at 0 or not at all
    for (std::uint32_t first = 0; first < firsts; ++first) {
      const auto end = candidates[ring[i]].end(first, i == 0);
      possible[i][first] = std::find(next.begin() + first + 1, next.begin() + end + 1, true) != next.begin() + end + 1;
    }
  }
  return possible;
}

// Of the layers from `lowest` to `highest` that are `possible` (one is), the nearest to the wanted one.
std::uint32_t nearest(const std::vector<bool>& possible, std::uint32_t wanted, std::uint32_t lowest,
                      std::uint32_t highest) {
  const auto distance = [&](std::uint32_t layer) { return layer < wanted ? wanted - layer : layer - wanted; };
  std::optional<std::uint32_t> best;
  for (auto layer = lowest; layer <= highest; ++layer)
    if (possible[layer] && (!best || distance(layer) < distance(*best))) best = layer;
  check(best.has_value(), "a machine begins only where the ones after it can follow");
  return *best;
}

std::vector<std::uint64_t> shares(const std::vector<Candidate>& candidates, const Ring& ring, const Workload& work) {
  std::vector<std::uint64_t> left;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    const auto fixed = fixed_bytes(work, i == 0), usable = candidates[ring[i]].usable_bytes;
    left.push_back(usable > fixed ? usable - fixed : 0);
  }
  return left;
}

}  // namespace

bool can_hold(const std::vector<Candidate>& candidates, const Ring& ring, const Workload& work) {
  return !ring.empty() && ring.size() <= work.layer_count() && possible_begins(candidates, ring, work)[0][0];
}

std::optional<std::vector<LayerRange>> split_layers(const std::vector<Candidate>& candidates, const Ring& ring,
                                                    const Workload& work) {
  if (!can_hold(candidates, ring, work)) return std::nullopt;
  return split_layers(candidates, ring, work, largest_remainder(work.layer_count(), shares(candidates, ring, work)));
}

std::optional<std::vector<LayerRange>> split_layers(const std::vector<Candidate>& candidates, const Ring& ring,
                                                    const Workload& work, const std::vector<std::uint32_t>& wanted) {
  if (!can_hold(candidates, ring, work)) return std::nullopt;
  const auto possible = possible_begins(candidates, ring, work);
  std::vector<LayerRange> ranges;
  std::uint32_t first = 0, wanted_end = 0;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    wanted_end += wanted[i];
    const auto end = nearest(possible[i + 1], wanted_end, first + 1, candidates[ring[i]].end(first, i == 0));
    ranges.push_back({first, end});
    first = end;
  }
  return ranges;
}

// Each has a layer, and each next one goes to the stage that is soonest done with it. No division ends sooner: where
// the slowest stage got its last layer, every other would have ended no earlier with that one, or had no room for it.
std::vector<std::uint32_t> even_layers(std::uint32_t layer_count, const std::vector<BusyStage>& stages) {
  const bool has_room = std::ranges::none_of(stages, [](const BusyStage& stage) { return stage.room == 0; });
  if (stages.empty() || !has_room || layer_count < stages.size()) return {};
  std::vector<std::uint32_t> layers(stages.size(), 1);
  const auto end_with_one_more = [&](std::size_t at) {
    if (layers[at] >= stages[at].room) return std::numeric_limits<double>::infinity();
    return stages[at].fixed_seconds + (layers[at] + 1) * stages[at].layer_seconds;
  };
  std::vector<std::size_t> all(stages.size());
  std::iota(all.begin(), all.end(), 0);
  for (auto left = layer_count - static_cast<std::uint32_t>(stages.size()); left > 0; --left) {
    const auto soonest = *std::ranges::min_element(all, {}, end_with_one_more);
    if (std::isinf(end_with_one_more(soonest))) return {};
    ++layers[soonest];
  }
  return layers;
}

std::vector<std::uint32_t> largest_remainder(std::uint32_t total, const std::vector<std::uint64_t>& weights) {
  __extension__ typedef unsigned __int128 Wide;  // 64-bit weights times layers
  const auto sum = std::accumulate(weights.begin(), weights.end(), Wide{0});
  const auto weight_of = [&](std::size_t i) { return sum == 0 ? Wide{1} : Wide{weights[i]}; };
  const Wide divisor = sum == 0 ? Wide{weights.size()} : sum;
  std::vector<std::uint32_t> counts;
  std::vector<std::size_t> by_remainder(weights.size());
  std::iota(by_remainder.begin(), by_remainder.end(), 0);
  std::uint32_t given = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    counts.push_back(static_cast<std::uint32_t>(weight_of(i) * total / divisor));
    given += counts.back();
  }
  std::ranges::stable_sort(by_remainder, std::greater{}, [&](std::size_t i) { return weight_of(i) * total % divisor; });
  for (std::size_t i = 0; given < total; ++i, ++given) ++counts[by_remainder[i]];
  for (auto& count : counts) {  // one each, from those that have most
    if (count > 0) continue;
    --*std::ranges::max_element(counts);
    count = 1;
  }
  return counts;
}

}  // namespace flotilla
