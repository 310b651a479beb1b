// Decides when a client that found the node full is told to come back (Retry-After, RFC 9110 section 10.2.3).
// Places become free one by one. Clients who are told the same second come back as a crowd, of which all but a few are
// turned away again; so each is told a turn of its own, as far from the last one as answers end from each other now.
// Thread: one at a time.
#pragma once

#include <chrono>
#include <cstddef>

namespace flotilla {

class ReturnTurns {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds wait_min{1}, wait_max{30};

  // So many answers have ended.
  void freed(std::size_t places, Clock::time_point now);
  // For the next client to be turned away: from wait_min to wait_max.
  std::chrono::seconds next(Clock::time_point now);

 private:
  void forget(Clock::time_point now);

  double recent_ = 0;  // answers that ended, each counting less as time goes by
  Clock::time_point recent_at_{}, turn_{};
};

}  // namespace flotilla
