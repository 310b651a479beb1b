// Decides which machine keeps a second copy of a model, so that those left can load what a machine that dies alone had
// on its disk. Pure; every node decides by what all of them say of themselves, and copies where the choice falls on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cluster/view.h"

namespace flotilla {

struct StandbyWish {
  std::string model, fingerprint;
  std::uint64_t file_bytes = 0;
  NodeId source;  // the only one that has it whole
  bool operator==(const StandbyWish&) const = default;
};

// What `self` is to copy: of a model that is loaded somewhere and that one joined machine alone has whole. Among the
// others with room for it: who copies it already, then who computes with it (and has a part), then who gives most room.
std::optional<StandbyWish> standby_wish(const ClusterView& view, const NodeId& self);

}  // namespace flotilla
