#include "planner/search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "planner/shortlist.h"
#include "planner/stage_order.h"

namespace flotilla {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();
constexpr std::size_t stage_limits_max = 64;  // longest stages tried; beyond, thinned evenly
// Of each number of machines so many sets, by their bounds, are divided and ordered; the bound of the last is rarely
// a per cent from the first's. Rings of more stages cost more time and their ends matter less.
constexpr std::size_t sets_max = 64, large_sets_max = 16;
constexpr int few_stages_max = 6;
constexpr std::size_t heads_of_large_set_max = 3;

using Units = std::vector<std::size_t>;

// How many layers each of a set takes, given one head and one chunking.
class Division {
 public:
  Division(const SearchProblem& problem, const Units& units, std::size_t head, std::size_t chunking)
      : problem_(problem), units_(units), head_(head), chunking_(chunking), by_speed_(units.size()) {
    std::iota(by_speed_.begin(), by_speed_.end(), 0);
    std::ranges::stable_sort(by_speed_, {}, [&](std::size_t at) { return unit(at).layer_seconds; });
  }

  // The best trade between the token's sum of stages and the prompt's longest one. Layers in the order of `units`.
  std::optional<std::vector<std::uint32_t>> best() const {
    auto best = fill(never);
    if (!best || units_.size() == 1) return best;
    double least = weight(*best);
    for (const double limit : stage_limits(longest(*best))) {
      const auto layers = fill(limit);
      if (!layers || weight(*layers) >= least) continue;
      least = weight(*layers);
      best = layers;
    }
    return best;
  }

 private:
  const SearchUnit& unit(std::size_t at) const { return problem_.units[units_[at]]; }
  double chunk_seconds(std::size_t at) const { return unit(at).chunk_layer_seconds[chunking_]; }
  std::uint32_t room(std::size_t at) const {
    return units_[at] == head_ ? unit(at).capacity_as_head : unit(at).capacity;
  }

  // Each one layer, then the fastest as many as it holds within the limit: the sum is linear, so this is exact.
  std::optional<std::vector<std::uint32_t>> fill(double stage_seconds_max) const {
    std::vector<std::uint32_t> layers(units_.size(), 1);
    if (units_.size() > problem_.layer_count) return std::nullopt;
    std::uint32_t left = problem_.layer_count - static_cast<std::uint32_t>(units_.size());
    for (const auto at : by_speed_) {
      std::uint32_t most = room(at);
      if (stage_seconds_max < never && chunk_seconds(at) > 0)
        most = static_cast<std::uint32_t>(std::min<double>(most, stage_seconds_max / chunk_seconds(at) * (1 + 1e-12)));
      if (most < 1) return std::nullopt;
      const auto more = std::min(left, most - 1);
      layers[at] += more;
      left -= more;
    }
    if (left > 0) return std::nullopt;
    return layers;
  }

  double longest(const std::vector<std::uint32_t>& layers) const {
    double seconds = 0;
    for (std::size_t at = 0; at < layers.size(); ++at) seconds = std::max(seconds, layers[at] * chunk_seconds(at));
    return seconds;
  }

  double weight(const std::vector<std::uint32_t>& layers) const {
    double token = 0;
    for (std::size_t at = 0; at < layers.size(); ++at) token += layers[at] * unit(at).layer_seconds;
    const double turns = problem_.chunkings[chunking_].chunks + static_cast<double>(units_.size()) - 1;
    return problem_.answer_tokens * token + turns * longest(layers);
  }

  // The longest stage of any division lasts a whole number of some unit's layers.
  std::vector<double> stage_limits(double most) const {
    double speed = 0;
    for (std::size_t at = 0; at < units_.size(); ++at) speed += 1 / chunk_seconds(at);
    const double least = problem_.layer_count / speed;
    std::vector<double> limits;
    for (std::size_t at = 0; at < units_.size(); ++at)
      for (std::uint32_t count = 1; count <= std::min(room(at), problem_.layer_count); ++count)
        if (const double limit = count * chunk_seconds(at); limit >= least * (1 - 1e-9) && limit < most)
          limits.push_back(limit);
    std::ranges::sort(limits);
    if (limits.size() <= stage_limits_max) return limits;
    std::vector<double> thinned;
    for (std::size_t i = 0; i < stage_limits_max; ++i)
      thinned.push_back(limits[i * (limits.size() - 1) / (stage_limits_max - 1)]);
    return thinned;
  }

