#include "cluster/hearsay.h"

#include <algorithm>

namespace flotilla {

std::vector<NodeId> Hearsay::whom_to_ask(const NodeId& silent, const std::vector<NodeId>& others, Instant now) {
  Silent& about = silent_[silent];
  if (about.asked && now - *about.asked < ask_interval) return {};
  about.asked = now;
  std::vector<NodeId> asked;
  for (std::size_t i = 0; i < std::min(asked_max, others.size()); ++i)
    asked.push_back(others[about.turn++ % others.size()]);
  return asked;
}

void Hearsay::on_answer(const Heard& answer, Instant now) {
  const auto found = silent_.find(answer.node);
  if (found == silent_.end() || !answer.is_joined || answer.silence_ms > 60'000) return;
  const Instant at = now - std::chrono::milliseconds(answer.silence_ms);
  auto& heard = found->second.heard_elsewhere;
  if (!heard || *heard < at) heard = at;
}

bool Hearsay::is_heard_elsewhere(const NodeId& silent, Instant now) const {
  const auto found = silent_.find(silent);
  return found != silent_.end() && found->second.heard_elsewhere && now - *found->second.heard_elsewhere <= counts_for;
}

bool Hearsay::is_time_to_dial(const NodeId& silent, Instant now) {
  auto& dialled = silent_[silent].dialled;
  if (dialled && now - *dialled < dial_interval) return false;
  dialled = now;
  return true;
}

}  // namespace flotilla
