#include "planner/copies.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <functional>
#include <limits>
#include <utility>

#include "base/limits.h"
#include "base/units.h"
#include "planner/capacity.h"
#include "planner/cost.h"
#include "planner/members.h"

namespace flotilla {
namespace {

// Times as long as the quickest: a batch that waits for a slower copy keeps its request waiting.
constexpr double slowdown_max = 4;
constexpr double alike = 1.03;  // times as long: within this, who has the file is the quicker

Status check_wishes(const ModelShape& shape, const PlanWishes& wishes, const Member* first) {
  if (!wishes.layers.empty() || wishes.mode != PlanMode::automatic)
    return fail(
        Code::invalid_argument,
        "[planner] expected no --layers and no --mode for {}, which makes vectors of texts: every machine holds "
        "all of it; name machines with --nodes for a copy on each",
        shape.name);
  if (wishes.sequences > 1)
    return fail(Code::invalid_argument,
                "[planner] expected no number of sequences for {}, which keeps nothing of a text, but got {}",
                shape.name, wishes.sequences);
  if (wishes.head && !wishes.nodes.empty() && (first == nullptr || first->info.id != *wishes.head))
    return fail(Code::invalid_argument,
                "[planner] expected the machine asked to be the first of those named but got {}", wishes.nodes.front());
  if (wishes.context_tokens <= shape.context_length) return {};
  return fail(Code::invalid_argument, "[planner] expected a context of at most {} tokens, which {} has, but got {}",
              shape.context_length, shape.name, wishes.context_tokens);
}

// Of a step; more than any where the machine has not measured itself.
double step_seconds(const Member& member, const ModelShape& shape) {
  const MachineRates& rates = member.info.rates;
  if (!is_measured(rates)) return std::numeric_limits<double>::infinity();
  const ModelCost cost(shape, ExpectedUse{.prompt_tokens = 0, .answer_tokens = 0}, Overheads{});
  return static_cast<double>(shape.layers.size()) * cost.layer_seconds(rates, limits::step_rows_max, 0);
}

struct Holder {
  Candidate candidate;
  double seconds = 0;
  double rank() const { return candidate.has_file ? seconds / alike : seconds; }
  std::uint64_t free_bytes() const { return candidate.member->info.memory_free_bytes; }
};

bool fits(const Holder& holder, const StageNeed& need) { return need.total() <= holder.candidate.usable_bytes; }

PlannedStage stage_on(const Holder& holder, const Workload& work, const StageNeed& need) {
  const NodeInfo& info = holder.candidate.member->info;
  return {.node = info.id,
          .node_name = info.name,
          .layers = {0, work.layer_count()},
          .is_head = true,
          .reason = std::format("holds all {} layers: {} of weights, {} to compute", work.layer_count(),
                                format_bytes(need.weights), format_bytes(need.compute)),
          .members = {{.node = info.id,
                       .node_name = info.name,
                       .share = 1,
                       .shards = 1,
                       .need = need,
                       .offered_bytes = info.memory_free_bytes}}};
}

std::unexpected<Error> too_large(const std::vector<Holder>& holders, const ModelShape& shape, const StageNeed& need) {
  return fail(Code::no_memory,
              "[planner] {} needs {} on one machine and {} more for its process but {}; offer more with --memory",
              shape.name, in_gib(need.total()), in_gib(memory_reserve_bytes),
              joined(holders, ", ", [](const Holder& holder) {
                return std::format("{} offers {}", holder.candidate.name(), in_gib(holder.free_bytes()));
              }));
}

// Empty where it is worth a copy beside the first.
std::string why_no_copy(const Holder& holder, const Holder& first, const StageNeed& need) {
  if (!fits(holder, need))
    return std::format("offers {}, less than {} and the reserve of {}", format_bytes(holder.free_bytes()),
                       format_bytes(need.total()), format_bytes(memory_reserve_bytes));
  if (holder.candidate.member->info.on_battery) return on_battery(holder.candidate.member->info);
  if (std::isinf(holder.seconds) && !std::isinf(first.seconds)) return "has not measured itself yet";
  if (holder.seconds > slowdown_max * first.seconds)
    return std::format("takes {:.1f} times as long as {}", holder.seconds / first.seconds, first.candidate.name());
  return {};
}

std::string summarize(const Plan& plan, const ModelShape& shape) {
  std::string copies;
  if (!plan.copies.empty())
    copies = "; copies on " + joined(plan.copies, ", ", [](const PlannedStage& stage) { return stage.node_name; });
  return std::format("{} makes vectors of texts of up to {} tokens on {} with {}{}", shape.name, plan.context_tokens,
                     plan.stages.front().node_name, format_bytes(plan.stages.front().need().total()), copies);
}

}  // namespace

Result<Plan> plan_copies(const ClusterView& view, const ModelShape& shape, const PlanWishes& wishes) {
  FLOTILLA_TRY(auto members, wished_members(view, wishes));
  FLOTILLA_TRY_STATUS(check_wishes(shape, wishes, members.empty() ? nullptr : members.front()));
  const bool was_wished = !members.empty();
  if (!was_wished)
    for (const Member& member : view.members)
      if (may_compute(member) && (!wishes.head || member.info.id == *wishes.head)) members.push_back(&member);
  const std::uint32_t context = wishes.context_tokens > 0 ? wishes.context_tokens : shape.context_length;
  const Workload work{.shape = shape, .context_tokens = context, .sequences = 1};
  const StageNeed need = work.need({0, work.layer_count()}, true);
  std::vector<Holder> holders;
  for (const Member* member : members)
    holders.push_back({make_candidate(*member, work, wishes.fingerprint), step_seconds(*member, shape)});
  if (!was_wished) {
    // Of those that have not measured themselves, the one with most to spare.
    std::ranges::stable_sort(holders, std::greater{}, &Holder::free_bytes);
    std::ranges::stable_sort(holders, {},
                             [&](const Holder& holder) { return std::pair(!fits(holder, need), holder.rank()); });
  }
  const auto lacking = std::ranges::find_if(holders, [&](const Holder& holder) { return !fits(holder, need); });
  if (holders.empty() || lacking == holders.begin() || (was_wished && lacking != holders.end()))
    return too_large(holders, shape, need);
  Plan plan{.context_tokens = context, .sequences = 1, .summary = {}, .embeds = true};
  for (const Holder& holder : holders) {
    const std::string why_not = was_wished || plan.stages.empty() ? "" : why_no_copy(holder, holders.front(), need);
    if (!why_not.empty())
      plan.left_out.push_back({holder.candidate.name(), why_not});
    else
      (plan.stages.empty() ? plan.stages : plan.copies).push_back(stage_on(holder, work, need));
  }
  for (const Member& member : view.members)
    if (std::ranges::none_of(members, [&](const Member* each) { return each == &member; }))
      plan.left_out.push_back(
          {member.info.name, may_compute(member) ? "not among the machines asked for" : why_not_usable(member)});
  plan.summary = summarize(plan, shape);
  return plan;
}

}  // namespace flotilla
