// Whether addresses answer by TCP, and how soon: for who looks why machines do not find each other.
//
// Blocking, all addresses at the same time: for a helper thread. Nothing is said at a port that answers; the connection
// is closed again.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "cluster/address.h"

namespace flotilla {

struct Reach {
  PeerAddress address;
  std::optional<std::chrono::microseconds> answered_in;  // of a name, with the time to look it up
  std::string why;                                       // where it did not: a sentence
};

// In the order of `addresses`; within `patience` or little more.
std::vector<Reach> reach(const std::vector<PeerAddress>& addresses, std::chrono::milliseconds patience);

}  // namespace flotilla
