#include "cluster/link_schedule.h"

#include <algorithm>
#include <utility>

namespace flotilla {

void LinkSchedule::see(const NodeId& peer, std::vector<PeerAddress> addresses, Instant now) {
  std::ranges::sort(addresses);
  const auto [found, is_new] = peers_.try_emplace(peer);
  Peer& known = found->second;
  if (!is_new && known.addresses == addresses) return;
  // One that is no longer heard of changes nothing unless it was chosen, and then the link says so.
  const bool has_more = is_new || !std::ranges::includes(known.addresses, addresses);
  known.addresses = std::move(addresses);
  if (!has_more) return;
  const Instant soon = now + settle_time + jitter(settle_time);
  known.due = is_new ? soon : std::min(known.due, soon);
  known.pause = {};
}

void LinkSchedule::forget(const NodeId& peer) { peers_.erase(peer); }

void LinkSchedule::measure_all(Instant now) {
  for (auto& [peer, known] : peers_) known.due = std::min(known.due, now + settle_time + jitter(settle_time));
}

std::optional<NodeId> LinkSchedule::take_due(Instant now) {
  if (measuring_ || peers_.empty()) return std::nullopt;
  const auto first = std::ranges::min_element(peers_, {}, [](const auto& entry) { return entry.second.due; });
  if (first->second.due > now) return std::nullopt;
  // Until it ended, so that a change meanwhile brings the date forward again.
  first->second.due = now + again_after;
  measuring_ = first->first;
  return measuring_;
}

void LinkSchedule::on_measured(Instant now) {
  Peer* peer = end_measurement();
  if (!peer) return;
  peer->pause = {};
  peer->due = std::min(peer->due, now + again_after + jitter(again_after / 4));
}

void LinkSchedule::on_busy(Instant now) {
  if (Peer* peer = end_measurement()) peer->due = std::min(peer->due, now + busy_pause + jitter(busy_pause));
}

void LinkSchedule::on_failed(Instant now) {
  Peer* peer = end_measurement();
  if (!peer) return;
  peer->pause = std::clamp<std::chrono::seconds>(peer->pause * 2, failed_pause_first, failed_pause_max);
  peer->due = std::min<Instant>(peer->due, now + peer->pause + jitter(peer->pause / 2));
}

LinkSchedule::Peer* LinkSchedule::end_measurement() {
  const auto peer = std::exchange(measuring_, std::nullopt);
  const auto found = peer ? peers_.find(*peer) : peers_.end();
  return found == peers_.end() ? nullptr : &found->second;
}

Instant::duration LinkSchedule::jitter(Instant::duration most) {
  std::uniform_int_distribution<Instant::duration::rep> ticks(0, most.count());
  return Instant::duration(ticks(jitter_));
}

}  // namespace flotilla
