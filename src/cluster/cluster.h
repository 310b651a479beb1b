// Decides who is here: discovery by UDP beacons, static peers and remembered addresses; one control connection to every
// other node; heartbeats; joins, leaves and losses. The rules are in membership.h and discovery.h as step functions
// without clock or socket; this is the thin shell that gives them both.
// In: beacons, frames, time.  Out: ClusterView, frames of other kinds handed on.  Owns: UDP sockets, the control
// connections, the list of remembered addresses.  Thread: the loop's.  Never: trusts a beacon for more than a hint.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/address.h"
#include "cluster/interfaces.h"
#include "cluster/view.h"
#include "io/tcp_link.h"
#include "wire/frame.h"
#include "wire/handshake.h"

namespace flotilla {

struct ClusterOptions {
  HandshakeIdentity identity;
  std::uint16_t cluster_port = 0, discovery_port = 0;
  bool discovery = true;                       // beacons; static peers work either way
  std::vector<std::string> peers;              // "host:port", "[v6]:port", "host"
  std::filesystem::path remembered_peers;      // file; missing is empty
};

// Not to be destroyed from inside one of its events.
class Cluster {
 public:
  struct Events {
    std::function<void()> on_view;                                      // members or their info changed
    std::function<void(const NodeId& from, Frame frame)> on_frame;      // control frames that are not membership's own
    std::function<void(const NodeId& peer, const Error& cause)> on_lost;  // after it left or fell silent
    std::function<void(HandshakePeer peer, Descriptor socket)> on_bulk;   // a bulk connection, handshake done; for make_tcp_link()
  };

  // Binds the cluster port (busy: which port, what to do) and begins. `self` is the first NodeInfo.
  static Result<std::unique_ptr<Cluster>> start(boost::asio::io_context& loop, ClusterOptions options, NodeInfo self, Events events);
  virtual ~Cluster() = default;

  virtual void set_self(NodeInfo self) = 0;                     // sends it to all
  virtual bool send(const NodeId& to, const Frame& frame) = 0;  // false where it is not joined
  // The same for frames that come in bursts and that the caller can answer for: unavailable where it is not joined, busy
  // where FrameConnection::offered_bytes_max wait for it already.
  virtual Status offer(const NodeId& to, const Frame& frame) = 0;
  virtual ClusterView view() const = 0;
  // Every address a member is known by: that of its connection and those its beacons came from.
  virtual std::vector<PeerAddress> addresses_of(const NodeId& node) const = 0;
  virtual void prefer_host(const NodeId& node, std::string host) = 0;  // Member::host from now on; empty: the connection's
  // Says goodbye to all and closes; `done` once the frames are out or after a second.
  virtual void leave(std::string reason, std::function<void()> done) = 0;
};

// Opens a bulk connection to a joined node and shakes hands. Blocking: for a helper thread.
Result<std::unique_ptr<Link>> connect_bulk(const HandshakeIdentity& self, const std::string& host, std::uint16_t cluster_port);

}  // namespace flotilla
