// What has happened on this node since it started, for GET /metrics: each counts its own. Thread: the loop's.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

#include "base/metrics.h"

namespace flotilla {

// Of placements headed here.
struct HeadTally {
  std::uint64_t begun = 0;                         // each has an epoch of its own
  std::map<std::string_view, std::uint64_t> lost;  // by their error's code, of static storage
  Histogram load_seconds{answer_bounds()};         // from order to ready
};

// Of requests that entered here and went on elsewhere.
struct ResumeTally {
  std::uint64_t requests = 0, tokens = 0;  // tokens: that were read again
};

// Of the other machines; bytes of frames, pings left out.
struct PeerTally {
  std::uint64_t lost = 0, sent_bytes = 0, received_bytes = 0;
};

}  // namespace flotilla
