// Decides who is here: discovery by UDP beacons, static peers and remembered addresses; one control connection to every
// other node; heartbeats; joins, leaves and losses. The rules are in membership.h and discovery.h as step functions
// without clock or socket; this is the thin shell that gives them both.
// In: beacons, frames, time.  Out: ClusterView, frames of other kinds handed on.  Owns: UDP sockets, the control
// connections, the list of remembered addresses.  Thread: the loop's.  Never: trusts a beacon for more than a hint.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/address.h"
#include "cluster/interfaces.h"
#include "cluster/node_identity.h"
#include "cluster/view.h"
#include "io/secure_socket.h"
#include "wire/frame.h"
#include "wire/handshake.h"

namespace flotilla {

struct ClusterOptions {
  NodeIdentity identity;
  std::uint16_t cluster_port = 0, discovery_port = 0;
  bool discovery = true;                       // beacons; static peers work either way
  std::vector<std::string> peers;              // "host:port", "[v6]:port", "host"
  std::filesystem::path remembered_peers;      // file; missing is empty
};

class Outside;

// Someone who wants to join: connected by class join, a member of nothing. Whatever it says is a stranger's.
struct Guest {
  std::uint64_t id = 0;
  HandshakePeer peer;
  PublicKey key;
  Digest exporter{};
  std::string host;
};

// What a machine told of itself when it was last met, member or not; for who asks why two do not work together.
struct PeerFacts {
  std::uint16_t version = 0;                        // of the protocol
  std::optional<std::chrono::seconds> clock_ahead;  // of ours; empty where it did not say
};

// Not to be destroyed from inside one of its events.
class Cluster {
 public:
  struct Events {
    std::function<void()> on_view;                                      // members or their info changed
    std::function<void(const NodeId& from, Frame frame)> on_frame;      // control frames that are not membership's own
    std::function<void(const NodeId& node)> on_joined = [](const NodeId&) {};
    std::function<void(const Guest& guest, const Frame& frame)> on_guest_frame = [](const Guest&, const Frame&) {};
    std::function<void(std::uint64_t guest)> on_guest_gone = [](std::uint64_t) {};
    std::function<void(const NodeId& peer, const Error& cause)> on_lost;  // after it left or fell silent
    std::function<void(HandshakePeer peer, SecureSocket socket)> on_bulk;  // a bulk connection, handshake done; for make_tcp_link()
  };

  // Binds the cluster port (busy: which port, what to do) and begins. `self` is the first NodeInfo.
  static Result<std::unique_ptr<Cluster>> start(boost::asio::io_context& loop, ClusterOptions options, NodeInfo self, Events events);
  // The same in another world; `asked` as options.peers, and a listener's port in options.identity.
  static std::unique_ptr<Cluster> start(std::unique_ptr<Outside> outside, ClusterOptions options, NodeInfo self, Events events,
                                        const std::vector<PeerAddress>& asked);
  virtual ~Cluster() = default;

  virtual void set_self(NodeInfo self) = 0;                     // sends it to all
  virtual bool send(const NodeId& to, const Frame& frame) = 0;  // false where it is not joined
  // The same for frames that come in bursts and that the caller can answer for: unavailable where it is not joined, busy
  // where FrameConnection::offered_bytes_max wait for it already.
  virtual Status offer(const NodeId& to, const Frame& frame) = 0;
  virtual ClusterView view() const = 0;
  // Every address a member is known by: that of its connection and those its beacons came from.
  virtual std::vector<PeerAddress> addresses_of(const NodeId& node) const = 0;
  virtual std::optional<PeerFacts> facts_of(const NodeId& node) const = 0;
  virtual void prefer_host(const NodeId& node, std::string host) = 0;  // Member::host from now on; empty: the connection's
  // --- Who belongs to us ---
  // The certificate of the connection to a member, as it was when that began; none where there is no such connection.
  virtual std::optional<Certificate> shown_by(const NodeId& member) const = 0;
  virtual void put_out(const NodeId& member, std::string reason) = 0;
  // What this machine can prove has changed: everyone who refused it is asked again at once.
  virtual void retry() = 0;
  virtual std::vector<PeerAddress> doors() const = 0;  // where a newcomer may ask: addresses of whoever is not joined
  virtual bool send_to_guest(std::uint64_t guest, const Frame& frame) = 0;  // false where it is gone
  // A guest has limits::handshake_time_max to say what it wants. From now on it has so long.
  virtual void let_guest_wait(std::uint64_t guest, std::chrono::seconds time) = 0;
  virtual void dismiss_guest(std::uint64_t guest, Error cause) = 0;  // what was sent to it arrives first
  // Says goodbye to all and closes; `done` once the frames are out or after a second.
  virtual void leave(std::string reason, std::function<void()> done) = 0;
};

// Opens a bulk connection to a joined node and shakes hands; unauthorized where another one answers there. Blocking: for a
// helper thread.
Result<std::unique_ptr<Link>> connect_bulk(const NodeIdentity& self, const NodeId& peer, const std::string& host,
                                           std::uint16_t cluster_port);

}  // namespace flotilla