  const SearchProblem& problem_;
  const Units& units_;
  const std::size_t head_, chunking_;
  std::vector<std::size_t> by_speed_;  // places in units_
};

FoundPlan in_ring_order(const SearchProblem& problem, const Units& units, const std::vector<std::uint32_t>& layers,
                        Units ring) {
  std::vector<std::uint32_t> counts;
  for (const auto unit : ring)
    counts.push_back(layers[static_cast<std::size_t>(std::ranges::find(units, unit) - units.begin())]);
  return judge(problem, std::move(ring), std::move(counts));
}

// --- Bounds from below: what a set cannot beat, without its order ---
class Bounds {
 public:
  explicit Bounds(const SearchProblem& problem) : problem_(problem), by_speed_(problem.units.size()) {
    std::iota(by_speed_.begin(), by_speed_.end(), 0);
    std::ranges::stable_sort(by_speed_, {}, [&](std::size_t unit) { return problem.units[unit].layer_seconds; });
    for (std::size_t from = 0; from < problem.units.size(); ++from) {
      nearest_.push_back(never);
      for (std::size_t to = 0; to < problem.units.size(); ++to)
        if (from != to && (problem.units[from].machines & problem.units[to].machines) == 0)
          nearest_.back() = std::min(nearest_.back(), problem.hop_seconds[from][to]);
      preference_ = std::min(preference_, problem.units[from].preference);
    }
    for (std::size_t chunking = 0; chunking < problem.chunkings.size(); ++chunking) {
      auto& speeds = prompt_speeds_.emplace_back();
      for (const SearchUnit& unit : problem.units)
        speeds.push_back(1 / (problem.chunkings[chunking].chunks * unit.chunk_layer_seconds[chunking]));
    }
  }

  // never where the set cannot hold the layers.
  double judged_seconds(std::uint32_t set) const {
    const auto count = static_cast<std::uint32_t>(std::popcount(set));
    if (count > problem_.layer_count) return never;
    std::uint32_t left = problem_.layer_count - count;
    double token = 0, head = never;
    for (const auto at : by_speed_) {
      if ((set >> at & 1) == 0) continue;
      const SearchUnit& unit = problem_.units[at];
      const std::uint32_t room = std::max(unit.capacity, unit.capacity_as_head);
      if (room == 0) return never;
      const auto more = std::min(left, room - 1);
      left -= more;
      token += (1 + more) * unit.layer_seconds;
      if (unit.capacity_as_head > 0) head = std::min(head, unit.head_seconds);
      if (count > 1) token += nearest_[at];
    }
    if (left > 0 || head == never) return never;
    return preference_ * (problem_.answer_tokens * (token + head) + prompt_seconds(set) + head);
  }

 private:
  // As if every stage were as long as every other.
  double prompt_seconds(std::uint32_t set) const {
    double least = never;
    for (const auto& speeds : prompt_speeds_) {
      double speed = 0;
      for (std::uint32_t left = set; left != 0; left &= left - 1) speed += speeds[std::countr_zero(left)];
      least = std::min(least, problem_.layer_count / speed);
    }
    return least;
  }

