#include "planner/what_if.h"

#include <algorithm>
#include <format>

#include "base/words.h"

namespace flotilla {
namespace {

std::string holders(const Plan& plan) {
  std::string text;
  for (const PlannedStage& stage : plan.stages) {
    std::string names;
    for (const PlannedMember& member : stage.members) names += (names.empty() ? "" : " + ") + member.node_name;
    text += std::format("{}{} ({} layer{})", text.empty() ? "" : ", ", names, stage.layers.count(),
                        stage.layers.count() == 1 ? "" : "s");
  }
  return text;
}

WhatIfLine line_of(std::string what, const ImaginedFleet& fleet, const Result<Plan>& plan) {
  WhatIfLine line{.what = std::move(what), .who = {}};
  if (!plan) {
    line.who = without_room(plan.error().message);
    return line;
  }
  line.is_possible = true;
  line.who = holders(*plan);
  line.token_seconds = plan->token_seconds;
  line.prompt_seconds = plan->prompt_seconds;
  for (const ImaginedMachine& machine : counted(fleet.machines))
    for (const PlannedStage& stage : plan->stages)
      if (std::ranges::contains(stage.members, machine.name, &PlannedMember::node_name)) {
        ++line.machines;
        line.price += machine.price;
        line.watts += machine.watts;
      }
  return line;
}

ImaginedFleet alone(const ImaginedMachine& machine) {
  ImaginedFleet fleet;
  fleet.machines = {machine};
  fleet.machines.front().count = 1;
  return fleet;
}

}  // namespace

Result<WhatIf> what_if(const ImaginedFleet& fleet, const ModelShape& shape, const PlanWishes& wishes) {
  const auto view = imagine(fleet, shape);
  WhatIf answer;
  const auto refused = [](const Result<Plan>& plan) { return !plan && plan.error().code != Code::no_memory; };

  PlanWishes ours = wishes;
  ours.overheads = our_overheads(shape);
  const auto plan = flotilla::plan(view, shape, ours);
  if (refused(plan)) return fail(plan.error());

  if (view.members.size() > 1) {
    PlanWishes plain = ours;
    plain.mode = PlanMode::pipeline;
    plain.by_memory = true;
    plain.overheads = plain_overheads(fleet, shape);
    plain.layers.clear();
    if (plain.nodes.empty())
      for (const Member& member : view.members) plain.nodes.push_back(member.info.name);
    answer.lines.push_back(line_of("plain pipeline over all", fleet, flotilla::plan(view, shape, plain)));
  }
  answer.lines.push_back(line_of("our plan", fleet, plan));
  PlanWishes single = ours;
  single.nodes.clear();
  single.layers.clear();
  single.mode = PlanMode::pipeline;
  const auto add_alone = [&](const ImaginedMachine& machine, const std::string& what) {
    const auto of_one = alone(machine);
    answer.lines.push_back(line_of(what, of_one, flotilla::plan(imagine(of_one, shape), shape, single)));
  };
  for (const ImaginedMachine& machine : fleet.machines) add_alone(machine, machine.name + " alone");
  for (const ImaginedMachine& machine : fleet.instead) add_alone(machine, "instead: one " + machine.name);
  if (plan) {
    answer.plan = *plan;
    answer.prompt_tokens = plan->prompt_tokens;
  }
  return answer;
}

}  // namespace flotilla
