#include "planner/timed_fleet.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <format>
#include <numeric>

#include "base/check.h"
#include "base/limits.h"
#include "planner/split.h"

namespace flotilla {
namespace {

// A group of machines sums twice a layer: with more than this one way, forty layers wait 20 ms a token.
constexpr double island_latency_seconds_max = 250e-6;
constexpr double island_speeds_apart_max = 4;  // a slower one's share is not worth its sums
constexpr std::size_t group_members_max = 8;

// With like speed the head is who has the file, then who is asked: nothing is copied, and answers have one way less.
constexpr double preference_with_file = 0.97, preference_of_self = 0.99;

// Few answers are seldom under way all at once, and a plan for one user suits them.
constexpr double many_rows_min = 8;

constexpr double rounding_bytes = 16;  // parts of a share are rounded up, one by one

// What is left over belongs to the last piece.
double pieces_of(double prompt_tokens) { return std::max(1.0, std::floor(prompt_tokens / prompt_piece_rows)); }

std::string in_ms(double seconds) {
  const double ms = seconds * 1e3;
  return std::format("{:.{}f} ms", ms, ms < 0.095 ? 3 : ms < 0.95 ? 2 : 1);
}

double hops_of(const SearchProblem& problem, const FoundPlan& plan) {
  double sum = 0;
  for (std::size_t at = 0; plan.ring.size() > 1 && at < plan.ring.size(); ++at)
    sum += problem.hop_seconds[plan.ring[at]][plan.ring[(at + 1) % plan.ring.size()]];
  return sum;
}

}  // namespace

TimedFleet::TimedFleet(const std::vector<Candidate>& candidates, const Workload& work, const PlanWishes& wishes)
    : candidates_(candidates),
      work_(work),
      wishes_(wishes),
      cost_(work.shape, wishes.use, wishes.overheads),
      links_([&] {
        std::vector<const Member*> machines;
        for (const Candidate& candidate : candidates) machines.push_back(candidate.member);
        return machines;
      }()) {
  problem_.layer_count = work.layer_count();
  problem_.answer_tokens = wishes.use.answer_tokens;
  problem_.prompt.count = pieces_of(wishes.use.prompt_tokens);
  add_machines();
}

void TimedFleet::add_machines() {
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    const MachineRates& rates = candidates_[i].member->info.rates;
    token_layer_seconds_.push_back(cost_.layer_seconds(rates, 1, cost_.seen_while_answering()));
    add_unit({.members = {i}, .parts = {alone_on(*candidates_[i].member, work_)}}, candidates_[i]);
  }
}

std::vector<SharedWork> TimedFleet::work_shared_by(const PlannedUnit& unit) const {
  std::vector<SharedWork> group;
  for (std::size_t i = 0; i < unit.members.size(); ++i)
    group.push_back({&candidates_[unit.members[i]].member->info.rates, unit.parts[i].share});
  return group;
}

TimedFleet::AnsweringSeconds TimedFleet::answering_seconds(const PlannedUnit& unit, double rows) const {
  const auto group = work_shared_by(unit);
  const LinkCost worst = links_.worst(unit.members);
  return {.layer = cost_.layer_seconds(group, worst, rows, cost_.seen_while_answering()),
          .head = cost_.head_seconds(group, worst, rows)};
}

void TimedFleet::add_unit(PlannedUnit unit, Candidate candidate) {
  SearchUnit entry;
  for (const auto member : unit.members) entry.machines |= std::uint64_t{1} << member;
  const auto [layer_seconds, head_seconds] = answering_seconds(unit, 1);
  entry.layer_seconds = layer_seconds;
  entry.head_seconds = head_seconds;
  entry.capacity = layers_anywhere(candidate, work_.layer_count());
  entry.capacity_as_head = candidate.end_as_head;
  const Member& first = *candidate.member;
  if (wishes_.head && *wishes_.head != first.info.id) entry.capacity_as_head = 0;
  entry.piece_layer_seconds =
      cost_.layer_seconds(work_shared_by(unit), links_.worst(unit.members), piece_rows(), cost_.seen_while_reading());
  if (candidate.has_file) entry.preference *= preference_with_file;
  if (first.state == MemberState::self) entry.preference *= preference_of_self;
  problem_.units.push_back(entry);
  holders_.push_back(std::move(candidate));
  units_.push_back(std::move(unit));
}

