#include "planner/chooser.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <tuple>

#include "planner/split.h"

namespace flotilla {
namespace {

using Mask = std::uint32_t;

constexpr Mask bit(std::size_t index) { return Mask{1} << index; }

// For one head and every set of other machines: how many layers they hold in the best order. A machine takes what fits
// from where the one before it stopped; since more room before never leaves less room after, the best order of a set
// extends the best order of the set without its last machine.
class Reaches {
 public:
  Reaches(const std::vector<Candidate>& candidates, std::size_t head, std::uint32_t layer_count)
      : candidates_(candidates), layer_count_(layer_count), end_(Mask{1} << candidates.size()), last_(end_.size()) {
    end_[bit(head)] = candidates[head].end_as_head;
    if (end_[bit(head)] == 0) return;  // a head without a layer of its own is no stage
    for (Mask set = 0; set < end_.size(); ++set) {
      if ((set & bit(head)) != 0 && set != bit(head)) extend(set, head);
    }
  }

  std::uint32_t end(Mask set) const { return end_[set]; }

  Ring order(Mask set, std::size_t head) const {
    Ring ring;
    for (; set != bit(head); set &= ~bit(ring.back())) ring.push_back(last_[set]);
    ring.push_back(head);
    std::ranges::reverse(ring);
    return ring;
  }

 private:
  void extend(Mask set, std::size_t head) {
    for (std::size_t last = 0; last < candidates_.size(); ++last) {
      if ((set & bit(last)) == 0 || last == head) continue;
      const auto first = end_[set & ~bit(last)];
      const auto end = first < layer_count_ ? candidates_[last].end_from[first] : layer_count_;
      if (end <= end_[set] && end_[set] != 0) continue;
      end_[set] = end;
      last_[set] = static_cast<std::uint8_t>(last);
    }
  }

  const std::vector<Candidate>& candidates_;
  const std::uint32_t layer_count_;
  std::vector<std::uint32_t> end_;
  std::vector<std::uint8_t> last_;
};

std::uint64_t usable_of(const std::vector<Candidate>& candidates, const Ring& ring) {
  return std::transform_reduce(ring.begin(), ring.end(), std::uint64_t{0}, std::plus{},
                               [&](std::size_t index) { return candidates[index].usable_bytes; });
}

void sort_behind_head(const std::vector<Candidate>& candidates, Ring& ring) {
  std::sort(ring.begin() + 1, ring.end(), [&](auto a, auto b) { return candidates[a].name() < candidates[b].name(); });
}

Ring members_of(Mask set, std::size_t head, std::size_t count) {
  Ring ring{head};
  for (std::size_t index = 0; index < count; ++index)
    if (index != head && (set & bit(index)) != 0) ring.push_back(index);
  return ring;
}

std::optional<Ring> choose_exactly(const std::vector<Candidate>& candidates, const Workload& work,
                                   std::optional<std::size_t> wished) {
  std::optional<Ring> best;
  const auto rank = [&](const Ring& ring) {  // larger is better
    const auto& head = candidates[ring.front()];
    return std::tuple(-static_cast<int>(ring.size()), head.has_file, usable_of(candidates, ring),
                      head.member->state == MemberState::self, head.usable_bytes);
  };
  for (std::size_t head = 0; head < candidates.size(); ++head) {
    if (wished && *wished != head) continue;
    const Reaches reaches(candidates, head, work.layer_count());
    for (Mask set = 0; set < bit(candidates.size()); ++set) {
      if ((set & bit(head)) == 0 || reaches.end(set) < work.layer_count()) continue;
      if (best && static_cast<std::size_t>(std::popcount(set)) > best->size()) continue;
      auto ring = members_of(set, head, candidates.size());
      if (best && rank(ring) <= rank(*best)) continue;
      sort_behind_head(candidates, ring);
      if (!can_hold(candidates, ring, work)) ring = reaches.order(set, head);
      best = std::move(ring);
    }
  }
  return best;
}

// By memory, the wished head before all.
std::vector<std::size_t> by_memory(const std::vector<Candidate>& candidates, std::optional<std::size_t> wished) {
  std::vector<std::size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t index) {
    return std::pair(wished == index, candidates[index].usable_bytes);
  });
  return order;
}

std::optional<Ring> grow_by_memory(const std::vector<Candidate>& candidates, const Workload& work,
                                   const std::vector<std::size_t>& order, std::optional<std::size_t> wished) {
  Ring ring(order.begin(), order.begin() + exact_candidates_max);
  const auto head = wished ? *wished : *std::ranges::max_element(ring, {}, [&](std::size_t index) {
    return std::pair(candidates[index].has_file, candidates[index].usable_bytes);
  });
  std::ranges::swap(ring.front(), *std::ranges::find(ring, head));
  for (auto next = order.begin() + exact_candidates_max; next != order.end(); ++next) {
    ring.push_back(*next);
    auto named = ring;
    sort_behind_head(candidates, named);
    if (can_hold(candidates, named, work)) return named;
    if (can_hold(candidates, ring, work)) return ring;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Ring> choose_ring(const std::vector<Candidate>& candidates, const Workload& work,
                                std::optional<std::size_t> head) {
  if (candidates.size() <= exact_candidates_max) return choose_exactly(candidates, work, head);
  const auto order = by_memory(candidates, head);
  std::vector<Candidate> shortlist;
  for (std::size_t i = 0; i < exact_candidates_max; ++i) shortlist.push_back(candidates[order[i]]);
  if (auto ring = choose_exactly(shortlist, work, head ? std::optional<std::size_t>(0) : std::nullopt)) {
    for (auto& index : *ring) index = order[index];
    return ring;
  }
  return grow_by_memory(candidates, work, order, head);
}

std::uint32_t furthest_layer(const std::vector<Candidate>& candidates, const Workload& work,
                             std::optional<std::size_t> head) {
  const auto order = by_memory(candidates, head);
  std::uint32_t furthest = 0;
  for (const auto first : order) {
    if (head && *head != first) continue;
    std::uint32_t end = candidates[first].end_as_head;
    if (end == 0) continue;
    for (const auto index : order)
      if (index != first && end < work.layer_count()) end = candidates[index].end_from[end];
    furthest = std::max(furthest, end);
  }
  return furthest;
}

}  // namespace flotilla
