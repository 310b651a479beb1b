#include "tried_placements.h"

#include <algorithm>
#include <cmath>
#include <format>

#include "pipeline/local_ring.h"

namespace flotilla {
namespace {

std::vector<std::string> names_in(const Plan& plan) {
  std::vector<std::string> names;
  for (const PlannedStage& stage : plan.stages) names.push_back(stage.node_name);
  return names;
}

std::vector<std::string> names_in(const ClusterView& view) {
  std::vector<std::string> names;
  for (const Member& member : view.members) names.push_back(member.info.name);
  return names;
}

std::vector<std::uint32_t> even_layers(const ModelShape& shape, std::size_t stages) {
  std::vector<std::uint32_t> counts;
  for (const LayerRange range :
       even_stages(static_cast<std::uint32_t>(shape.layers.size()), static_cast<std::uint32_t>(stages)))
    counts.push_back(range.count());
  return counts;
}

struct Rival {
  std::string way;
  std::vector<std::string> nodes;
  std::vector<std::uint32_t> layers;  // empty: divided by time
  bool by_memory = false;
};

std::vector<std::string> turned(std::vector<std::string> names) {
  if (!names.empty()) std::ranges::rotate(names, names.begin() + 1);
  return names;
}

std::vector<std::string> reversed(std::vector<std::string> names) {
  if (!names.empty()) std::reverse(names.begin() + 1, names.end());
  return names;
}

// Empty where all are used.
std::vector<std::string> with_quickest_left_out(const Plan& plan, const ClusterView& view) {
  auto names = names_in(plan);
  const auto rate = [](const Member& member) { return member.info.rates.memory_bytes_per_second; };
  const Member* quickest = nullptr;
  for (const Member& member : view.members)
    if (!std::ranges::contains(names, member.info.name) && (!quickest || rate(member) > rate(*quickest)))
      quickest = &member;
  if (!quickest) return {};
  names.push_back(quickest->info.name);
  return names;
}

// Of a plan's stages, who has the fewest layers is missed least.
std::vector<std::string> without_least(const Plan& plan) {
  auto names = names_in(plan);
  const auto least =
      std::ranges::min_element(plan.stages, {}, [](const PlannedStage& stage) { return stage.layers.count(); });
  names.erase(names.begin() + (least - plan.stages.begin()));
  return names;
}

std::vector<Rival> rivals_of(const Plan& chosen, const ClusterView& view, const ModelShape& shape) {
  const auto all = names_in(view), used = names_in(chosen);
  std::vector<Rival> rivals = {
      {"all, by memory", all, {}, true},
      {"even split", used, even_layers(shape, used.size())},
      {"one more", with_quickest_left_out(chosen, view), {}},
      {"one fewer", without_least(chosen), {}},
      {"next one as head", turned(used), {}},
      {"other way round", reversed(used), {}},
      {"all, by time", all, {}},
      {"all, even split", all, even_layers(shape, all.size())},
  };
  std::erase_if(rivals, [](const Rival& rival) { return rival.nodes.empty(); });
  return rivals;
}

// Of equal machines under other names, or the very same.
bool are_alike(const Plan& one, const Plan& other) {
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6 * b; };
  const auto count = [](const PlannedStage& stage) { return stage.layers.count(); };
  return std::ranges::equal(one.stages, other.stages, {}, count, count) &&
         near(one.token_seconds, other.token_seconds) && near(one.prompt_seconds, other.prompt_seconds);
}

}  // namespace

std::string who(const Plan& plan) {
  std::string text;
  for (const PlannedStage& stage : plan.stages)
    text += std::format("{}{} ({})", text.empty() ? "" : ", ", stage.node_name, stage.layers.count());
  return text;
}

Result<std::vector<TriedPlacement>> placements_to_try(const ClusterView& view, const ModelShape& shape,
                                                      const PlanWishes& wishes, std::size_t rivals_max) {
  PlanWishes free = wishes;
  free.mode = PlanMode::pipeline;
  FLOTILLA_TRY(auto chosen, plan(view, shape, free));
  const auto rivals = rivals_of(chosen, view, shape);
  std::vector<TriedPlacement> tried;
  tried.push_back({"chosen", std::move(chosen)});
  for (const Rival& rival : rivals) {
    if (tried.size() > rivals_max) break;
    PlanWishes asked = free;
    asked.nodes = rival.nodes;
    asked.layers = rival.layers;
    asked.by_memory = rival.by_memory;
    auto placed = plan(view, shape, asked);
    if (!placed) continue;
    if (std::ranges::any_of(tried, [&](const TriedPlacement& one) { return are_alike(one.plan, *placed); })) continue;
    tried.push_back({rival.way, *std::move(placed)});
  }
  return tried;
}

}  // namespace flotilla
