// Decides which link is measured when: soon after a machine joined, again when an address of it turns up or an
// interface here comes or goes, and else seldom. Step functions: time is handed in; no clock, no socket. In: who is
// joined and where, how measurements ended.  Out: whom to measure now, one at a time. Thread: the loop's.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "base/ids.h"
#include "cluster/address.h"
#include "cluster/instant.h"

namespace flotilla {

class LinkSchedule {
 public:
  static constexpr auto settle_time = std::chrono::milliseconds(500);  // several addresses turn up at once
  // Doubled each time, and up to as much again at random, so that two that met do not meet again.
  static constexpr auto busy_pause_first = std::chrono::milliseconds(500),
                        busy_pause_max = std::chrono::milliseconds(4'000);
  static constexpr auto failed_pause_first = std::chrono::seconds(5), failed_pause_max = std::chrono::seconds(300);
  static constexpr auto again_after = std::chrono::minutes(10);

  explicit LinkSchedule(std::uint64_t jitter_seed) : jitter_(jitter_seed) {}

  // Joined, and all addresses it is known by, in any order.
  void see(const NodeId& peer, std::vector<PeerAddress> addresses, Instant now);
  void forget(const NodeId& peer);
  void measure_all(Instant now);  // an interface here changed

  // Whose links to measure now; nothing is due until one of the next three is called.
  std::optional<NodeId> take_due(Instant now);
  void on_measured(Instant now);
  void on_busy(Instant now);    // there or here: soon again, then later and later
  void on_failed(Instant now);  // no address worked, or one did not, as while its interface still tries it out
  bool is_measuring() const { return measuring_.has_value(); }

 private:
  struct Peer {
    std::vector<PeerAddress> addresses;
    Instant due;
    std::chrono::seconds pause{};            // after a failure
    std::chrono::milliseconds busy_pause{};  // after a refusal
  };
  Instant::duration jitter(Instant::duration most);
  Peer* end_measurement();

  std::mt19937_64 jitter_;
  std::map<NodeId, Peer> peers_;
  std::optional<NodeId> measuring_;
};

}  // namespace flotilla
