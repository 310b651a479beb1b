// What the stages of a ring at rest have counted so far.
#pragma once

#include <chrono>
#include <thread>
#include <vector>

#include "pipeline/local_ring.h"

namespace flotilla {

// Stages tell what they counted when they have waited for 200 ms (pipeline/meter.h), and perhaps not before.
inline std::vector<StageStats> told_stats(LocalRing& ring) {
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  return ring.common_stats();
}

}  // namespace flotilla
