#include "cluster/discovery.h"

#include <algorithm>

#include "wire/frame.h"

namespace flotilla {

using namespace std::chrono_literals;

Discovery::Discovery(Options options, Instant now) : options_(std::move(options)), jitter_(options_.jitter_seed) {
  announce(now);
}

void Discovery::announce(Instant now) {
  fast_until_ = now + limits::beacon_fast_period;
  beacon_due_ = now;
}

std::optional<BeaconBytes> Discovery::take_beacon(Instant now) {
  if (!options_.beacons || now < beacon_due_) return std::nullopt;
  // The second beacon follows soon, because the first often falls into the moment in which a switch or an ARP table
  // learns the way. Slow beacons are spread so that a fleet switched on together does not speak in chorus.
  Instant::duration pause = wave_ == 0 ? Instant::duration(250ms) : Instant::duration(limits::beacon_interval_fast);
  if (now >= fast_until_) {
    std::uniform_int_distribution<std::int64_t> milliseconds(0, 5000);
    pause = limits::beacon_interval_slow + std::chrono::milliseconds(milliseconds(jitter_));
  }
  beacon_due_ = now + pause;
  ++wave_;
  return encode_beacon({.version = protocol_version,
                        .nonce = options_.nonce,
                        .node = options_.node,
                        .wave = wave_,
                        .cluster_port = options_.cluster_port,
                        .name = options_.name});
}

BeaconBytes Discovery::answer() {
  return encode_beacon({.version = protocol_version,
                        .is_answer = true,
                        .nonce = options_.nonce,
                        .node = options_.node,
                        .wave = ++wave_,
                        .cluster_port = options_.cluster_port,
                        .name = options_.name});
}

void Discovery::add_asked(const PeerAddress& address, Instant now) {
  candidate_at(address, Source::asked, now).source = Source::asked;
}

void Discovery::add_remembered(const PeerAddress& address, Instant now) {
  auto& candidate = candidate_at(address, Source::remembered, now);
  if (candidate.source == Source::heard) candidate.source = Source::remembered;
}

Result<Discovery::Heard> Discovery::on_beacon(const std::string& source_host, std::span<const std::byte> datagram,
                                              Instant now) {
  FLOTILLA_TRY(auto beacon, decode_beacon(datagram));
  if (beacon.nonce == options_.nonce) return fail(Code::cancelled, "[cluster] our own beacon");
  if (beacon.node == options_.node)
    return fail(Code::unauthorized,
                "[cluster] {} calls itself '{}' but has this machine's id: its home folder is a copy of ours; "
                "give it another with --home",
                source_host, beacon.name);
  if (beacon.version != protocol_version) {
    if (!within_rate(source_host, now))
      return fail(Code::busy, "[cluster] more than {} beacons of other versions a second from {}", hints_per_second_max,
                  source_host);
    return Heard{.beacon = std::move(beacon)};
  }

  const PeerAddress address{.host = source_host, .port = beacon.cluster_port};
  const auto known = candidates_.find(address);
  const bool is_news = known == candidates_.end() || known->second.nonce != beacon.nonce;
  const bool is_joined = joined_.contains(beacon.node);
  const bool wants_answer =
      !beacon.is_answer && (is_news || (!is_joined && known->second.answered_wave != beacon.wave));
  if ((is_news || wants_answer) && !within_rate(source_host, now))
    return fail(Code::busy, "[cluster] more than {} new beacons a second from {}", hints_per_second_max, source_host);

  auto& candidate = candidate_at(address, Source::heard, now);
  candidate.heard_at = now;
  candidate.is_proven = candidate.is_proven && candidate.node == beacon.node;
  candidate.node = beacon.node;
  candidate.name = beacon.name;
  if (wants_answer) candidate.answered_wave = beacon.wave;
  if (is_news) {
    // A new instance deserves a prompt try, whatever became of the one before. The node with the lower id goes first,
    // so that two which hear each other seldom connect twice; the other follows in case the first cannot get through.
    candidate.nonce = beacon.nonce;
    candidate.pause = dial_pause_first;
    candidate.due = options_.node < beacon.node ? now : now + yield_to_lower_id;
  }
  return Heard{.beacon = std::move(beacon), .answer = wants_answer, .is_news = is_news};
}

std::vector<PeerAddress> Discovery::take_due_dials(Instant now) {
  forget_silent(now);
  std::vector<PeerAddress> due;
  for (auto& [address, candidate] : candidates_) {
    if (candidate.in_flight || now < candidate.due || rests(candidate)) continue;
    candidate.in_flight = true;
    due.push_back(address);
  }
  return due;
}

bool Discovery::on_dial_failed(const PeerAddress& address, Instant now) {
  const auto found = candidates_.find(address);
  if (found == candidates_.end()) return false;
  auto& candidate = found->second;
  candidate.in_flight = false;
  candidate.due = now + candidate.pause;
  const bool tried_for_long = candidate.pause < dial_pause_max && candidate.pause * 2 >= dial_pause_max;
  candidate.pause = std::min<Instant::duration>(candidate.pause * 2, dial_pause_max);
  return tried_for_long && candidate.source == Source::asked;
}

void Discovery::on_dial_refused(const PeerAddress& address, std::optional<NodeId> by, Instant now) {
  const auto found = candidates_.find(address);
  if (found == candidates_.end()) return;
  auto& candidate = found->second;
  candidate.in_flight = false;
  if (by) {
    candidate.node = by;
    candidate.is_proven = false;
  }
  // Nothing changes until someone restarts one of the two, and then a beacon with a new nonce says so.
  candidate.pause = candidate.source == Source::asked ? dial_pause_max : refused_pause;
  candidate.due = now + candidate.pause;
}

void Discovery::on_dial_done(const PeerAddress& address, const NodeId& node, Instant now) {
  const auto found = candidates_.find(address);
  if (found == candidates_.end()) return;
  auto& candidate = found->second;
  candidate.in_flight = false;
  candidate.node = node;
  candidate.is_proven = true;
  // Rests while joined. Where joining falls through after all, or the address is our own, the next try is not at once.
  candidate.pause = node == options_.node ? Instant::duration(heard_kept) : Instant::duration(dial_pause_first);
  candidate.due = now + std::max<Instant::duration>(candidate.pause, limits::peer_silence_suspect);
}

void Discovery::on_joined(const NodeId& node) { joined_.insert(node); }

void Discovery::retry_all(Instant now) {
  for (auto& [address, candidate] : candidates_) {
    candidate.due = now;
    candidate.pause = dial_pause_first;
  }
}

std::vector<PeerAddress> Discovery::all_addresses() const {
  std::vector<PeerAddress> addresses;
  for (const auto& [address, candidate] : candidates_)
    if (!candidate.node || !joined_.contains(*candidate.node)) addresses.push_back(address);
  return addresses;
}

void Discovery::on_left(const NodeId& node, Instant now) {
  joined_.erase(node);
  for (auto& [address, candidate] : candidates_) {
    if (candidate.node != node) continue;
    candidate.name.clear();  // heard before it left: says nothing of whether it lives
    candidate.pause = dial_pause_first;
    candidate.due = now + candidate.pause;
    candidate.heard_at = now;
  }
}

std::vector<PeerAddress> Discovery::addresses_of(const NodeId& node) const {
  std::vector<PeerAddress> addresses;
  for (const auto& [address, candidate] : candidates_)
    if (candidate.node == node) addresses.push_back(address);
  return addresses;
}

std::optional<Discovery::Known> Discovery::known_at(const PeerAddress& address) const {
  const auto found = candidates_.find(address);
  if (found == candidates_.end() || !found->second.node) return std::nullopt;
  return Known{.node = *found->second.node, .name = found->second.name, .heard_at = found->second.heard_at};
}

Discovery::Candidate& Discovery::candidate_at(const PeerAddress& address, Source source, Instant now) {
  if (const auto found = candidates_.find(address); found != candidates_.end()) return found->second;
  if (candidates_.size() >= addresses_max) make_room();
  return candidates_.emplace(address, Candidate{.source = source, .node = {}, .name = {}, .due = now, .heard_at = now})
      .first->second;
}

// Drops what was heard longest ago: a flood of forged beacons pushes out its own kind, never what the user asked for
// nor a member's address as long as anything else is left.
void Discovery::make_room() {
  const auto worth = [&](const auto& entry) {
    const auto& candidate = entry.second;
    const bool in_use = candidate.in_flight || is_a_members(candidate);
    return std::tuple(candidate.source != Source::heard, in_use, candidate.source == Source::asked, candidate.heard_at);
  };
  candidates_.erase(std::ranges::min_element(candidates_, {}, worth));
}

void Discovery::forget_silent(Instant now) {
  std::erase_if(candidates_, [&](const auto& entry) {
    const auto& candidate = entry.second;
    return candidate.source == Source::heard && !candidate.in_flight && now - candidate.heard_at > heard_kept &&
           !is_a_members(candidate);
  });
}

// A beacon alone may be anybody's: a member's address it is once the member has answered there.
bool Discovery::is_a_members(const Candidate& candidate) const {
  return candidate.is_proven && candidate.node && joined_.contains(*candidate.node);
}

bool Discovery::within_rate(const std::string& source_host, Instant now) {
  if (rates_.size() >= addresses_max)
    std::erase_if(rates_, [&](const auto& entry) { return now - entry.second.window > 1s; });
  if (rates_.size() >= addresses_max && !rates_.contains(source_host)) return false;
  auto& rate = rates_.try_emplace(source_host, Rate{.window = now}).first->second;
  if (now - rate.window >= 1s) rate = {.window = now};
  return ++rate.hints <= hints_per_second_max;
}

// Whose address this is has joined, or is being reached at another. A beacon's word is enough where only beacons tell
// of the address: a forged one must not keep us from what the user asked for, or from a member of before.
bool Discovery::rests(const Candidate& candidate) const {
  if (!candidate.node || !(candidate.is_proven || candidate.source == Source::heard)) return false;
  return joined_.contains(*candidate.node) || another_dial_reaches(*candidate.node);
}

bool Discovery::another_dial_reaches(const NodeId& node) const {
  return std::ranges::any_of(candidates_,
                             [&](const auto& entry) { return entry.second.in_flight && entry.second.node == node; });
}

}  // namespace flotilla
