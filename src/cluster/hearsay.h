// Decides what others' word is worth of a member that has fallen silent: whom to ask, and whether it is gone or only
// our link to it. Step functions: time, members and answers are handed in.
//
// Up to two others are asked whether they hear it, once a second. What they say is a moment: when they heard it last.
// One whom nobody hears is gone. Of one that others hear our link is broken: the shell dials it again for a while.
// Thread: the loop's.   Never: makes a member of anybody, or keeps one longer than `remake_time_max` beyond its time.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "cluster/instant.h"
#include "wire/control.h"

namespace flotilla {

class Hearsay {
 public:
  static constexpr std::size_t asked_max = 2;
  static constexpr auto ask_interval = std::chrono::seconds(1);
  static constexpr auto dial_interval = std::chrono::seconds(1);
  static constexpr auto remake_time_max = std::chrono::seconds(2);  // streams may wait for it
  // Others' word counts where they heard it so lately: an answer may be one interval old, and heartbeats have their
  // own.
  static constexpr auto counts_for = std::chrono::milliseconds(2500);
  static_assert(counts_for < limits::peer_silence_lost - 2 * limits::heartbeat_interval,
                "one that is gone is not heard by others when its time is up");

  // Of `others`, who are heard themselves; empty where it is not time to ask.
  std::vector<NodeId> whom_to_ask(const NodeId& silent, const std::vector<NodeId>& others, Instant now);
  void on_answer(const Heard& answer, Instant now);  // a member's; of whom nobody asks, passed over
  bool is_heard_elsewhere(const NodeId& silent, Instant now) const;
  bool is_time_to_dial(const NodeId& silent, Instant now);  // true at most once an interval
  void forget(const NodeId& node) { silent_.erase(node); }  // it is heard again, or lost

 private:
  struct Silent {
    std::optional<Instant> asked, dialled, heard_elsewhere;
    std::size_t turn = 0;  // whom to ask next: not always the same
  };
  std::map<NodeId, Silent> silent_;
};

}  // namespace flotilla