// --- Tensor groups ---
// From the seed on, by speed, who is near to and about as fast as all before.
std::vector<std::size_t> TimedFleet::island_of(std::size_t seed) const {
  std::vector<std::size_t> by_speed(candidates_.size()), island{seed};
  std::iota(by_speed.begin(), by_speed.end(), 0);
  std::ranges::stable_sort(by_speed, {}, [&](std::size_t i) { return token_layer_seconds_[i]; });
  const bool anyone = wishes_.mode == PlanMode::tensor;
  for (const auto next : by_speed) {
    const bool fits = next != seed && std::ranges::all_of(island, [&](std::size_t member) {
                        const double apart = token_layer_seconds_[member] / token_layer_seconds_[next];
                        return anyone || (links_.worst({member, next}).latency_seconds <= island_latency_seconds_max &&
                                          apart <= island_speeds_apart_max && apart >= 1 / island_speeds_apart_max);
                      });
    if (fits && island.size() < group_members_max) island.push_back(next);
  }
  return island;
}

void TimedFleet::add_groups() {
  for (std::size_t seed = 0; seed < candidates_.size(); ++seed) {
    const auto island = island_of(seed);
    for (std::size_t size = 2; size <= island.size(); ++size)
      add_group({island.begin(), island.begin() + static_cast<std::ptrdiff_t>(size)}, false);
  }
}

// The wished head stands first, else the fastest. Shares follow speed, bounded by memory where the group can hold the
// whole model; a group of some layers only holds as many as its shares allow.
bool TimedFleet::add_group(std::vector<std::size_t> members, bool is_first_fixed) {
  std::uint64_t bits = 0;
  for (const auto member : members) bits |= std::uint64_t{1} << member;
  if (members.size() > work_.shards_max() || std::ranges::contains(problem_.units, bits, &SearchUnit::machines))
    return false;
  if (!is_first_fixed)
    std::ranges::stable_sort(members, {}, [&](std::size_t member) {
      const bool is_head = wishes_.head == candidates_[member].member->info.id;
      return std::pair(!is_head, token_layer_seconds_[member]);
    });
  std::vector<std::uint32_t> shards;
  for (const auto member : members) shards.push_back(alone_on(*candidates_[member].member, work_).shards);
  auto parts = parts_of(std::vector<double>(members.size()), shards, work_);
  std::vector<double> seconds, most;
  std::vector<const Candidate*> holders;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const Candidate& candidate = candidates_[members[i]];
    holders.push_back(&candidate);
    seconds.push_back(std::max(1e-12, token_layer_seconds_[members[i]] - candidate.member->info.rates.layer_seconds));
    const LayerRange all{0, work_.layer_count()};
    const double fixed = static_cast<double>(work_.need(all, true, parts[i]).total());
    parts[i].share = 1;
    const double whole = static_cast<double>(work_.need(all, true, parts[i]).total());
    const double usable = static_cast<double>(candidate.usable_bytes);
    most.push_back(std::clamp((usable - fixed - rounding_bytes) / std::max(1.0, whole - fixed), 0.0, 1.0));
  }
  auto shares = fair_shares(seconds, most);
  if (shares.empty()) shares = fair_shares(seconds, std::vector<double>(members.size(), 1.0));
  PlannedUnit unit{.members = members, .parts = parts_of(shares, shards, work_)};
  auto holder = make_group(holders, unit.parts, work_);
  add_unit(std::move(unit), std::move(holder));
  return true;
}

// --- The search ---
void TimedFleet::price_hops() {
  const std::size_t count = units_.size();
  const auto priced = [&](const auto& price) {
    std::vector<std::vector<double>> hops(count, std::vector<double>(count));
    for (std::size_t from = 0; from < count; ++from)
      for (std::size_t to = 0; to < count; ++to)
        if (from != to)
          hops[from][to] = price(links_.between(units_[from].members.front(), units_[to].members.front()));
    return hops;
  };
  problem_.hop_seconds = priced([&](const LinkCost& link) { return cost_.hop_seconds(link, 1); });
  problem_.prompt.hop_seconds = priced([&](const LinkCost& link) { return cost_.hop_seconds(link, piece_rows()); });
  problem_.prompt.wire_seconds = priced([&](const LinkCost& link) { return cost_.wire_seconds(link, piece_rows()); });
}

// Of a ring for many answers at a time, each step of which has its part of them: what the expected prompt and answer of
// one of them take in each stage. Empty where it is for few.
std::vector<std::uint32_t> TimedFleet::layers_for_many(const std::vector<std::size_t>& ring) const {
  const double rows = static_cast<double>(work_.sequences) / static_cast<double>(ring.size());
  if (ring.size() < 2 || rows < many_rows_min) return {};
  const double steps = wishes_.use.answer_tokens / rows;
  std::vector<BusyStage> stages;
  for (const auto at : ring) {
    const auto answering = answering_seconds(units_[at], rows);
    const SearchUnit& unit = problem_.units[at];
    const bool is_head = stages.empty();
    stages.push_back({.layer_seconds = problem_.prompt.count * unit.piece_layer_seconds + steps * answering.layer,
                      .fixed_seconds = is_head ? steps * answering.head : 0,
                      .room = is_head ? unit.capacity_as_head : unit.capacity});
  }
  return even_layers(work_.layer_count(), stages);
}

