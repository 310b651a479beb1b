#include "planner/capacity.h"

#include <algorithm>
#include <numeric>

#include "planner/planner.h"

namespace flotilla {
namespace {

// The largest end for ranges that begin at `first`, searched from `from` upwards. `fits` says of a range whether it
// does, and never that a longer one does where a shorter does not.
std::uint32_t furthest_end(const Workload& work, std::uint32_t first, std::uint32_t from, const auto& fits) {
  std::uint32_t end = std::max(first, from);
  while (end < work.layer_count() && fits(LayerRange{first, end + 1})) ++end;
  return end;
}

void fill_ends(Candidate& candidate, const Workload& work, const auto& fits) {
  // What fits from one layer on fits from the next one on, so the search never goes back.
  std::uint32_t end = 0;
  for (std::uint32_t first = 0; first < work.layer_count(); ++first) {
    end = furthest_end(work, first, end, [&](LayerRange range) { return fits(range, false); });
    candidate.end_from.push_back(end);
  }
  candidate.end_as_head = furthest_end(work, 0, 0, [&](LayerRange range) { return fits(range, true); });
}

}  // namespace

StagePart alone_on(const Member& member, const Workload& work) {
  const std::uint32_t shards = std::clamp(member.info.rates.shards, 1u, work.shards_max());
  return {.share = 1, .shards = shards, .all_shards = shards, .is_first = true};
}

std::vector<StagePart> parts_of(const std::vector<double>& shares, std::vector<std::uint32_t> shards,
                                const Workload& work) {
  const auto all = [&] { return std::accumulate(shards.begin(), shards.end(), std::uint32_t{0}); };
  while (all() > work.shards_max()) --*std::ranges::max_element(shards);
  std::vector<StagePart> parts;
  for (std::size_t i = 0; i < shares.size(); ++i)
    parts.push_back({.share = shares[i], .shards = shards[i], .all_shards = all(), .is_first = i == 0});
  return parts;
}

Candidate make_candidate(const Member& member, const Workload& work, const std::string& fingerprint) {
  Candidate candidate{.member = &member, .end_from = {}};
  const auto offered = member.info.memory_free_bytes;
  candidate.usable_bytes = offered > memory_reserve_bytes ? offered - memory_reserve_bytes : 0;
  candidate.has_file = !fingerprint.empty() && std::ranges::any_of(member.info.models, [&](const ModelInfo& model) {
    return model.complete && model.fingerprint == fingerprint;
  });
  const StagePart part = alone_on(member, work);
  fill_ends(candidate, work, [&](LayerRange range, bool is_head) {
    return work.need(range, is_head, part).total() <= candidate.usable_bytes;
  });
  return candidate;
}

Candidate make_group(const std::vector<const Candidate*>& members, const std::vector<StagePart>& parts,
                     const Workload& work) {
  Candidate group{.member = members.front()->member, .has_file = members.front()->has_file, .end_from = {}};
  for (const auto* member : members) group.usable_bytes += member->usable_bytes;
  fill_ends(group, work, [&](LayerRange range, bool is_head) {
    for (std::size_t i = 0; i < members.size(); ++i)
      if (work.need(range, is_head, parts[i]).total() > members[i]->usable_bytes) return false;
    return true;
  });
  return group;
}

std::uint32_t layers_anywhere(const Candidate& candidate, std::uint32_t layer_count) {
  std::uint32_t least = layer_count;
  for (std::uint32_t first = 0; first < layer_count; ++first)
    if (candidate.end_from[first] < layer_count) least = std::min(least, candidate.end_from[first] - first);
  return least;
}

std::uint64_t fixed_bytes(const Workload& work, bool is_head) {
  const auto one_layer = work.need({0, 1}, is_head);
  const auto head_parts = is_head ? work.need({0, 0}, true).weights : 0;
  return one_layer.compute + head_parts;
}

}  // namespace flotilla
