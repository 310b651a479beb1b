// What a doctor finds of a machine among the others: who it is to them, versions, clocks, and for each other machine
// whether it is joined, and if not why and what to do. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "app/checkup.h"
#include "cluster/cluster.h"
#include "cluster/reach.h"
#include "cluster/view.h"
#include "trust/certificate.h"

namespace flotilla {

struct TrustFacts {
  TrustMode by = TrustMode::none;  // as the flags say; none: by a cluster's certificate, where it has one
  bool is_member = false, may_sign = false, wants_renewal = false;
  std::optional<WallTime> ends;  // of the membership
  bool signer_is_here = false;   // a machine that can renew it
  std::string join_trouble;      // why a token that this machine was to join by did not do; empty
};

struct FleetFacts {
  ClusterView view;
  std::map<NodeId, PeerFacts> peers;
  std::map<NodeId, Reach> reached;  // the address by which each of the view is reached first
  std::vector<Reach> others;        // addresses asked for or met before, of nobody in the view
  std::vector<std::string> away;    // members met before and not in the view
};

Finding check_trust(const TrustFacts& facts, WallTime now);
Finding check_versions(const FleetFacts& facts);
Findings check_clocks(const FleetFacts& facts);  // empty where no other machine's is known
Findings check_peers(const FleetFacts& facts);

}  // namespace flotilla
