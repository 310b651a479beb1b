#include "sim/referee.h"

namespace flotilla::sim {

void Referee::on_stage_held(const Stage& stage, std::size_t machine) {
  auto& holders = holders_[stage];
  ++holders[machine];
  const auto& [placement, epoch, index] = stage;
  if (holders.size() > 1 || holders[machine] > 1)
    blame(one_writer, "stage {} of placement {:x} is held twice in epoch {}.{}", index, placement.value,
          epoch.incarnation, epoch.counter);
}

void Referee::on_stage_gone(const Stage& stage, std::size_t machine) {
  auto& holders = holders_[stage];
  if (--holders[machine] <= 0) holders.erase(machine);
  if (holders.empty()) holders_.erase(stage);
}

std::size_t Referee::stages_held() const { return holders_.size(); }

void Referee::on_epoch(PlacementId placement, Epoch epoch, std::size_t machine) {
  epochs_.emplace(placement, epoch);
  const auto [issued, is_new] = issued_.try_emplace(epoch, placement, machine);
  if (!is_new && issued->second != std::pair(placement, machine))
    blame(one_writer, "epoch {}.{} is of placement {:x} of m{} and of {:x} of m{}", epoch.incarnation, epoch.counter,
          issued->second.first.value, issued->second.second, placement.value, machine);
}

std::optional<Epoch> Referee::epoch_of(PlacementId placement) const {
  const auto found = epochs_.find(placement);
  return found == epochs_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace flotilla::sim
