// What the cluster's shell has of the world outside: time, chance, connections and beacons. Sockets of this machine
// (socket_outside.cc), or what stands for them in a simulation (sim/).
// Thread: the loop's; callbacks too, never from inside the call they answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "cluster/address.h"
#include "cluster/cluster.h"
#include "cluster/instant.h"
#include "cluster/udp.h"
#include "io/alarm.h"
#include "io/frame_connection.h"
#include "io/tcp_link.h"
#include "wire/handshake.h"

namespace flotilla {

class Outside {
 public:
  virtual ~Outside() = default;

  virtual Instant now() const = 0;
  virtual std::unique_ptr<Alarm> alarm(Instant::duration pause, std::function<void()> ring) = 0;
  virtual std::uint64_t random() = 0;

  // Hands out who connects, where there is room for one more stranger; others are hung up on.
  using OnStranger = std::function<void(std::shared_ptr<FrameConnection> connection)>;
  virtual void accept(std::function<bool()> has_room, OnStranger on_stranger) = 0;
  virtual void stop_accepting() = 0;
  // As dialer.h's; a connection is not started yet.
  using OnDialled = std::function<void(Result<std::shared_ptr<FrameConnection>> connection)>;
  virtual void dial(const PeerAddress& address, std::chrono::milliseconds patience, OnDialled on_dialled) = 0;
  // What ties a handshake to the secured connection it runs over; none where that is not encrypted.
  virtual std::optional<ChannelBinding> bind(const FrameConnection& connection) const = 0;

  // Members met, the last one first, kept from one run to the next.
  virtual std::vector<PeerAddress> remembered_peers() = 0;
  virtual Status remember_peers(const std::vector<PeerAddress>& peers) = 0;

  virtual Result<std::unique_ptr<BeaconSockets>> open_beacons(BeaconSockets::OnDatagram on_datagram) = 0;
};

std::unique_ptr<Outside> make_socket_outside(boost::asio::io_context& loop, const ClusterOptions& options,
                                             Descriptor listener);

}  // namespace flotilla