std::optional<TimedPlan> TimedFleet::settled(const std::optional<FoundPlan>& found) const {
  if (!found) return std::nullopt;
  const auto for_many = layers_for_many(found->ring);
  auto ranges = split_layers(holders_, found->ring, work_, for_many.empty() ? found->layers : for_many);
  if (!ranges) return std::nullopt;
  std::vector<std::uint32_t> counts;
  for (const auto range : *ranges) counts.push_back(range.count());
  TimedPlan plan{
      .units = {}, .ranges = *std::move(ranges), .figures = judge(problem_, found->ring, counts), .for_one = {}};
  if (!for_many.empty() && for_many != found->layers) plan.for_one = found;
  for (const auto unit : found->ring) plan.units.push_back(units_[unit]);
  return plan;
}

std::optional<TimedPlan> TimedFleet::choose() {
  if (wishes_.mode != PlanMode::pipeline) add_groups();
  price_hops();
  if (wishes_.mode != PlanMode::tensor) return settled(find_plan(problem_));
  std::vector<std::size_t> groups;
  for (std::size_t unit = candidates_.size(); unit < units_.size(); ++unit)
    if (problem_.units[unit].capacity_as_head >= work_.layer_count()) groups.push_back(unit);
  std::ranges::stable_sort(groups, {}, [&](std::size_t unit) { return units_[unit].members.size(); });
  std::optional<FoundPlan> best;
  for (const auto group : groups) {
    auto plan = judge(problem_, {group}, {work_.layer_count()});
    const bool is_larger = best && units_[group].members.size() > units_[best->ring.front()].members.size();
    if (!best || plan.judged_seconds < best->judged_seconds * (is_larger ? 1 - problem_.gain : 1))
      best = std::move(plan);
  }
  return settled(best);
}

std::optional<TimedPlan> TimedFleet::in_order() {
  price_hops();
  std::vector<std::size_t> ring(candidates_.size());
  std::iota(ring.begin(), ring.end(), 0);
  return settled(divide_in_order(problem_, ring));
}

std::optional<TimedPlan> TimedFleet::together() {
  std::vector<std::size_t> all(candidates_.size());
  std::iota(all.begin(), all.end(), 0);
  if (all.size() < 2 || !add_group(all, true)) return std::nullopt;
  price_hops();
  if (problem_.units.back().capacity_as_head < work_.layer_count()) return std::nullopt;
  return settled(judge(problem_, {units_.size() - 1}, {work_.layer_count()}));
}

TimedPlan TimedFleet::as_divided(std::vector<PlannedUnit> ring, const std::vector<LayerRange>& ranges) {
  std::vector<std::size_t> places;
  for (const PlannedUnit& unit : ring) {
    const bool is_group = unit.members.size() > 1;
    places.push_back(is_group ? units_.size() : unit.members.front());
    if (!is_group) continue;
    std::vector<const Candidate*> holders;
    for (const auto member : unit.members) holders.push_back(&candidates_[member]);
    add_unit(unit, make_group(holders, unit.parts, work_));
  }
  price_hops();
  std::vector<std::uint32_t> counts;
  for (const auto range : ranges) counts.push_back(range.count());
  return {.units = std::move(ring), .ranges = ranges, .figures = judge(problem_, places, counts)};
}

// --- What is said of it ---
double TimedFleet::stage_token_seconds(const TimedPlan& plan, std::size_t stage) const {
  const SearchUnit& unit = problem_.units[plan.figures.ring[stage]];
  return plan.ranges[stage].count() * unit.layer_seconds + (stage == 0 ? unit.head_seconds : 0);
}

std::vector<double> TimedFleet::step_seconds(const TimedPlan& plan) const {
  const auto& ring = plan.figures.ring;
  std::vector<double> seconds;
  for (std::uint32_t rows = 1; rows <= step_rows_foretold; rows *= 2) {
    double step = 0;
    for (std::size_t at = 0; at < ring.size(); ++at) {
      const PlannedUnit& unit = units_[ring[at]];
      const auto answering = answering_seconds(unit, rows);
      step += plan.ranges[at].count() * answering.layer + (at == 0 ? answering.head : 0);
      const PlannedUnit& next = units_[ring[(at + 1) % ring.size()]];
      if (ring.size() > 1) step += cost_.hop_seconds(links_.between(unit.members.front(), next.members.front()), rows);
    }
    seconds.push_back(step);
  }
  return seconds;
}

