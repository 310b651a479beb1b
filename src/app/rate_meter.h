// How fast something goes, by its last seconds: an average from the beginning would be wrong after a pause, and after
// work that was there already. Thread: one; pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>

namespace flotilla {

class RateMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void add(Time now, std::uint64_t done) {
    if (!samples_.empty() && done < samples_.back().second) samples_.clear();  // begun anew
    samples_.emplace_back(now, done);
    while (samples_.size() > 2 && now - samples_[1].first >= window) samples_.pop_front();
  }

  // 0 where that is not known yet.
  double per_second() const {
    if (samples_.empty()) return 0;
    const auto& [begin, before] = samples_.front();
    const auto& [end, after] = samples_.back();
    const double seconds = std::chrono::duration<double>(end - begin).count();
    return seconds < shortest_seconds ? 0 : static_cast<double>(after - before) / seconds;
  }

 private:
  static constexpr auto window = std::chrono::seconds(5);
  static constexpr double shortest_seconds = 0.2;  // what is shorter says nothing
  std::deque<std::pair<Time, std::uint64_t>> samples_;
};

}  // namespace flotilla
