#include "planner/capacity.h"

#include <algorithm>

#include "planner/planner.h"

namespace flotilla {
namespace {

// The largest end for ranges that begin at `first`, searched from `from` upwards.
std::uint32_t furthest_end(const Workload& work, std::uint32_t first, std::uint32_t from, bool is_head,
                           std::uint64_t bytes) {
  std::uint32_t end = std::max(first, from);
  while (end < work.layer_count() && work.need({first, end + 1}, is_head).total() <= bytes) ++end;
  return end;
}

}  // namespace

Candidate make_candidate(const Member& member, const Workload& work, const std::string& fingerprint) {
  Candidate candidate{.member = &member, .end_from = {}};
  const auto offered = member.info.memory_free_bytes;
  candidate.usable_bytes = offered > memory_reserve_bytes ? offered - memory_reserve_bytes : 0;
  candidate.has_file = !fingerprint.empty() && std::ranges::any_of(member.info.models, [&](const ModelInfo& model) {
    return model.complete && model.fingerprint == fingerprint;
  });
  // What fits from one layer on fits from the next one on, so the search never goes back.
  std::uint32_t end = 0;
  for (std::uint32_t first = 0; first < work.layer_count(); ++first) {
    end = furthest_end(work, first, end, false, candidate.usable_bytes);
    candidate.end_from.push_back(end);
  }
  candidate.end_as_head = furthest_end(work, 0, 0, true, candidate.usable_bytes);
  return candidate;
}

std::uint64_t fixed_bytes(const Workload& work, bool is_head) {
  const auto one_layer = work.need({0, 1}, is_head);
  const auto head_parts = is_head ? work.need({0, 0}, true).weights : 0;
  return one_layer.compute + head_parts;
}

}  // namespace flotilla
