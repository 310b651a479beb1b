// Notices from a stage's own counters that its machine has become slower (a quota, heat, a neighbour) or recovered.
// Pure: the messages are handed in.
//
// Steps of one row cost alike from second to second where they see about as long a context; so each second is compared
// with an average of those like it, which follows slowly. Some in a row that are far off in one direction, each however
// far, are news, and their median says how far. Not so where another stage of this machine loads or computes meanwhile:
// that slows a stage down, and says nothing of the machine.
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
  static constexpr std::size_t seconds_to_know = 3;     // messages, until it is known what is usual for a length
  static constexpr std::size_t seconds_to_believe = 4;  // so many messages in a row

  // From a stage of this machine. Gives how many times as long a step takes as before, where that is news.
  std::optional<double> on_stats(const StageStats& stats, bool is_alone = true);
  void forget(PlacementId placement) { stages_.erase(placement); }

 private:
  struct Usual {
    std::vector<double> first;  // seconds of a step in the first messages, until `seconds` is known
    double seconds = 0;         // of a step; 0: not known yet
  };
  struct Seen {
    std::optional<StageStats> last;
    std::map<int, Usual> usual;  // by the context's length, in powers of two
    int length = 0;              // of the last message
    std::vector<double> recent;  // far off, in one direction
  };
  static void scale(Seen& seen, double change);
  std::map<PlacementId, Seen> stages_;
};

}  // namespace flotilla
