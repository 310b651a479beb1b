// What a link between two nodes is worth, measured over a bulk connection of its own: the round trip of a small
// message, answered by a thread that sleeps until it comes as a stage does, and the rate at which bytes come. Thread: a
// helper's; both sides block.
#pragma once

#include <string>

#include "base/result.h"
#include "cluster/address.h"
#include "cluster/node_identity.h"
#include "io/link.h"
#include "wire/control.h"
#include "wire/handshake.h"

namespace flotilla {

struct LinkFigures {
  double latency_seconds = 0;   // one way: half of the median round trip
  double bytes_per_second = 0;  // coming
  std::string interface;        // ours; empty where the system does not tell
  bool real = true;             // no tunnel, no bridge of containers (interfaces.h); loopback is real enough
  bool operator==(const LinkFigures&) const = default;
};

// Connects to `peer` at `address` and measures. unauthorized where another node answers there; busy, as the peer says
// it, where it computes or measures with someone else; unavailable, timeout.
Result<LinkFigures> probe_link(const NodeIdentity& self, const NodeId& peer, const PeerAddress& address);

// The other side: the bytes asked for, then range_end.
Status answer_rate(Link& link, const RateRequest& request);
Status refuse_rate(Link& link, const Error& cause);

// Seconds that a step's activations of one row take (32 KiB, the width of a large model): what links are compared by.
double message_seconds(const LinkFigures& figures);

// Whether `candidate` is to take the place of `current`: a real one before one that is not, and else only where
// it is a tenth better, so that equal ones do not take turns.
bool is_better(const LinkFigures& candidate, const LinkFigures& current);

}  // namespace flotilla
