// How many layers a machine can take. Asks stage_need() and assumes of it only that more layers never need less.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "model/shape.h"

namespace flotilla {

inline constexpr std::uint32_t group_shards_max = 64;  // of all its members

struct Workload {
  const ModelShape& shape;
  std::uint32_t context_tokens = 0, sequences = 0;
  std::uint32_t layer_count() const { return static_cast<std::uint32_t>(shape.layers.size()); }
  StageNeed need(LayerRange layers, bool is_head, const StagePart& part = {}) const {
    return stage_need(shape, layers, is_head, context_tokens, sequences, part);
  }
  std::uint32_t shards_max() const { return std::min(shape.shards_max, group_shards_max); }  // of a group
};

// A machine that may hold a stage; or a group that holds it together, which stands in the ring as its first member.
struct Candidate {
  const Member* member = nullptr;
  std::uint64_t usable_bytes = 0;  // offered and free, less the reserve
  bool has_file = false;           // complete, by fingerprint

  // end_from[first]: the largest end such that layers [first, end) fit without the head's parts; `first` where none do.
  std::vector<std::uint32_t> end_from;
  std::uint32_t end_as_head = 0;  // the same for the head, whose layers begin at 0
  const std::string& name() const { return member->info.name; }
  std::uint32_t end(std::uint32_t first, bool is_head) const { return is_head ? end_as_head : end_from[first]; }
};

// A machine by itself, in as many slices as it measured best.
StagePart alone_on(const Member& member, const Workload& work);

// Of each member of a group, with the slices each would have by itself; with fewer, where layers cannot be cut into so
// many. The shares sum to 1, and the members are at most work.shards_max().
std::vector<StagePart> parts_of(const std::vector<double>& shares, std::vector<std::uint32_t> shards,
                                const Workload& work);

Candidate make_candidate(const Member& member, const Workload& work, const std::string& fingerprint);

// What the members hold together, each its part of every layer.
Candidate make_group(const std::vector<const Candidate*>& members, const std::vector<StagePart>& parts,
                     const Workload& work);

// Layers that fit wherever they begin, unless the model ends before.
std::uint32_t layers_anywhere(const Candidate& candidate, std::uint32_t layer_count);

// What a stage needs beside its layers' own weights and KV.
std::uint64_t fixed_bytes(const Workload& work, bool is_head);

}  // namespace flotilla
