#include "planner/planner.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/limits.h"
#include "base/units.h"
#include "planner/capacity.h"
#include "planner/chooser.h"
#include "planner/copies.h"
#include "planner/members.h"
#include "planner/split.h"
#include "planner/timed_fleet.h"

namespace flotilla {
namespace {

std::string plural(std::size_t count, std::string_view noun) {
  return std::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

Result<Workload> workload_of(const ModelShape& shape, const PlanWishes& wishes) {
  const auto trained = shape.context_length > 0 ? shape.context_length : limits::context_tokens_max;
  Workload work{.shape = shape, .context_tokens = wishes.context_tokens, .sequences = wishes.sequences};
  if (shape.layers.empty())
    return fail(Code::invalid_argument, "[planner] expected a model with layers but {} has none", shape.name);
  if (work.context_tokens == 0) work.context_tokens = std::min(limits::context_tokens_default, trained);
  if (work.sequences == 0) work.sequences = limits::sequences_default;
  const auto most = std::min(trained, limits::context_tokens_max);
  if (work.context_tokens > most)
    return fail(Code::invalid_argument,
                "[planner] expected a context of at most {} tokens, for which {} was trained, but got {}", most,
                shape.name, work.context_tokens);
  if (work.sequences > limits::sequences_max)
    return fail(Code::invalid_argument, "[planner] expected at most {} sequences at once but got {}",
                limits::sequences_max, work.sequences);
  return work;
}

Status check_wishes(const PlanWishes& wishes, const ClusterView& view, const Workload& work) {
  const auto layers = work.layer_count();
  if (wishes.nodes.size() > layers)
    return fail(Code::invalid_argument, "[planner] expected at most {} machines, one for each layer, but got {}",
                layers, wishes.nodes.size());
  if (wishes.head) {
    const auto* head = view.find(*wishes.head);
    if (head == nullptr)
      return fail(Code::not_found, "[planner] expected {} as head but it is not here", to_string(*wishes.head));
    if (!may_compute(*head))
      return fail(Code::unavailable, "[planner] expected {} as head but it is {}", head->info.name,
                  why_not_usable(*head));
    if (!wishes.nodes.empty() && wishes.nodes.front() != head->info.name)
      return fail(Code::invalid_argument,
                  "[planner] expected {}, the head, to be first but got {} first; name it first in --nodes",
                  head->info.name, wishes.nodes.front());
  }
  if (wishes.layers.empty()) return {};
  if (wishes.layers.size() != wishes.nodes.size())
    return fail(
        Code::invalid_argument,
        "[planner] expected a number of layers for each of {} machines but got {}; give both --nodes and --layers",
        wishes.nodes.size(), wishes.layers.size());
  std::uint64_t sum = 0;
  for (const auto count : wishes.layers) {
    if (count == 0)
      return fail(Code::invalid_argument,
                  "[planner] expected at least 1 layer for each machine but got 0; leave it out of --nodes");
    sum += count;
  }
  if (sum != layers)
    return fail(Code::invalid_argument, "[planner] expected {} layers altogether, as {} has, but got {} in --layers",
                layers, work.shape.name, sum);
  return {};
}

// --- What is missing ---
std::string offers(const std::vector<Candidate>& candidates) {
  return joined(candidates, ", ", [](const Candidate& candidate) {
    const NodeInfo& info = candidate.member->info;
    return std::format("{} offers {}{}", candidate.name(), in_gib(info.memory_free_bytes),
                       info.on_battery ? " (" + on_battery(info) + ")" : "");
  });
}

std::unexpected<Error> nowhere(const std::vector<Candidate>& candidates, const Workload& work,
                               std::optional<std::size_t> head) {
  const auto all = work.need({0, work.layer_count()}, true);
  const auto reach = furthest_layer(candidates, work, head);
  std::string missing;
  if (reach == 0) {
    std::uint64_t most = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i)
      if (!head || *head == i) most = std::max(most, candidates[i].usable_bytes);
    const auto need = work.need({0, 1}, true).total();
    missing = std::format("{} {} short of {} for the embedding, the output head and one layer",
                          head ? candidates[*head].name() + ", the head, is" : std::string("every machine is at least"),
                          in_gib(need - std::min(most, need)), in_gib(need));
  } else {
    const auto rest = work.need({reach, work.layer_count()}, false);
    missing = std::format("{} are missing for {} of {} layers", in_gib(rest.weights + rest.kv),
                          work.layer_count() - reach, work.layer_count());
  }
  return fail(Code::no_memory,
              "[planner] {} needs {} ({} of weights, {} of KV cache for {} x {} tokens, {} to compute; {} more on each "
              "machine) but {}: {}; "
              "add a machine, offer more with --memory, or ask for a smaller --context",
              work.shape.name, in_gib(all.total()), in_gib(all.weights), in_gib(all.kv), work.sequences,
              work.context_tokens, in_gib(all.compute), in_gib(memory_reserve_bytes), offers(candidates), missing);
}

std::unexpected<Error> too_much_asked(const Candidate& candidate, LayerRange layers, bool is_head,
                                      const Workload& work) {
  const auto need = work.need(layers, is_head, alone_on(*candidate.member, work)).total() + memory_reserve_bytes,
             offered = candidate.member->info.memory_free_bytes;
  return fail(Code::no_memory,
              "[planner] {} needs {} for {} of {} layers{} but offers {}: {} are missing; give it fewer with --layers",
              candidate.name(), in_gib(need), layers.count(), work.layer_count(),
              is_head ? " and the head's parts" : "", in_gib(offered), in_gib(need - std::min(need, offered)));
}

// --- The two ways to a ring and its ranges ---
struct Division {
  Ring ring;
  std::vector<LayerRange> ranges;
};

Result<Division> divide_as_wished(const std::vector<Candidate>& candidates, const Workload& work,
                                  const PlanWishes& wishes) {
  Division division;
  for (std::size_t i = 0; i < candidates.size(); ++i) division.ring.push_back(i);
  if (wishes.layers.empty()) {
    auto ranges = split_layers(candidates, division.ring, work);
    if (!ranges) return nowhere(candidates, work, 0);
    division.ranges = *std::move(ranges);
    return division;
  }
  std::uint32_t first = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const LayerRange range{first, first + wishes.layers[i]};
    if (work.need(range, i == 0, alone_on(*candidates[i].member, work)).total() > candidates[i].usable_bytes)
      return too_much_asked(candidates[i], range, i == 0, work);
    division.ranges.push_back(range);
    first = range.end;
  }
  return division;
}

Result<Division> divide_freely(const std::vector<Candidate>& candidates, const Workload& work,
                               const PlanWishes& wishes) {
  std::optional<std::size_t> head;
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (wishes.head == candidates[i].member->info.id) head = i;
  auto ring = choose_ring(candidates, work, head);
  if (!ring) return nowhere(candidates, work, head);
  auto ranges = split_layers(candidates, *ring, work);
  return Division{.ring = *std::move(ring), .ranges = *std::move(ranges)};
}

// --- Reasons ---
PlannedMember member_of(const Candidate& candidate, const StagePart& part, const StageNeed& need) {
  return {.node = candidate.member->info.id,
          .node_name = candidate.name(),
          .share = part.share,
          .shards = part.shards,
          .need = need,
          .offered_bytes = candidate.member->info.memory_free_bytes};
}

PlannedStage describe_stage(const Candidate& candidate, LayerRange layers, bool is_head, const Workload& work) {
  const auto part = alone_on(*candidate.member, work);
  const auto need = work.need(layers, is_head, part);
  const auto spare = candidate.usable_bytes - need.total();
  auto reason = std::format(
      "holds {} of {} layers{}: {} of weights, {} of KV cache for {} x {} tokens, {} to compute; {} stay free",
      layers.count(), work.layer_count(), is_head ? " and, as head, embedding and output" : "",
      format_bytes(need.weights), format_bytes(need.kv), work.sequences, work.context_tokens,
      format_bytes(need.compute), format_bytes(spare));
  return {.node = candidate.member->info.id,
          .node_name = candidate.name(),
          .layers = layers,
          .is_head = is_head,
          .reason = std::move(reason),
          .members = {member_of(candidate, part, need)}};
}

// --- A tensor group ---
// How fast it multiplies one row; machines that have not measured themselves are taken to be alike.
double speed_of(const Member& member) {
  const auto& kernels = member.info.rates.kernels;
  if (kernels.empty() || kernels.front().seconds_per_gib.front() <= 0) return 1;
  return 1 / kernels.front().seconds_per_gib.front();
}

std::string reason_of_group(const PlannedStage& stage, const Workload& work) {
  const auto what = stage.layers.count() == work.layer_count()
                        ? std::string("every layer")
                        : std::format("{} of {} layers", stage.layers.count(), work.layer_count());
  return std::format("{} compute {} together: {}", plural(stage.members.size(), "machine"), what,
                     joined(stage.members, ", ", [](const PlannedMember& member) {
                       return std::format("{} {:.0f} %", member.node_name, 100 * member.share);
                     }));
}

PlannedStage describe_group(const std::vector<const Candidate*>& machines, const std::vector<StagePart>& parts,
                            LayerRange layers, bool is_head, const Workload& work) {
  PlannedStage stage{.node = machines.front()->member->info.id,
                     .node_name = machines.front()->name(),
                     .layers = layers,
                     .is_head = is_head,
                     .reason = {},
                     .members = {}};
  for (std::size_t i = 0; i < machines.size(); ++i)
    stage.members.push_back(member_of(*machines[i], parts[i], work.need(layers, is_head, parts[i])));
  stage.reason = reason_of_group(stage, work);
  return stage;
}

// Each machine's part follows its speed, where all have measured themselves.
std::vector<StagePart> parts_by_speed(const std::vector<const Candidate*>& machines, const Workload& work) {
  const bool all_measured = std::ranges::none_of(
      machines, [](const Candidate* machine) { return machine->member->info.rates.kernels.empty(); });
  std::vector<double> shares;
  std::vector<std::uint32_t> shards;
  for (const Candidate* machine : machines) {
    shares.push_back(all_measured ? speed_of(*machine->member) : 1.0);
    shards.push_back(alone_on(*machine->member, work).shards);
  }
  const double speeds = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share /= speeds;
  return parts_of(shares, shards, work);
}

Result<PlannedStage> plan_group(const std::vector<Candidate>& candidates, const Workload& work) {
  if (candidates.size() > work.shards_max())
    return fail(
        Code::unsupported,
        "[planner] expected at most {} for a tensor group, as a layer of {} cannot be cut into more slices, but "
        "got {}; name fewer or use --mode pipeline",
        plural(work.shards_max(), "machine"), work.shape.name, candidates.size());
  std::vector<const Candidate*> machines;
  for (const Candidate& candidate : candidates) machines.push_back(&candidate);
  auto stage = describe_group(machines, parts_by_speed(machines, work), {0, work.layer_count()}, true, work);
  for (std::size_t i = 0; i < machines.size(); ++i)
    if (const PlannedMember& member = stage.members[i]; member.need.total() > machines[i]->usable_bytes)
      return fail(
          Code::no_memory,
          "[planner] {} needs {} for {:.0f} % of every layer but offers {}; offer more with --memory, ask for a "
          "smaller --context, or use --mode pipeline",
          member.node_name, in_gib(member.need.total() + memory_reserve_bytes), 100 * member.share,
          in_gib(member.offered_bytes));
  return stage;
}

// Nobody named them: who cannot hold a part does not keep the others from it, the one with the least room goes first.
Result<PlannedStage> plan_group_with_room(std::vector<Candidate> candidates, const Workload& work) {
  auto stage = plan_group(candidates, work);
  while (!stage && candidates.size() > 2) {
    candidates.erase(std::ranges::min_element(candidates, {}, &Candidate::usable_bytes));
    if (auto smaller = plan_group(candidates, work)) stage = std::move(smaller);
  }
  return stage;
}

// --- Planning by time ---
// By time, where machines measured themselves: the stages, and why each of the others stays out.
struct TimedStages {
  std::vector<PlannedStage> stages;
  FoundPlan figures;
  std::vector<double> step_seconds;
  std::vector<std::pair<NodeId, std::string>> reasons;
  std::vector<std::string> notes;
};

TimedStages describe(const TimedFleet& fleet, const TimedPlan& plan, const std::vector<Candidate>& candidates,
                     const Workload& work) {
  TimedStages described{.stages = {},
                        .figures = plan.figures,
                        .step_seconds = fleet.step_seconds(plan),
                        .reasons = {},
                        .notes = fleet.notes(plan)};
  std::vector<std::size_t> used;
  for (std::size_t at = 0; at < plan.units.size(); ++at) {
    const PlannedUnit& unit = plan.units[at];
    std::vector<const Candidate*> machines;
    for (const auto member : unit.members) machines.push_back(&candidates[member]);
    auto stage = machines.size() > 1 ? describe_group(machines, unit.parts, plan.ranges[at], at == 0, work)
                                     : describe_stage(*machines.front(), plan.ranges[at], at == 0, work);
    stage.token_seconds = fleet.stage_token_seconds(plan, at);
    described.stages.push_back(std::move(stage));
    used.insert(used.end(), unit.members.begin(), unit.members.end());
  }
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (!std::ranges::contains(used, i))
      described.reasons.emplace_back(candidates[i].member->info.id, fleet.why_left_out(plan, i));
  return described;
}

std::optional<TimedStages> divide_by_time(const std::vector<Candidate>& candidates, const Workload& work,
                                          const PlanWishes& wishes) {
  if (candidates.empty() || !wishes.layers.empty()) return std::nullopt;
  TimedFleet fleet(candidates, work, wishes);
  if (wishes.nodes.empty()) {
    const auto plan = fleet.choose();
    return plan ? std::optional(describe(fleet, *plan, candidates, work)) : std::nullopt;
  }
  // Who names machines names their order in a ring; a group is asked for by its mode.
  const auto plan = wishes.mode == PlanMode::tensor ? fleet.together() : fleet.in_order();
  return plan ? std::optional(describe(fleet, *plan, candidates, work)) : std::nullopt;
}

std::optional<TimedStages> plan_by_time(const std::vector<Candidate>& candidates, const Workload& work,
                                        PlanWishes wishes) {
  if (wishes.by_memory) return std::nullopt;
  wishes.use = use_within(wishes.use, work.context_tokens);
  std::vector<Candidate> measured;
  for (const auto& candidate : candidates)
    if (is_measured(candidate.member->info.rates)) measured.push_back(candidate);
  if (!wishes.nodes.empty() && measured.size() < candidates.size()) return std::nullopt;
  if (wishes.head && std::ranges::none_of(measured, [&](const Candidate& candidate) {
        return candidate.member->info.id == *wishes.head;
      }))
    return std::nullopt;
  return divide_by_time(measured, work, wishes);
}

// What a division by memory will take, where its machines measured themselves.
void add_figures(Plan& plan, const std::vector<Candidate>& candidates, const Division& division, const Workload& work,
                 PlanWishes wishes) {
  std::vector<Candidate> used;
  std::vector<PlannedUnit> ring;
  for (const auto index : division.ring) {
    const Member& member = *candidates[index].member;
    if (!is_measured(member.info.rates)) return;
    ring.push_back({.members = {used.size()}, .parts = {alone_on(member, work)}});
    used.push_back(candidates[index]);
  }
  wishes.use = use_within(wishes.use, work.context_tokens);
  TimedFleet fleet(used, work, wishes);
  const auto timed = fleet.as_divided(ring, division.ranges);
  plan.token_seconds = timed.figures.token_seconds;
  plan.prompt_seconds = timed.figures.prompt_seconds;
  plan.prompt_tokens = wishes.use.prompt_tokens;
  plan.step_seconds = fleet.step_seconds(timed);
  for (std::size_t at = 0; at < ring.size(); ++at) plan.stages[at].token_seconds = fleet.stage_token_seconds(timed, at);
}

// Why a plan was made by memory alone.
std::string note_on_memory(const std::vector<Candidate>& candidates, const PlanWishes& wishes) {
  const auto unmeasured = [](const Candidate& candidate) { return !is_measured(candidate.member->info.rates); };
  std::vector<Candidate> waiting;
  std::ranges::copy_if(candidates, std::back_inserter(waiting), unmeasured);
  if (waiting.empty() && !wishes.layers.empty()) return "";
  if (waiting.empty())
    return "planned by memory alone: by speed, unlike layers leave no division that fits wherever a stage begins";
  return std::format("planned by memory alone: {} {} not measured {} yet",
                     joined(waiting, " and ", [](const Candidate& candidate) { return candidate.name(); }),
                     waiting.size() > 1 ? "have" : "has", waiting.size() > 1 ? "themselves" : "itself");
}

bool holds_part(const Plan& plan, const NodeId& node) {
  return std::ranges::any_of(plan.stages, [&](const PlannedStage& stage) {
    return std::ranges::contains(stage.members, node, &PlannedMember::node);
  });
}

std::uint64_t smallest_layer_bytes(const Workload& work) {
  std::uint64_t smallest = UINT64_MAX;
  for (std::uint32_t layer = 0; layer < work.layer_count(); ++layer)
    smallest = std::min(smallest, work.need({layer, layer + 1}, false).total());
  return smallest;
}

bool fits_a_layer(const Member& member, const Workload& work) {
  return member.info.memory_free_bytes >= smallest_layer_bytes(work) + memory_reserve_bytes;
}

std::string why_left_out(const Member& member, const std::vector<PlannedStage>& stages, const Workload& work,
                         bool was_wished) {
  if (!may_compute(member)) return why_not_usable(member);
  if (was_wished) return "not among the machines asked for";
  if (!fits_a_layer(member, work))
    return std::format("offers {}, less than the smallest layer plus the reserve of {} need ({})",
                       format_bytes(member.info.memory_free_bytes), format_bytes(memory_reserve_bytes),
                       format_bytes(smallest_layer_bytes(work) + memory_reserve_bytes));
  std::vector<std::string> holders;
  for (const PlannedStage& stage : stages)
    for (const PlannedMember& holder : stage.members) holders.push_back(holder.node_name);
  if (holders.size() == 1)
    return std::format("{} alone holds the whole model; more machines would only add hops", holders.front());
  return std::format("{} hold the whole model; more machines would only add hops",
                     joined(holders, " and ", [](const std::string& name) { return name; }));
}

std::string summarize(const Plan& plan, const Workload& work) {
  std::uint64_t bytes = 0;
  for (const auto& stage : plan.stages) bytes += stage.need().total();
  std::size_t machines = 0;
  for (const auto& stage : plan.stages) machines += stage.members.size();
  const auto who = joined(plan.stages, ", ", [](const PlannedStage& stage) {
    const auto names = joined(stage.members, " + ", [](const PlannedMember& member) { return member.node_name; });
    return std::format("{} ({})", names, plural(stage.layers.count(), "layer"));
  });
  return std::format("{} runs on {} with {} for {} x {} tokens: {}", work.shape.name, plural(machines, "machine"),
                     format_bytes(bytes), plan.sequences, plan.context_tokens, who);
}

}  // namespace

