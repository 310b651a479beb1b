// Time as the cluster's rules see it: handed in by the caller, so that tests can make it by hand.
#pragma once

#include <chrono>

namespace flotilla {

using Instant = std::chrono::steady_clock::time_point;

}  // namespace flotilla
