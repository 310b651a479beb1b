#include "app/slowdown_watch.h"

#include <bit>
#include <utility>

#include "base/quantile.h"

namespace flotilla {
namespace {

constexpr double follow = 0.1;  // of the average
constexpr std::size_t stages_max = 64;
// Of computing. After each short request a runner tells what it did: what it took for less goes with the next message.
constexpr double seconds_min = 0.2;

// Up to so many positions a step costs alike, whatever the model.
constexpr std::uint64_t short_context = 256;

struct Single {
  std::uint64_t steps = 0;
  double seconds = 0;
  std::uint64_t positions = 0;
};

// What the steps of one row since `last` took. A runner that does not count them apart still tells where all were such.
Single single_steps(const StageStats& last, const StageStats& now) {
  if (now.single_steps > last.single_steps)
    return {now.single_steps - last.single_steps, now.single_compute_seconds - last.single_compute_seconds,
            now.single_positions - last.single_positions};
  const std::uint64_t steps = now.steps - last.steps;
  if (now.single_steps == 0 && now.rows - last.rows == steps)
    return {steps, now.compute_seconds - last.compute_seconds, 0};
  return {};
}

double median(const std::vector<double>& values) { return quantile(values, 0.5); }

}  // namespace

std::optional<double> SlowdownWatch::on_stats(const StageStats& stats, bool is_alone) {
  if (stages_.size() >= stages_max && !stages_.contains(stats.placement)) stages_.clear();
  Seen& seen = stages_[stats.placement];
  if (seen.last && stats.steps < seen.last->steps) seen = {};
  if (!is_alone) seen.recent.clear();
  if (!seen.last || !is_alone) {
    seen.last = stats;
    return std::nullopt;
  }
  const Single single = single_steps(*seen.last, stats);
  if (single.steps > 0 && single.seconds < seconds_min) return std::nullopt;
  seen.last = stats;
  if (single.steps == 0) return std::nullopt;
  const double each = single.seconds / static_cast<double>(single.steps);
  const int length = static_cast<int>(std::bit_width(single.positions / single.steps / short_context));
  if (length != std::exchange(seen.length, length)) seen.recent.clear();
  Usual& usual = seen.usual[length];
  if (usual.seconds == 0) {
    usual.first.push_back(each);
    if (usual.first.size() == seconds_to_know) usual.seconds = median(usual.first);
    return std::nullopt;
  }
  const double factor = each / usual.seconds;
  if (factor < far_off && factor > 1 / far_off) {
    usual.seconds += follow * (each - usual.seconds);
    seen.recent.clear();
    return std::nullopt;
  }
  if (!seen.recent.empty() && (seen.recent.back() > usual.seconds) != (factor > 1)) seen.recent.clear();
  seen.recent.push_back(each);
  if (seen.recent.size() < seconds_to_believe) return std::nullopt;
  const double change = median(seen.recent) / usual.seconds;
  scale(seen, change);
  return change;
}

// The machine has changed, and so has what is usual at every length.
void SlowdownWatch::scale(Seen& seen, double change) {
  for (auto& [length, usual] : seen.usual) {
    usual.seconds *= change;
    if (usual.seconds == 0) usual.first.clear();
  }
  seen.recent.clear();
}

}  // namespace flotilla
