#include "planner/shortlist.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

namespace flotilla {
namespace {

constexpr std::size_t groups_max = 4;

bool is_group(const SearchUnit& unit) { return std::popcount(unit.machines) > 1; }

double nearest_hop(const SearchProblem& problem, std::size_t unit) {
  double nearest = std::numeric_limits<double>::infinity();
  for (std::size_t other = 0; other < problem.units.size(); ++other)
    if (other != unit && (problem.units[other].machines & problem.units[unit].machines) == 0)
      nearest = std::min(nearest, problem.hop_seconds[unit][other]);
  return nearest;
}

}  // namespace

std::vector<std::size_t> shortlist(const SearchProblem& problem, std::size_t most) {
  std::vector<std::size_t> singles, groups, kept;
  for (std::size_t unit = 0; unit < problem.units.size(); ++unit)
    (is_group(problem.units[unit]) ? groups : singles).push_back(unit);
  const auto keep = [&](std::size_t unit) {
    if (!std::ranges::contains(kept, unit)) kept.push_back(unit);
  };

  std::vector<double> access;
  for (const auto unit : singles) access.push_back(nearest_hop(problem, unit) / 2);
  if (const auto plan = plan_on_switch(only(problem, singles), access))
    for (const auto unit : plan->ring) keep(singles[unit]);
  if (kept.size() > most) return kept;

  std::ranges::stable_sort(groups, {}, [&](std::size_t unit) { return problem.units[unit].layer_seconds; });
  for (std::size_t i = 0; i < std::min(groups.size(), groups_max) && kept.size() < most; ++i) keep(groups[i]);
  std::ranges::stable_sort(singles, {}, [&](std::size_t unit) {
    const double layers = std::min(problem.units[unit].capacity, problem.layer_count);
    return problem.units[unit].layer_seconds + 2 * nearest_hop(problem, unit) / std::max(layers, 0.5);
  });
  for (std::size_t i = 0; i < singles.size() && kept.size() < most; ++i) keep(singles[i]);
  return kept;
}

}  // namespace flotilla
