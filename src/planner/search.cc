#include "planner/search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

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
constexpr std::size_t heads_of_large_set_max = 3, orders_of_large_set_max = 3;

using Units = std::vector<std::size_t>;

// --- A piece of the prompt on its way round ---
// How long it keeps the slowest wire. The way home carries next to nothing.
double longest_wire(const SearchProblem& problem, const Units& ring) {
  double longest = 0;
  for (std::size_t at = 1; at < ring.size(); ++at)
    longest = std::max(longest, problem.prompt.wire_seconds[ring[at - 1]][ring[at]]);
  return longest;
}

// All it spends between stages.
double piece_hops(const SearchProblem& problem, const Units& ring) {
  if (ring.size() < 2) return 0;
  double sum = problem.hop_seconds[ring.back()][ring.front()];
  for (std::size_t at = 1; at < ring.size(); ++at) sum += problem.prompt.hop_seconds[ring[at - 1]][ring[at]];
  return sum;
}

// How long after one the next may come: as the slowest stage or wire lets it, and as those under way come back.
double piece_interval(const SearchProblem& problem, std::size_t stages, double slowest, double round) {
  if (stages < 2) return slowest;
  return std::max(slowest, round / (static_cast<double>(stages) + problem.prompt.more_under_way));
}

// How many layers each of a ring's units takes. The best trade but for one term: where pieces of the prompt wait for
// those under way to come back, layers are still tried in the order that suits tokens and the first piece.
class Division {
 public:
  Division(const SearchProblem& problem, const Units& ring)
      : problem_(problem),
        units_(ring),
        wire_seconds_(longest_wire(problem, ring)),
        hops_seconds_(piece_hops(problem, ring)),
        by_speed_(ring.size()) {
    std::iota(by_speed_.begin(), by_speed_.end(), 0);
    std::ranges::stable_sort(by_speed_, {}, [&](std::size_t at) { return layer_weight(at); });
  }

  // In the order of the ring.
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
  double piece_seconds(std::size_t at) const { return unit(at).piece_layer_seconds; }
  // What one more layer adds to all tokens and to the first piece on its way.
  double layer_weight(std::size_t at) const {
    return problem_.answer_tokens * unit(at).layer_seconds + piece_seconds(at);
  }
  std::uint32_t room(std::size_t at) const { return at == 0 ? unit(at).capacity_as_head : unit(at).capacity; }

