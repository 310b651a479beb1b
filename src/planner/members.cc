#include "planner/members.h"

#include <algorithm>
#include <format>

#include "base/units.h"

namespace flotilla {
namespace {

std::string names_of(const ClusterView& view) {
  std::vector<const Member*> here;
  for (const auto& member : view.members)
    if (member.state != MemberState::seen) here.push_back(&member);
  return joined(here, ", ", [](const Member* member) { return member->info.name; });
}

}  // namespace

bool may_compute(const Member& member) {
  return member.state == MemberState::self || member.state == MemberState::joined;
}

std::string why_not_usable(const Member& member) {
  if (member.state == MemberState::seen) return "seen, but not joined: " + member.reason;
  return "has been silent for some seconds; planned again once it answers";
}

Result<std::vector<const Member*>> wished_members(const ClusterView& view, const PlanWishes& wishes) {
  std::vector<const Member*> members;
  for (const auto& name : wishes.nodes) {
    const auto* member = view.find(name);
    if (member == nullptr)
      return fail(Code::not_found,
                  "[planner] expected a machine called {} but there are only: {}; check --nodes or `flotilla nodes`",
                  name, names_of(view));
    if (!may_compute(*member))
      return fail(Code::unavailable, "[planner] expected to use {} but it is {}", name, why_not_usable(*member));
    if (std::ranges::contains(members, member))
      return fail(Code::invalid_argument, "[planner] expected each machine once in --nodes but got {} twice", name);
    members.push_back(member);
  }
  return members;
}

std::string in_gib(std::uint64_t bytes) {
  const double value = static_cast<double>(bytes) / static_cast<double>(gib);
  return std::format("{:.{}f} GiB", value, value >= 99.5 ? 0 : value >= 0.95 ? 1 : value >= 0.095 ? 2 : 3);
}

}  // namespace flotilla
