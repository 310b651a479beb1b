// Decides when this node makes itself known and which addresses are worth a connection attempt. Step functions: time
// and datagrams are handed in, beacons and dials come out; no clock, no socket.
// In: beacons heard, addresses asked for or remembered, how dials ended.  Out: beacons to send, addresses to dial.
// Owns: the table of addresses (at most addresses_max).  Thread: the loop's.
// Never: lets a beacon do more than cause one dial of its own source address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/address.h"
#include "cluster/beacon.h"
#include "cluster/instant.h"

namespace flotilla {

class Discovery {
 public:
  static constexpr std::size_t addresses_max = 256;
  static constexpr int hints_per_second_max = 5;  // per source: new instances listened to, and answers given
  static constexpr auto dial_pause_first = std::chrono::milliseconds(250);
  // With a dial under way when a cut way heals (3 s), two that lost each other are together again within ten seconds.
  static constexpr auto dial_pause_max = std::chrono::seconds(5);
  static constexpr auto refused_pause = std::chrono::seconds(10);
  static constexpr auto yield_to_lower_id = std::chrono::milliseconds(300);
  static constexpr auto heard_kept = std::chrono::seconds(60);  // three slow beacons

  struct Options {
    NodeId node;
    std::string name;
    std::uint64_t nonce = 0;  // of this run
    std::uint16_t cluster_port = 0;
    bool beacons = true;  // false: take_beacon gives none
    std::uint64_t jitter_seed = 0;
  };
  Discovery(Options options, Instant now);

  // --- Making ourselves known ---
  void announce(Instant now);                           // something changed: beacons come fast again
  std::optional<BeaconBytes> take_beacon(Instant now);  // to send everywhere, where it is time
  BeaconBytes answer();  // to send to the source of a beacon, where on_beacon asked for it

  // --- Hints ---
  void add_asked(const PeerAddress& address, Instant now);       // --peer; never forgotten
  void add_remembered(const PeerAddress& address, Instant now);  // from an earlier run, or of a member
  struct Heard {
    Beacon beacon;
    bool answer = false;   // send answer() to the datagram's source
    bool is_news = false;  // the instance was not known at this address
  };
  // corrupt: no beacon. busy: over the rate. cancelled: our own. unauthorized: our node id from another instance (a
  // copied home folder). A beacon of another protocol version is handed out to be shown, and its sender never dialled.
  Result<Heard> on_beacon(const std::string& source_host, std::span<const std::byte> datagram, Instant now);

  // --- Dials ---
  std::vector<PeerAddress> take_due_dials(Instant now);  // each is in flight until one of the next three is called
  // True once for an address that was asked for and could not be reached for some seconds: someone may want to know.
  bool on_dial_failed(const PeerAddress& address, Instant now);
  void on_dial_refused(const PeerAddress& address, std::optional<NodeId> by, Instant now);  // reached, but not joined
  void on_dial_done(const PeerAddress& address, const NodeId& node, Instant now);  // handshake done; may be ourselves
  void on_joined(const NodeId& node);                                              // its addresses rest
  void on_left(const NodeId& node, Instant now);                                   // its addresses are tried again
  void retry_all(Instant now);                     // at once: those that refused us may no longer
  std::vector<PeerAddress> all_addresses() const;  // of whoever is not joined
  struct Known {
    NodeId node;
    std::string name;  // as its beacon says; empty where none was heard from there, or none since it left
    Instant heard_at;  // its last beacon
  };
  std::vector<PeerAddress> addresses_of(const NodeId& node) const;  // heard from, or reached, at these
  std::optional<Known> known_at(const PeerAddress& address) const;

 private:
  enum class Source { asked, remembered, heard };
  struct Candidate {
    Source source = Source::heard;
    std::optional<NodeId> node;
    bool is_proven = false;  // node has shown its key there; else a beacon says so, or who refused us
    std::string name;
    std::uint64_t nonce = 0, answered_wave = 0;  // of the beacon last heard from here
    Instant due, heard_at;
    Instant::duration pause = dial_pause_first;
    bool in_flight = false;
  };
  struct Rate {
    Instant window;
    int hints = 0;
  };

  Candidate& candidate_at(const PeerAddress& address, Source source, Instant now);
  void make_room();
  void forget_silent(Instant now);
  bool within_rate(const std::string& source_host, Instant now);
  bool rests(const Candidate& candidate) const;
  bool another_dial_reaches(const NodeId& node) const;
  bool is_a_members(const Candidate& candidate) const;

  const Options options_;
  std::mt19937_64 jitter_;
  std::map<PeerAddress, Candidate> candidates_;
  std::map<std::string, Rate> rates_;
  std::set<NodeId> joined_;
  std::uint64_t wave_ = 0;
  Instant fast_until_, beacon_due_;
};

}  // namespace flotilla
