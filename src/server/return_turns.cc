#include "server/return_turns.h"

#include <algorithm>
#include <cmath>

namespace flotilla {
namespace {

using Seconds = std::chrono::duration<double>;

// Over which the rate of endings is a mean: some answers' length, but a change of load is soon seen.
constexpr Seconds memory{4};

}  // namespace

void ReturnTurns::forget(Clock::time_point now) {
  recent_ *= std::exp(-Seconds(now - recent_at_) / memory);
  recent_at_ = now;
}

void ReturnTurns::freed(std::size_t places, Clock::time_point now) {
  forget(now);
  recent_ += static_cast<double>(places);
}

std::chrono::seconds ReturnTurns::next(Clock::time_point now) {
  forget(now);
  const Clock::time_point last = now + wait_max;
  turn_ = std::clamp(turn_, now + wait_min, last);
  const auto wait = std::chrono::ceil<std::chrono::seconds>(turn_ - now);
  // Where nothing has ended of late, the turns are as far apart as they may be.
  const Seconds apart = std::min<Seconds>(memory / std::max(recent_, 0.01), wait_max);
  turn_ = std::min(turn_ + std::chrono::duration_cast<Clock::duration>(apart), last);
  return wait;
}

}  // namespace flotilla