StageNeed PlannedStage::need() const {
  StageNeed all;
  for (const PlannedMember& member : members) {
    all.weights += member.need.weights;
    all.kv += member.need.kv;
    all.compute += member.need.compute;
  }
  return all;
}

std::uint64_t PlannedStage::offered_bytes() const {
  std::uint64_t all = 0;
  for (const PlannedMember& member : members) all += member.offered_bytes;
  return all;
}

std::string on_battery(const NodeInfo& info) {
  return info.battery_percent > 0 ? std::format("runs on battery at {} %", info.battery_percent) : "runs on battery";
}

Result<Plan> plan(const ClusterView& view, const ModelShape& shape, const PlanWishes& wishes) {
  if (shape.embeds) return plan_copies(view, shape, wishes);
  FLOTILLA_TRY(const auto work, workload_of(shape, wishes));
  FLOTILLA_TRY_STATUS(check_wishes(wishes, view, work));
  FLOTILLA_TRY(auto members, wished_members(view, wishes));
  const bool was_wished = !members.empty();
  if (!was_wished) {
    for (const auto& member : view.members)
      if (may_compute(member)) members.push_back(&member);
  }
  std::vector<Candidate> candidates;
  for (const auto* member : members) candidates.push_back(make_candidate(*member, work, wishes.fingerprint));
  Plan plan{.context_tokens = work.context_tokens, .sequences = work.sequences};
  const auto timed = plan_by_time(candidates, work, wishes);
  if (timed) {
    plan.stages = timed->stages;
    plan.notes = timed->notes;
    plan.token_seconds = timed->figures.token_seconds;
    plan.prompt_seconds = timed->figures.prompt_seconds;
    plan.prompt_tokens = use_within(wishes.use, work.context_tokens).prompt_tokens;
    plan.step_seconds = timed->step_seconds;
  } else if (wishes.mode == PlanMode::tensor && candidates.size() > 1) {
    FLOTILLA_TRY(auto stage, was_wished ? plan_group(candidates, work) : plan_group_with_room(candidates, work));
    plan.stages.push_back(std::move(stage));
  } else {
    FLOTILLA_TRY(const auto division,
                 was_wished ? divide_as_wished(candidates, work, wishes) : divide_freely(candidates, work, wishes));
    for (std::size_t i = 0; i < division.ring.size(); ++i)
      plan.stages.push_back(describe_stage(candidates[division.ring[i]], division.ranges[i], i == 0, work));
    add_figures(plan, candidates, division, work, wishes);
  }
  if (const auto note = timed || wishes.by_memory ? std::string() : note_on_memory(candidates, wishes); !note.empty())
    plan.notes.push_back(note);
  for (const auto& member : view.members) {
    if (holds_part(plan, member.info.id)) continue;
    auto reason = why_left_out(member, plan.stages, work, was_wished);
    if (timed && may_compute(member) && !was_wished) {
      const auto by_time = std::ranges::find(timed->reasons, member.info.id, &std::pair<NodeId, std::string>::first);
      if (by_time == timed->reasons.end())
        reason = "has not measured itself yet; planned without it";
      else if (fits_a_layer(member, work))
        reason = by_time->second;
    }
    if (may_compute(member) && member.info.on_battery) reason.insert(0, on_battery(member.info) + "; ");
    plan.left_out.push_back({.node_name = member.info.name, .reason = std::move(reason)});
  }
  plan.summary = summarize(plan, work);
  return plan;
}

}  // namespace flotilla
