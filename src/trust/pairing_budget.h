// How many codes a member makes for newcomers: five at once, then one every half minute, also for those that hang up
// before anybody saw their code.
//
// Who stands between a newcomer and a member knows the member's digits before it reveals its own nonce. Where they are
// not the newcomer's it could hang up and ask anew, a thousand times a second, until they are. So what counts is the
// number of codes a member makes while a newcomer shows one (code_time_max): 5 + 600 / 30 = 25, beside the 8 that may
// wait from before, of a million. docs/security.md says what that comes to.
//
// Pure; time is passed in. Thread: one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace flotilla {

class PairingBudget {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  static constexpr int at_once = 5;
  static constexpr auto one_more_every = std::chrono::seconds(30);
  static constexpr auto code_time_max = std::chrono::minutes(10);  // so long a code waits for two people
  static constexpr std::size_t waiting_max = 8;                    // with a code, at one member

  // Whether one may be made now; it counts from then on.
  bool take(Instant now) {
    if (spent_until_ > now + (at_once - 1) * one_more_every) return false;
    spent_until_ = std::max(spent_until_, now) + one_more_every;
    return true;
  }

 private:
  Instant spent_until_;  // when the last one made will have been made good
};

}  // namespace flotilla
