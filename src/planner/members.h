// Inside planner only: which machines may be asked, and how they are called in sentences.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/view.h"
#include "planner/planner.h"

namespace flotilla {

bool may_compute(const Member& member);
std::string why_not_usable(const Member& member);

// Those that the wishes name, in their order. not_found, unavailable, and invalid_argument for one that is named twice.
Result<std::vector<const Member*>> wished_members(const ClusterView& view, const PlanWishes& wishes);

std::string in_gib(std::uint64_t bytes);  // so that machines and what is missing compare at a glance

template <class Items, class Name>
std::string joined(const Items& items, std::string_view separator, Name name) {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "" : std::string(separator)) + name(item);
  return text;
}

}  // namespace flotilla
