// What a simulated machine's cluster has of the world outside: cluster/outside.h over World and Network.
// Thread: the one there is.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "cluster/outside.h"
#include "sim/network.h"

namespace flotilla::sim {

inline constexpr std::uint16_t cluster_port = 1;

// Machines that a planted bug has forgotten: neither dialled nor heard.
using Forgotten = std::set<std::size_t>;

// What a machine keeps from one run to the next.
struct Keepsakes {
  std::vector<PeerAddress> remembered_peers;
  Forgotten forgotten;
};

// `nodes`: who is on which machine, as their certificates would say. All three outlive it.
std::unique_ptr<Outside> make_simulated_outside(Network& network, const std::vector<NodeId>& nodes,
                                                Keepsakes& keepsakes, Life life);

}  // namespace flotilla::sim
