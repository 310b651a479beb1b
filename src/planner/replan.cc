#include "planner/replan.h"

#include <algorithm>
#include <format>
#include <limits>

#include "planner/capacity.h"
#include "planner/members.h"
#include "planner/search.h"
#include "planner/timed_fleet.h"

namespace flotilla {
namespace {

constexpr double clearly_slower = 1.2;  // times as long as planned: what is said of a machine

std::string name_of(const PlannedStage& stage) {
  std::string names;
  for (const PlannedMember& member : stage.members) names += (names.empty() ? "" : " + ") + member.node_name;
  return names;
}

// The stage that takes the most times as long as it was planned to; empty where none takes clearly longer.
std::string slowed(const Plan& plan, const Foretold& now) {
  std::string text;
  double worst = clearly_slower;
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const double planned = plan.stages[i].token_seconds;
    if (planned <= 0 || now.stage_seconds[i] / planned < worst) continue;
    worst = now.stage_seconds[i] / planned;
    text = std::format("{} compute{} at {:.0f} % of {} former speed; ", name_of(plan.stages[i]),
                       plan.stages[i].is_group() ? "" : "s", 100 / worst, plan.stages[i].is_group() ? "their" : "its");
  }
  return text;
}

std::string where_to(const Plan& plan) {
  std::string where;
  for (const PlannedStage& stage : plan.stages)
    where += std::format("{}{} ({} layer{})", where.empty() ? "" : ", ", name_of(stage), stage.layers.count(),
                         stage.layers.count() == 1 ? "" : "s");
  return where;
}

std::chrono::seconds pause_after(std::uint32_t times) {
  if (times == 0) return {};
  auto pause = ReplanWatch::pause_first;
  for (std::uint32_t i = 1; i < times && pause < ReplanWatch::pause_max; ++i) pause *= 2;
  return std::min(pause, ReplanWatch::pause_max);
}

}  // namespace

std::optional<Foretold> foretell(const ClusterView& view, const ModelShape& shape, const PlanWishes& wishes,
                                 const Plan& plan) {
  const Workload work{.shape = shape, .context_tokens = plan.context_tokens, .sequences = plan.sequences};
  PlanWishes within = wishes;
  within.use = use_within(wishes.use, work.context_tokens);
  std::vector<Candidate> candidates;
  std::vector<PlannedUnit> ring;
  std::vector<LayerRange> ranges;
  for (const PlannedStage& stage : plan.stages) {
    PlannedUnit& unit = ring.emplace_back();
    std::vector<double> shares;
    std::vector<std::uint32_t> shards;
    ranges.push_back(stage.layers);
    for (const PlannedMember& planned : stage.members) {
      const Member* member = view.find(planned.node);
      if (member == nullptr || !may_compute(*member) || !is_measured(member->info.rates)) return std::nullopt;
      unit.members.push_back(candidates.size());
      shares.push_back(planned.share);
      shards.push_back(planned.shards);
      candidates.push_back(make_candidate(*member, work, wishes.fingerprint));
    }
    unit.parts = parts_of(shares, std::move(shards), work);
  }
  TimedFleet fleet(candidates, work, within);
  const TimedPlan timed = fleet.as_divided(std::move(ring), ranges);
  Foretold foretold{
      .token_seconds = timed.figures.token_seconds,
      .prompt_seconds = timed.figures.prompt_seconds,
      .judged_seconds = timed.figures.prompt_seconds + within.use.answer_tokens * timed.figures.token_seconds,
      .stage_seconds = {}};
  for (std::size_t at = 0; at < plan.stages.size(); ++at)
    foretold.stage_seconds.push_back(fleet.stage_token_seconds(timed, at));
  return foretold;
}

bool fits_now(const ClusterView& view, const Plan& plan) {
  return std::ranges::all_of(plan.stages, [&](const PlannedStage& stage) {
    return std::ranges::all_of(stage.members, [&](const PlannedMember& planned) {
      const Member* member = view.find(planned.node);
      return member != nullptr && planned.need.total() + memory_reserve_bytes <= member->info.memory_free_bytes;
    });
  });
}

std::string who_withdraws(const ClusterView& view, const Plan& plan) {
  for (const PlannedStage& stage : plan.stages)
    for (const PlannedMember& planned : stage.members)
      if (const Member* member = view.find(planned.node);
          member != nullptr && member->info.on_battery && member->info.memory_bytes == 0)
        return std::format("{} {} and offers nothing", member->info.name, on_battery(member->info));
  return {};
}

Foretold beyond_all(const Plan& plan) {
  constexpr double for_ever = std::numeric_limits<double>::infinity();
  return {.token_seconds = for_ever,
          .prompt_seconds = for_ever,
          .judged_seconds = for_ever,
          .stage_seconds = std::vector<double>(plan.stages.size(), for_ever)};
}

std::string why_hand_over(const std::string& withdrawal, const Plan& better) {
  return withdrawal + "; to " + where_to(better);
}

std::string why_move(const Plan& in_service, const Foretold& now, const Plan& better, const Foretold& then) {
  return std::format(
      "{}to {}: {:.1f} ms per token instead of {:.1f} ms, prompt and answer in {:.1f} s instead of {:.1f} s",
      slowed(in_service, now), where_to(better), 1e3 * then.token_seconds, 1e3 * now.token_seconds, then.judged_seconds,
      now.judged_seconds);
}

ReplanWatch::ReplanWatch(std::uint32_t moves, Time ready) : tries_(moves), last_try_(ready) {}

// A quick prompt does not buy slow words.
bool ReplanWatch::on_finding(const Foretold& in_service, const Foretold& planned, Time now) {
  if (in_service.judged_seconds < gain_min * planned.judged_seconds ||
      planned.token_seconds > (1 + slower_max) * in_service.token_seconds) {
    found_.reset();
    return false;
  }
  if (!found_) found_ = now;
  return now - *found_ >= held_min && now >= last_try_ + pause_after(tries_);
}

void ReplanWatch::on_put_off(Time now) {
  found_.reset();
  tries_ = moves_with_this(now);
  last_try_ = now;
}

std::uint32_t ReplanWatch::moves_with_this(Time now) const { return now - last_try_ >= rest ? 1 : tries_ + 1; }

}  // namespace flotilla
