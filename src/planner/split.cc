#include "planner/split.h"

#include <algorithm>
#include <numeric>

namespace flotilla {
namespace {

// begin[i]: the earliest layer from which machines i, i+1, ... can hold all to the end; begin[0] is 0 where the ring
// can. An entry beyond the last layer says that not even the last layers fit.
std::vector<std::uint32_t> earliest_begins(const std::vector<Candidate>& candidates, const Ring& ring,
                                           const Workload& work) {
  const auto layers = work.layer_count();
  std::vector<std::uint32_t> begin(ring.size() + 1, layers + 1);
  begin.back() = layers;
  for (std::size_t i = ring.size(); i-- > 0;) {
    if (begin[i + 1] > layers) return begin;
    const auto& candidate = candidates[ring[i]];
    const auto last_first =
        layers - static_cast<std::uint32_t>(ring.size() - i);  // leaves one layer for each that follows
    for (std::uint32_t first = 0; first <= last_first; ++first) {
      if (i == 0 && first > 0) break;  // the head begins at 0 or not at all
      const auto end = candidate.end(first, i == 0);
      if (end <= first || end < begin[i + 1]) continue;
      begin[i] = first;
      break;
    }
  }
  return begin;
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
  return !ring.empty() && ring.size() <= work.layer_count() && earliest_begins(candidates, ring, work).front() == 0;
}

std::optional<std::vector<LayerRange>> split_layers(const std::vector<Candidate>& candidates, const Ring& ring,
                                                    const Workload& work) {
  if (!can_hold(candidates, ring, work)) return std::nullopt;
  const auto begin = earliest_begins(candidates, ring, work);
  const auto wanted = largest_remainder(work.layer_count(), shares(candidates, ring, work));
  std::vector<LayerRange> ranges;
  std::uint32_t first = 0, wanted_end = 0;
  for (std::size_t i = 0; i < ring.size(); ++i) {
    wanted_end += wanted[i];
    const auto followers = static_cast<std::uint32_t>(ring.size() - i - 1);
    // Never empty: `first` is not before begin[i], and what fits from begin[i] reaches begin[i + 1].
    const auto lowest = std::max(first + 1, begin[i + 1]);
    const auto highest = std::min(candidates[ring[i]].end(first, i == 0), work.layer_count() - followers);
    const auto end = std::clamp(wanted_end, lowest, highest);
    ranges.push_back({first, end});
    first = end;
  }
  return ranges;
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
