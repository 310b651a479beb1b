#include "app/slowdown_watch.h"

#include <algorithm>

namespace flotilla {
namespace {

constexpr double follow = 0.1;  // of the average
constexpr std::size_t stages_max = 64;

struct Single {
  std::uint64_t steps = 0;
  double seconds = 0;
};

// What the steps of one row since `last` took. A runner that does not count them apart still tells where all were such.
Single single_steps(const StageStats& last, const StageStats& now) {
  if (now.single_steps > last.single_steps)
    return {now.single_steps - last.single_steps, now.single_compute_seconds - last.single_compute_seconds};
  const std::uint64_t steps = now.steps - last.steps;
  if (now.single_steps == 0 && now.rows - last.rows == steps)
    return {steps, now.compute_seconds - last.compute_seconds};
  return {};
}

}  // namespace

std::optional<double> SlowdownWatch::on_stats(const StageStats& stats) {
  if (stages_.size() >= stages_max && !stages_.contains(stats.placement)) stages_.clear();
  Seen& seen = stages_[stats.placement];
  if (stats.steps < seen.last.steps) seen = {};
  const Single single = single_steps(seen.last, stats);
  seen.last = stats;
  if (single.steps < steps_min || single.seconds <= 0) return std::nullopt;
  const double each = single.seconds / static_cast<double>(single.steps);
  if (seen.usual_seconds == 0) seen.usual_seconds = each;
  const double factor = each / seen.usual_seconds;
  if (factor < far_off && factor > 1 / far_off) {
    seen.usual_seconds += follow * (each - seen.usual_seconds);
    seen.recent.clear();
    return std::nullopt;
  }
  if (!seen.recent.empty() && (seen.recent.back() > seen.usual_seconds) != (factor > 1)) seen.recent.clear();
  seen.recent.push_back(each);
  if (seen.recent.size() < seconds_to_believe) return std::nullopt;
  std::ranges::sort(seen.recent);
  const double now = seen.recent[seen.recent.size() / 2];
  const double change = now / seen.usual_seconds;
  seen.usual_seconds = now;
  seen.recent.clear();
  return change;
}

}  // namespace flotilla
