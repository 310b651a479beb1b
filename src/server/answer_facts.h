// What is known of an answer while it is written: what every dialect says in its own words.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "base/ids.h"

namespace flotilla {

struct AnswerFacts {
  std::string number;  // 32 hex digits, random: what its ids are made of
  std::string model = {};
  PlacementId placement = {};
  std::chrono::system_clock::time_point created = {};
  std::size_t prompt_tokens = 0, cached_tokens = 0;  // cached: of those of the prompt
  std::size_t completion_tokens = 0;                 // of all choices
  // From the request on: until its model was open, its prompt read, its answer written. 0 until known.
  std::chrono::nanoseconds opening{0}, reading{0}, writing{0};

  std::chrono::nanoseconds total() const { return opening + reading + writing; }
  std::int64_t created_seconds() const {
    return std::chrono::duration_cast<std::chrono::seconds>(created.time_since_epoch()).count();
  }
};

}  // namespace flotilla