  const SearchProblem& problem_;
  std::vector<std::size_t> by_speed_;
  std::vector<double> nearest_;
  std::vector<std::vector<double>> prompt_speeds_;  // by chunking: layers of all chunks a unit does in a second
  double preference_ = 1;
};

Units units_of(std::uint32_t set) {
  Units units;
  for (; set != 0; set &= set - 1) units.push_back(static_cast<std::size_t>(std::countr_zero(set)));
  return units;
}

// Empty where two units of the set share a machine.
std::optional<std::uint64_t> machines_of(const SearchProblem& problem, std::uint32_t set) {
  std::uint64_t taken = 0;
  for (; set != 0; set &= set - 1) {
    const auto machines = problem.units[static_cast<std::size_t>(std::countr_zero(set))].machines;
    if ((taken & machines) != 0) return std::nullopt;
    taken |= machines;
  }
  return taken;
}

// By number of machines: sets worth a look, and what each cannot beat.
struct Sketch {
  double bound = 0;
  std::uint32_t set = 0;
};

std::vector<std::vector<Sketch>> sketches(const SearchProblem& problem) {
  const Bounds bounds(problem);
  std::vector<std::vector<Sketch>> by_machines(65);
  for (std::uint32_t set = 1; set < std::uint32_t{1} << problem.units.size(); ++set) {
    const auto machines = machines_of(problem, set);
    if (!machines) continue;
    const double bound = bounds.judged_seconds(set);
    if (bound < never) by_machines[static_cast<std::size_t>(std::popcount(*machines))].push_back({bound, set});
  }
  for (auto& same : by_machines) std::ranges::stable_sort(same, {}, &Sketch::bound);
  return by_machines;
}

std::optional<FoundPlan> find_exactly(const SearchProblem& problem) {
  std::optional<FoundPlan> chosen;
  for (const auto& same : sketches(problem)) {
    const double needed = chosen ? chosen->judged_seconds * (1 - problem.gain) : never;
    std::optional<FoundPlan> best;
    std::size_t looked_at = 0;
    for (const Sketch& sketch : same) {
      if (sketch.bound > needed || (best && sketch.bound >= best->judged_seconds)) break;
      if (++looked_at > (std::popcount(sketch.set) <= few_stages_max ? sets_max : large_sets_max)) break;
      auto found = best_of_set(problem, units_of(sketch.set));
      if (found && found->judged_seconds <= needed && (!best || found->judged_seconds < best->judged_seconds))
        best = std::move(found);
    }
    if (best && (!chosen || best->token_seconds <= chosen->token_seconds * (1 + more_machines_slower)))
      chosen = std::move(best);
  }
  return chosen;
}

}  // namespace

SearchProblem only(const SearchProblem& problem, const std::vector<std::size_t>& kept) {
  const auto part = [&](const std::vector<std::vector<double>>& matrix) {
    std::vector<std::vector<double>> small;
    for (const auto from : kept) {
      small.emplace_back();
      for (const auto to : kept) small.back().push_back(matrix[from][to]);
    }
    return small;
  };
  SearchProblem small{.layer_count = problem.layer_count,
                      .answer_tokens = problem.answer_tokens,
                      .gain = problem.gain,
                      .units = {},
                      .hop_seconds = part(problem.hop_seconds),
                      .chunkings = {}};
  for (const auto unit : kept) small.units.push_back(problem.units[unit]);
  for (const Chunking& chunking : problem.chunkings)
    small.chunkings.push_back({.chunks = chunking.chunks, .hop_seconds = part(chunking.hop_seconds)});
  return small;
}

FoundPlan judge(const SearchProblem& problem, std::vector<std::size_t> ring, std::vector<std::uint32_t> layers) {
  check(!ring.empty() && ring.size() == layers.size(), "a ring has a stage, and each its layers");
  const SearchUnit& head = problem.units[ring.front()];
  FoundPlan plan;
  plan.token_seconds = head.head_seconds;
  for (std::size_t at = 0; at < ring.size(); ++at) {
    plan.token_seconds += layers[at] * problem.units[ring[at]].layer_seconds;
    if (ring.size() > 1) plan.token_seconds += problem.hop_seconds[ring[at]][ring[(at + 1) % ring.size()]];
  }
  plan.prompt_seconds = never;
  for (std::size_t chunking = 0; chunking < problem.chunkings.size(); ++chunking) {
    const Chunking& way = problem.chunkings[chunking];
    double longest = 0, hops = head.head_seconds;
    for (std::size_t at = 0; at < ring.size(); ++at) {
      longest = std::max(longest, layers[at] * problem.units[ring[at]].chunk_layer_seconds[chunking]);
      if (at > 0) hops += way.hop_seconds[ring[at - 1]][ring[at]];
    }
    if (ring.size() > 1) hops += problem.hop_seconds[ring.back()][ring.front()];
    const double turns = way.chunks + static_cast<double>(ring.size()) - 1;
    plan.prompt_seconds = std::min(plan.prompt_seconds, turns * longest + hops);
  }
  plan.judged_seconds = head.preference * (plan.prompt_seconds + problem.answer_tokens * plan.token_seconds);
  plan.ring = std::move(ring);
  plan.layers = std::move(layers);
  return plan;
}

