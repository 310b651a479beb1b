#include "planner/link_table.h"

#include <algorithm>
#include <optional>

namespace flotilla {
namespace {

std::optional<LinkCost> measured_by(const Member& from, const NodeId& to) {
  for (const LinkRate& link : from.info.links)
    if (link.peer == to && link.bytes_per_second > 0) return LinkCost{link.latency_seconds, link.bytes_per_second};
  return std::nullopt;
}

// By the interface most of its links use; Linux names wireless ones wl….
std::string name_of_links(const Member& machine) {
  std::size_t wireless = 0;
  for (const LinkRate& link : machine.info.links)
    wireless += link.interface.starts_with("wl") || link.interface.starts_with("Wi-Fi");
  return wireless * 2 > machine.info.links.size() ? "Wi-Fi" : "link";
}

LinkCost access_of(const std::vector<LinkCost>& known) {
  if (known.empty()) return {assumed_link.latency_seconds / 2, assumed_link.bytes_per_second};
  const auto nearest = std::ranges::min(known, {}, &LinkCost::latency_seconds);
  return {nearest.latency_seconds / 2, nearest.bytes_per_second};
}

}  // namespace

LinkTable::LinkTable(const std::vector<const Member*>& machines)
    : costs_(machines.size(), std::vector<LinkCost>(machines.size())),
      measured_(machines.size(), std::vector<bool>(machines.size())) {
  std::vector<std::vector<LinkCost>> known(machines.size());
  for (std::size_t from = 0; from < machines.size(); ++from) {
    names_.push_back(name_of_links(*machines[from]));
    for (std::size_t to = 0; to < machines.size(); ++to) {
      if (from == to) continue;
      auto link = measured_by(*machines[from], machines[to]->info.id);
      if (!link) link = measured_by(*machines[to], machines[from]->info.id);
      if (!link) continue;
      measured_[from][to] = true;
      costs_[from][to] = *link;
      known[from].push_back(*link);
    }
  }
  for (std::size_t from = 0; from < machines.size(); ++from)
    for (std::size_t to = 0; to < machines.size(); ++to) {
      if (from == to || measured_[from][to]) continue;
      const LinkCost here = access_of(known[from]), there = access_of(known[to]);
      costs_[from][to] = {here.latency_seconds + there.latency_seconds,
                          std::min(here.bytes_per_second, there.bytes_per_second)};
    }
}

LinkCost LinkTable::worst(const std::vector<std::size_t>& machines) const {
  LinkCost worst{.latency_seconds = 0, .bytes_per_second = 1e15};
  for (const auto from : machines)
    for (const auto to : machines) {
      if (from == to) continue;
      worst.latency_seconds = std::max(worst.latency_seconds, costs_[from][to].latency_seconds);
      worst.bytes_per_second = std::min(worst.bytes_per_second, costs_[from][to].bytes_per_second);
    }
  return worst;
}

}  // namespace flotilla
