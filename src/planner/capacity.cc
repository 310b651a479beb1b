#include "planner/capacity.h"

#include <algorithm>
#include <cmath>

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

Candidate make_candidate(const Member& member, const Workload& work, const std::string& fingerprint) {
  Candidate candidate{.member = &member, .end_from = {}};
  const auto offered = member.info.memory_free_bytes;
  candidate.usable_bytes = offered > memory_reserve_bytes ? offered - memory_reserve_bytes : 0;
  candidate.has_file = !fingerprint.empty() && std::ranges::any_of(member.info.models, [&](const ModelInfo& model) {
    return model.complete && model.fingerprint == fingerprint;
  });
  fill_ends(candidate, work, [&](LayerRange range, bool is_head) {
    return work.need(range, is_head).total() <= candidate.usable_bytes;
  });
  return candidate;
}

Candidate make_group(const std::vector<const Candidate*>& members, const std::vector<double>& shares,
                     const Workload& work) {
  Candidate group{.member = members.front()->member, .has_file = members.front()->has_file, .end_from = {}};
  for (const auto* member : members) group.usable_bytes += member->usable_bytes;
  fill_ends(group, work, [&](LayerRange range, bool is_head) {
    for (std::size_t i = 0; i < members.size(); ++i)
      if (work.need(range, is_head && i == 0, is_head, shares[i]).total() > members[i]->usable_bytes) return false;
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

// Of the head's parts a member holds its rows of the output head; the first also the embedding's.
StageNeed Workload::need(LayerRange layers, bool is_first_of_head, bool is_of_head, double share) const {
  const StageNeed whole = need(layers, false);
  std::uint64_t whole_kv = 0;  // of caches that cannot be parted
  for (std::uint32_t layer = layers.first; layer < layers.end; ++layer)
    if (shape.layers[layer].cache.whole)
      whole_kv += shape.layers[layer].cache.bytes_per_token * context_tokens * sequences;
  const bool tied = shape.output_bytes < shape.output_matrix.bytes;
  const std::uint64_t output = tied ? (is_first_of_head ? 0 : shape.output_matrix.bytes) : shape.output_bytes;
  const auto part = [share](std::uint64_t bytes) {
    return static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(bytes)));
  };
  return {.weights = part(whole.weights + (is_of_head ? output : 0)) + (is_first_of_head ? shape.embedding_bytes : 0),
          .kv = part(whole.kv - whole_kv) + whole_kv,
          .compute = need(layers, is_first_of_head).compute};
}

std::uint64_t fixed_bytes(const Workload& work, bool is_head) {
  const auto one_layer = work.need({0, 1}, is_head);
  const auto head_parts = is_head ? work.need({0, 0}, true).weights : 0;
  return one_layer.compute + head_parts;
}

}  // namespace flotilla
