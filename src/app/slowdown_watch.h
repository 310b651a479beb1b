// Notices from a stage's own counters that its machine has become slower (a quota, heat, a neighbour) or recovered.
// Pure: the messages are handed in.
//
// Steps of one row cost alike from second to second, and more only little by little as their context grows; so each
// second is compared with an average that follows slowly. One that is far off, and the next as well and as far, is
// news.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "wire/control.h"

namespace flotilla {

class SlowdownWatch {
 public:
  static constexpr double far_off = 1.5;                // times as long, or as short, as before
  static constexpr std::size_t seconds_to_believe = 4;  // so many messages in a row
  static constexpr std::uint64_t steps_min = 2;         // in a message, or it says nothing

  // From a stage of this machine. Gives how many times as long a step takes as before, where that is news.
  std::optional<double> on_stats(const StageStats& stats);
  void forget(PlacementId placement) { stages_.erase(placement); }

 private:
  struct Seen {
    StageStats last;
    double usual_seconds = 0;    // of a step; 0: not known yet
    std::vector<double> recent;  // far off, in one direction
  };
  std::map<PlacementId, Seen> stages_;
};

}  // namespace flotilla