std::optional<FoundPlan> best_of_set(const SearchProblem& problem, const std::vector<std::size_t>& units) {
  std::vector<std::size_t> heads = units;
  std::erase_if(heads, [&](std::size_t unit) { return problem.units[unit].capacity_as_head == 0; });
  std::ranges::stable_sort(heads, {}, [&](std::size_t unit) { return problem.units[unit].head_seconds; });
  const bool is_large = units.size() > few_stages_max;
  std::optional<FoundPlan> best;
  std::size_t holding = 0;
  for (const auto head : heads) {
    if (is_large && holding == heads_of_large_set_max) break;
    for (std::size_t chunking = 0; chunking < problem.chunkings.size(); ++chunking) {
      const auto layers = Division(problem, units, head, chunking).best();
      if (!layers) break;  // no chunking makes room
      if (chunking == 0) ++holding;
      auto found = in_ring_order(problem, units, *layers, order_behind(problem, units, head, chunking));
      if (!best || found.judged_seconds < best->judged_seconds) best = std::move(found);
    }
  }
  return best;
}

std::optional<FoundPlan> divide_in_order(const SearchProblem& problem, const std::vector<std::size_t>& ring) {
  std::optional<FoundPlan> best;
  for (std::size_t chunking = 0; chunking < problem.chunkings.size(); ++chunking) {
    const auto layers = Division(problem, ring, ring.front(), chunking).best();
    if (!layers) return std::nullopt;
    auto found = judge(problem, ring, *layers);
    if (!best || found.judged_seconds < best->judged_seconds) best = std::move(found);
  }
  return best;
}

std::optional<FoundPlan> find_plan(const SearchProblem& problem) {
  check(!problem.chunkings.empty(), "a prompt is read in some number of chunks");
  if (problem.units.size() <= exact_units_max) return find_exactly(problem);
  const auto kept = shortlist(problem, exact_units_max);
  if (kept.size() > exact_units_max) return best_of_set(problem, kept);  // so many are needed for the memory alone
  auto plan = find_exactly(only(problem, kept));
  if (plan)
    for (auto& unit : plan->ring) unit = kept[unit];
  return plan;
}

std::optional<FoundPlan> plan_on_switch(const SearchProblem& problem, const std::vector<double>& access) {
  std::optional<FoundPlan> best;
  const auto offer = [&](FoundPlan plan) {
    if (!best || plan.token_seconds < best->token_seconds) best = std::move(plan);
  };
  for (std::size_t unit = 0; unit < problem.units.size(); ++unit)
    if (problem.units[unit].capacity_as_head >= problem.layer_count)
      offer(judge(problem, {unit}, {problem.layer_count}));
  // cost[has head][layers placed] of the units so far; each step keeps what it took, to walk back.
  const std::size_t layers = problem.layer_count;
  using Costs = std::array<std::vector<double>, 2>;
  Costs cost{std::vector<double>(layers + 1, never), std::vector<double>(layers + 1, never)};
  cost[0][0] = 0;
  struct Taken {
    std::uint32_t layers = 0;
    bool as_head = false;
  };
  std::vector<std::array<std::vector<Taken>, 2>> steps;
  for (std::size_t at = 0; at < problem.units.size(); ++at) {
    const SearchUnit& unit = problem.units[at];
    Costs next = cost;
    auto& step = steps.emplace_back();
    for (auto& row : step) row.resize(layers + 1);
    for (const bool as_head : {false, true}) {
      const std::uint32_t room = as_head ? unit.capacity_as_head : unit.capacity;
      for (const bool before : {false, true}) {
        if (as_head && before) continue;
        for (std::size_t placed = 0; placed < layers; ++placed) {
          if (cost[before][placed] == never) continue;
          const double fixed = cost[before][placed] + 2 * access[at] + (as_head ? unit.head_seconds : 0);
          for (std::uint32_t count = 1; count <= room && placed + count <= layers; ++count) {
            double& there = next[before || as_head][placed + count];
            const double sum = fixed + count * unit.layer_seconds;
            if (sum >= there) continue;
            there = sum;
            step[before || as_head][placed + count] = {count, as_head};
          }
        }
      }
    }
    cost = std::move(next);
  }
  if (cost[1][layers] == never) return best;
  std::vector<std::size_t> ring;
  std::vector<std::uint32_t> counts;
  bool has_head = true;
  for (std::size_t at = problem.units.size(), placed = layers; at-- > 0;) {
    const Taken taken = steps[at][has_head][placed];
    if (taken.layers == 0) continue;
    ring.insert(taken.as_head ? ring.begin() : ring.end(), at);
    counts.insert(taken.as_head ? counts.begin() : counts.end(), taken.layers);
    placed -= taken.layers;
    if (taken.as_head) has_head = false;
  }
  if (ring.size() > 1) offer(judge(problem, std::move(ring), std::move(counts)));
  return best;
}

}  // namespace flotilla