  // Each one layer, then the fastest as many as it holds within the limit: the sum is linear, so this is exact.
  std::optional<std::vector<std::uint32_t>> fill(double stage_seconds_max) const {
    std::vector<std::uint32_t> layers(units_.size(), 1);
    if (units_.size() > problem_.layer_count) return std::nullopt;
    std::uint32_t left = problem_.layer_count - static_cast<std::uint32_t>(units_.size());
    for (const auto at : by_speed_) {
      std::uint32_t most = room(at);
      if (stage_seconds_max < never && piece_seconds(at) > 0)
        most = static_cast<std::uint32_t>(std::min<double>(most, stage_seconds_max / piece_seconds(at) * (1 + 1e-12)));
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
    for (std::size_t at = 0; at < layers.size(); ++at) seconds = std::max(seconds, layers[at] * piece_seconds(at));
    return seconds;
  }

  double weight(const std::vector<std::uint32_t>& layers) const {
    double sum = 0, round = hops_seconds_;
    for (std::size_t at = 0; at < layers.size(); ++at) {
      sum += layers[at] * layer_weight(at);
      round += layers[at] * piece_seconds(at);
    }
    const double slowest = std::max(longest(layers), wire_seconds_);
    return sum + (problem_.prompt.count - 1) * piece_interval(problem_, layers.size(), slowest, round);
  }

  // The longest stage of any division lasts a whole number of some unit's layers. Shorter than the wire's time is of no
  // use.
  std::vector<double> stage_limits(double most) const {
    double speed = 0;
    for (std::size_t at = 0; at < units_.size(); ++at) speed += 1 / piece_seconds(at);
    const double least = std::max(problem_.layer_count / speed, wire_seconds_);
    if (least >= most) return {};
    std::vector<double> limits{least};
    for (std::size_t at = 0; at < units_.size(); ++at)
      for (std::uint32_t count = 1; count <= std::min(room(at), problem_.layer_count); ++count)
        if (const double limit = count * piece_seconds(at); limit >= least * (1 - 1e-9) && limit < most)
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
  const double wire_seconds_, hops_seconds_;
  std::vector<std::size_t> by_speed_;  // places in units_
};

// The cheapest order may have a wire that pieces of the prompt wait for longer than for any stage. Then orders without
// it are tried, and so on, until stages are what they wait for.
std::optional<FoundPlan> best_behind(const SearchProblem& problem, const Units& units, std::size_t head) {
  double speed = 0;
  for (const auto unit : units) speed += 1 / problem.units[unit].piece_layer_seconds;
  const double shortest_stage = problem.layer_count / speed;
  const std::size_t orders_max = units.size() > few_stages_max ? orders_of_large_set_max : SIZE_MAX;
  std::optional<FoundPlan> best;
  double wire = never;
  for (std::size_t tried = 0; tried < orders_max && wire > shortest_stage; ++tried) {
    auto ring = order_behind(problem, units, head, wire);
    if (ring.empty()) break;
    wire = longest_wire(problem, ring);
    auto found = divide_in_order(problem, ring);
    if (!found) break;
    if (!best || found->judged_seconds < best->judged_seconds) best = std::move(found);
  }
  return best;
}

// Of equal machines one as head says nearly all; three of them would leave no look at the others.
void one_of_each_first(const SearchProblem& problem, Units& heads) {
  using Kind = std::tuple<double, double, std::uint32_t, std::uint32_t, double>;
  std::vector<Kind> seen;
  std::ranges::stable_partition(heads, [&](std::size_t at) {
    const SearchUnit& unit = problem.units[at];
    const Kind kind{unit.head_seconds, unit.layer_seconds, unit.capacity, unit.capacity_as_head, unit.preference};
    if (std::ranges::contains(seen, kind)) return false;
    seen.push_back(kind);
    return true;
  });
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
    for (const SearchUnit& unit : problem.units)
      prompt_speeds_.push_back(1 / (problem.prompt.count * unit.piece_layer_seconds));
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
    double speed = 0;
    for (std::uint32_t left = set; left != 0; left &= left - 1)
      speed += prompt_speeds_[static_cast<std::size_t>(std::countr_zero(left))];
    return problem_.layer_count / speed;
  }

  const SearchProblem& problem_;
  std::vector<std::size_t> by_speed_;
  std::vector<double> nearest_;
  std::vector<double> prompt_speeds_;  // layers of all pieces a unit does in a second
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

// --- Where order is nothing ---
// Unit after unit takes some of the layers, or none; of what is placed so far only the least time is remembered.
class SwitchProgramme {
 public:
  SwitchProgramme(const SearchProblem& problem, const std::vector<double>& access)
      : problem_(problem), access_(access), layers_(problem.layer_count) {
    for (auto& of_layers : seconds_) of_layers.assign(layers_ + 1, never);
    seconds_[0][0] = 0;
    for (std::size_t at = 0; at < problem.units.size(); ++at) offer_layers(at);
  }

  // Of two stages at least: a machine alone has no hops.
  std::optional<FoundPlan> best_ring() const {
    if (seconds_[1][layers_] == never) return std::nullopt;
    auto [ring, layers] = walk_back();
    return ring.size() > 1 ? std::optional(judge(problem_, std::move(ring), std::move(layers))) : std::nullopt;
  }

 private:
  struct Taken {
    std::uint32_t layers = 0;
    bool as_head = false;
  };
  // [has a head][layers placed] of the units so far.
  template <class Value>
  using Table = std::array<std::vector<Value>, 2>;

  void offer_layers(std::size_t at) {
    Table<double> after = seconds_;  // where it takes none
    for (auto& of_layers : taken_.emplace_back()) of_layers.resize(layers_ + 1);
    for (const bool has_head : {false, true}) place(at, false, has_head, after);
    place(at, true, false, after);
    seconds_ = std::move(after);
  }

  // As many layers as it holds and are left, each number where it is the best so far.
  void place(std::size_t at, bool as_head, bool has_head, Table<double>& after) {
    const SearchUnit& unit = problem_.units[at];
    const std::uint32_t room = as_head ? unit.capacity_as_head : unit.capacity;
    auto& seconds = after[has_head || as_head];
    auto& taken = taken_[at][has_head || as_head];
    for (std::size_t placed = 0; placed < layers_; ++placed) {
      if (seconds_[has_head][placed] == never) continue;
      const double fixed = seconds_[has_head][placed] + 2 * access_[at] + (as_head ? unit.head_seconds : 0);
      for (std::uint32_t count = 1; count <= room && placed + count <= layers_; ++count) {
        const double sum = fixed + count * unit.layer_seconds;
        if (sum >= seconds[placed + count]) continue;
        seconds[placed + count] = sum;
        taken[placed + count] = {count, as_head};
      }
    }
  }

  // What each unit took, the head first.
  std::pair<Units, std::vector<std::uint32_t>> walk_back() const {
    Units ring;
    std::vector<std::uint32_t> layers;
    bool has_head = true;
    std::size_t placed = layers_;
    for (std::size_t at = taken_.size(); at-- > 0;) {
      const Taken taken = taken_[at][has_head][placed];
      if (taken.layers == 0) continue;
      ring.insert(taken.as_head ? ring.begin() : ring.end(), at);
      layers.insert(taken.as_head ? layers.begin() : layers.end(), taken.layers);
      placed -= taken.layers;
      if (taken.as_head) has_head = false;
    }
    return {std::move(ring), std::move(layers)};
  }

  const SearchProblem& problem_;
  const std::vector<double>& access_;
  const std::size_t layers_;
  Table<double> seconds_;            // the least
  std::vector<Table<Taken>> taken_;  // by each unit, to walk back
};

std::optional<FoundPlan> best_alone(const SearchProblem& problem) {
  std::optional<FoundPlan> best;
  for (std::size_t unit = 0; unit < problem.units.size(); ++unit) {
    if (problem.units[unit].capacity_as_head < problem.layer_count) continue;
    auto plan = judge(problem, {unit}, {problem.layer_count});
    if (!best || plan.token_seconds < best->token_seconds) best = std::move(plan);
  }
  return best;
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
  SearchProblem small = problem;
  small.hop_seconds = part(problem.hop_seconds);
  small.prompt.hop_seconds = part(problem.prompt.hop_seconds);
  small.prompt.wire_seconds = part(problem.prompt.wire_seconds);
  small.units.clear();
  for (const auto unit : kept) small.units.push_back(problem.units[unit]);
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
  // The first piece goes all the way round, and the others follow it.
  double slowest = longest_wire(problem, ring), round = piece_hops(problem, ring);
  for (std::size_t at = 0; at < ring.size(); ++at) {
    const double stage = layers[at] * problem.units[ring[at]].piece_layer_seconds;
    slowest = std::max(slowest, stage);
    round += stage;
  }
  plan.prompt_seconds =
      round + head.head_seconds + (problem.prompt.count - 1) * piece_interval(problem, ring.size(), slowest, round);
  plan.judged_seconds = head.preference * (plan.prompt_seconds + problem.answer_tokens * plan.token_seconds);
  plan.ring = std::move(ring);
  plan.layers = std::move(layers);
  return plan;
}

std::optional<FoundPlan> best_of_set(const SearchProblem& problem, const std::vector<std::size_t>& units) {
  std::vector<std::size_t> heads = units;
  std::erase_if(heads, [&](std::size_t unit) { return problem.units[unit].capacity_as_head == 0; });
  std::ranges::stable_sort(heads, {}, [&](std::size_t unit) { return problem.units[unit].head_seconds; });
  one_of_each_first(problem, heads);
  const bool is_large = units.size() > few_stages_max;
  std::optional<FoundPlan> best;
  std::size_t holding = 0;
  for (const auto head : heads) {
    if (is_large && holding == heads_of_large_set_max) break;
    auto found = best_behind(problem, units, head);
    if (!found) continue;
    ++holding;
    if (!best || found->judged_seconds < best->judged_seconds) best = std::move(found);
  }
  return best;
}

std::optional<FoundPlan> divide_in_order(const SearchProblem& problem, const std::vector<std::size_t>& ring) {
  const auto layers = Division(problem, ring).best();
  return layers ? std::optional(judge(problem, ring, *layers)) : std::nullopt;
}

std::optional<FoundPlan> find_plan(const SearchProblem& problem) {
  if (problem.units.size() <= exact_units_max) return find_exactly(problem);
  const auto kept = shortlist(problem, exact_units_max);
  if (kept.size() > exact_units_max) return best_of_set(problem, kept);  // so many are needed for the memory alone
  auto plan = find_exactly(only(problem, kept));
  if (plan)
    for (auto& unit : plan->ring) unit = kept[unit];
  return plan;
}

std::optional<FoundPlan> plan_on_switch(const SearchProblem& problem, const std::vector<double>& access) {
  auto best = best_alone(problem);
  auto ring = SwitchProgramme(problem, access).best_ring();
  if (ring && (!best || ring->token_seconds < best->token_seconds)) best = std::move(ring);
  return best;
}

}  // namespace flotilla