// The same machines with this one, as a stage or as one more member, whichever is better; then what that adds and
// saves.
std::string TimedFleet::why_left_out(const TimedPlan& plan, std::size_t candidate) const {
  const FoundPlan& chosen = plan.searched();
  auto with = chosen.ring;
  with.push_back(candidate);
  const auto longer = best_of_set(problem_, with);
  std::optional<FoundPlan> wider;
  for (std::size_t unit = candidates_.size(); unit < units_.size() && chosen.ring.size() == 1; ++unit)
    if (problem_.units[unit].machines ==
            (problem_.units[chosen.ring.front()].machines | std::uint64_t{1} << candidate) &&
        problem_.units[unit].capacity_as_head >= work_.layer_count())
      wider = judge(problem_, {unit}, {work_.layer_count()});
  const double now = chosen.token_seconds;
  if (wider && (!longer || wider->judged_seconds < longer->judged_seconds)) {
    const SearchUnit& group = problem_.units[wider->ring.front()];
    const double sums =
        2 * work_.layer_count() *
        cost_.exchange_seconds(std::popcount(group.machines), links_.worst(units_[wider->ring.front()].members), 1);
    if (wider->token_seconds >= now)
      return std::format(
          "computing each layer together with it takes {} per token instead of {}: {} of that for {} sums "
          "over its {}",
          in_ms(wider->token_seconds), in_ms(now), in_ms(sums), 2 * work_.layer_count(), links_.name(candidate));
    return std::format(
        "computing each layer together with it takes {} per token instead of {}, prompt and answer {:.0f} "
        "% less time; a further machine must save {:.0f} %",
        in_ms(wider->token_seconds), in_ms(now),
        std::max(0.0, 100 * (1 - wider->judged_seconds / chosen.judged_seconds)), 100 * problem_.gain);
  }
  if (!longer) return "there is no layer left for it";
  const double adds = hops_of(problem_, *longer) - hops_of(problem_, chosen);
  const double saves = (now - hops_of(problem_, chosen)) - (longer->token_seconds - hops_of(problem_, *longer));
  if (adds <= 0)  // a way round it that the others lack
    return std::format(
        "with it a token takes {} instead of {}, prompt and answer {:.0f} % less time; a further machine must save "
        "{:.0f} %",
        in_ms(longer->token_seconds), in_ms(now),
        std::max(0.0, 100 * (1 - longer->judged_seconds / chosen.judged_seconds)), 100 * problem_.gain);
  if (saves < 1e-9) {
    const auto quickest = *std::ranges::min_element(
        chosen.ring, {}, [&](std::size_t unit) { return problem_.units[unit].layer_seconds; });
    const double here = token_layer_seconds_[candidate], there = problem_.units[quickest].layer_seconds;
    const std::string& holder = candidates_[units_[quickest].members.front()].name();
    if (here <= there * 1.02)
      return std::format("its {} adds {} per token, and its memory saves nothing: {} is as fast and has room",
                         links_.name(candidate), in_ms(adds), holder);
    return std::format("its {} adds {} per token, and a layer takes {} there but {} on {}", links_.name(candidate),
                       in_ms(adds), in_ms(here), in_ms(there), holder);
  }
  if (saves <= adds)
    return std::format("its {} adds {} per token, its memory saves {}", links_.name(candidate), in_ms(adds),
                       in_ms(saves));
  return std::format(
      "its {} adds {} per token, its memory saves {}: prompt and answer take {:.0f} % less time, and a "
      "further machine must save {:.0f} %",
      links_.name(candidate), in_ms(adds), in_ms(saves),
      std::max(0.0, 100 * (1 - longer->judged_seconds / chosen.judged_seconds)), 100 * problem_.gain);
}

std::vector<std::string> TimedFleet::notes(const TimedPlan& plan) const {
  std::vector<std::string> notes;
  if (plan.for_one)
    notes.push_back(
        std::format("layers are divided for {} answers at a time; a token of one alone takes {}, by its own plan {}",
                    work_.sequences, in_ms(plan.figures.token_seconds), in_ms(plan.for_one->token_seconds)));
  const auto check_pair = [&](std::size_t from, std::size_t to) {
    if (from == to || links_.is_measured(from, to)) return;
    const LinkCost& link = links_.between(from, to);
    auto note = std::format("the link between {} and {} is not measured; taken as {} one way and {:.0f} MB/s",
                            candidates_[std::min(from, to)].name(), candidates_[std::max(from, to)].name(),
                            in_ms(link.latency_seconds), link.bytes_per_second / 1e6);
    if (!std::ranges::contains(notes, note)) notes.push_back(std::move(note));
  };
  for (std::size_t at = 0; at < plan.units.size(); ++at) {
    check_pair(plan.units[at].members.front(), plan.units[(at + 1) % plan.units.size()].members.front());
    for (const auto from : plan.units[at].members)
      for (const auto to : plan.units[at].members) check_pair(from, to);
  }
  return notes;
}

}  // namespace flotilla
