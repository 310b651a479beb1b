#include "planner/imagined_fleet.h"

#include <algorithm>
#include <format>
#include <set>

#include "base/units.h"
#include "model/described_model.h"

namespace flotilla {
namespace {

std::set<std::string> types_of(const ModelShape& shape) {
  std::set<std::string> types{shape.output_matrix.type};
  for (const LayerShape& layer : shape.layers) {
    for (const TypedBytes& part : layer.matrices) types.insert(part.type);
    for (const TypedBytes& part : layer.experts) types.insert(part.type);
  }
  return types;
}

// As long as reading the weights takes, or multiplying and adding each once a row, whichever is longer.
KernelRate rate_of(const ImaginedMachine& machine, const std::string& type) {
  KernelRate rate{.type = type, .seconds_per_gib = {}};
  const double reading = static_cast<double>(gib) / (machine.bytes_per_second * machine.bandwidth_fraction);
  const double weights = static_cast<double>(gib) * 8 / bits_per_weight(type);
  for (const auto rows : kernel_rows) {
    const double computing = machine.flops > 0 ? 2 * weights * rows / (machine.flops * compute_fraction) : 0;
    rate.seconds_per_gib.push_back(std::max(reading, computing));
  }
  return rate;
}

const ImaginedLink& link_between(const ImaginedFleet& fleet, const std::string& from, const std::string& to) {
  for (const LinkBetween& pair : fleet.links)
    if ((pair.from == from && pair.to == to) || (pair.from == to && pair.to == from)) return pair.link;
  return fleet.link;
}

}  // namespace

std::vector<ImaginedMachine> counted(const std::vector<ImaginedMachine>& machines) {
  std::vector<ImaginedMachine> each;
  for (const ImaginedMachine& machine : machines)
    for (std::uint32_t number = 1; number <= machine.count; ++number) {
      each.push_back(machine);
      each.back().count = 1;
      if (machine.count > 1) each.back().name = std::format("{}-{}", machine.name, number);
    }
  return each;
}

ClusterView imagine(const ImaginedFleet& fleet, const ModelShape& shape) {
  ClusterView view;
  const auto types = types_of(shape);
  for (const ImaginedMachine& machine : counted(fleet.machines)) {
    Member member{.state = view.members.empty() ? MemberState::self : MemberState::joined};
    NodeInfo& info = member.info;
    info.id.bytes.back() = static_cast<std::uint8_t>(view.members.size() + 1);
    info.name = machine.name;
    info.memory_bytes = info.memory_free_bytes = machine.memory_bytes;
    for (const auto& type : types) info.rates.kernels.push_back(rate_of(machine, type));
    info.rates.memory_bytes_per_second = info.rates.attention_bytes_per_second =
        machine.bytes_per_second * machine.bandwidth_fraction;
    view.members.push_back(std::move(member));
  }
  for (Member& from : view.members)
    for (const Member& to : view.members) {
      if (from.info.id == to.info.id) continue;
      const ImaginedLink& link = link_between(fleet, from.info.name, to.info.name);
      from.info.links.push_back({to.info.id, link.cost.latency_seconds, link.cost.bytes_per_second, link.name});
    }
  return view;
}

Overheads our_overheads(const ModelShape& shape) {
  Overheads overheads;
  if (shape.experts > 0) overheads.whole_share = experts_whole_share;
  return overheads;
}

Overheads plain_overheads(const ImaginedFleet& fleet, const ModelShape& shape) {
  Overheads overheads = our_overheads(shape);
  const bool switched = fleet.link.through_switch || std::ranges::any_of(fleet.links, [](const LinkBetween& pair) {
                          return pair.link.through_switch;
                        });
  overheads.hop_seconds = switched ? plain_switch_hop_seconds : plain_cable_hop_seconds;
  return overheads;
}

}  // namespace flotilla
