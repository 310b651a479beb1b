#include "app/standby.h"

#include <algorithm>
#include <tuple>

#include "app/fleet.h"

namespace flotilla {
namespace {

bool is_here(const Member& member) { return member.state != MemberState::seen; }

const ModelInfo* whole_file(const Member& member, const std::string& fingerprint) {
  const auto found = std::ranges::find_if(
      member.info.models, [&](const ModelInfo& model) { return model.complete && model.fingerprint == fingerprint; });
  return found == member.info.models.end() ? nullptr : &*found;
}

bool copies(const Member& member, const std::string& fingerprint) {
  return std::ranges::contains(member.info.standbys, fingerprint, &StandbyCopy::fingerprint);
}

// Where one machine alone has the placement's file: which, and its size.
std::optional<StandbyWish> wish_of(const ClusterView& view, const Placement& placement) {
  std::optional<StandbyWish> wish;
  for (const Member& member : view.members) {
    const ModelInfo* file = is_here(member) ? whole_file(member, placement.fingerprint) : nullptr;
    if (!file) continue;
    if (wish) return {};
    wish = StandbyWish{placement.model, placement.fingerprint, file->file_bytes, member.info.id};
  }
  return wish;
}

const Member* keeper_of(const ClusterView& view, const Placement& placement, const StandbyWish& wish) {
  const auto rank = [&](const Member& member) {
    return std::tuple(copies(member, wish.fingerprint), holds_part(placement, member.info.id),
                      member.info.standby_bytes, member.info.id);
  };
  const Member* best = nullptr;
  for (const Member& member : view.members) {
    const bool has_room = member.info.standby_bytes >= wish.file_bytes || copies(member, wish.fingerprint);
    if (!is_here(member) || member.info.id == wish.source || !has_room) continue;
    if (!best || rank(member) > rank(*best)) best = &member;
  }
  return best;
}

}  // namespace

std::optional<StandbyWish> standby_wish(const ClusterView& view, const NodeId& self) {
  for (const Member& member : view.members) {
    for (const Placement& placement : member.info.placements) {
      if (!is_here(member) || placement.state != PlacementState::ready) continue;
      const auto wish = wish_of(view, placement);
      const Member* keeper = wish ? keeper_of(view, placement, *wish) : nullptr;
      if (keeper && keeper->info.id == self) return wish;
    }
  }
  return {};
}

}  // namespace flotilla
