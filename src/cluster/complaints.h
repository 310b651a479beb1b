// How often the log may speak of what strangers can cause at will: once in ten seconds about each, and never about more
// than 64 of them in that time.
//
// Thread: one. Pure: time is passed in.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "cluster/instant.h"

namespace flotilla {

class Complaints {
 public:
  static constexpr auto interval = std::chrono::seconds(10);
  static constexpr std::size_t subjects_max = 64;

  bool may_speak_of(const std::string& subject, Instant now) {
    std::erase_if(spoken_, [&](const auto& entry) { return now - entry.second >= interval; });
    if (spoken_.size() >= subjects_max) return false;
    return spoken_.try_emplace(subject, now).second;
  }

 private:
  std::map<std::string, Instant> spoken_;
};

}  // namespace flotilla
