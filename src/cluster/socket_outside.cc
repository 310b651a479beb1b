#include <utility>

#include "cluster/acceptor.h"
#include "cluster/dialer.h"
#include "cluster/outside.h"
#include "cluster/peers_file.h"

namespace flotilla {
namespace {

class SocketOutside final : public Outside {
 public:
  SocketOutside(boost::asio::io_context& loop, const ClusterOptions& options, Descriptor listener)
      : loop_(loop),
        self_(options.identity),
        alarm_(alarms_on(loop)),
        listener_(std::move(listener)),
        discovery_port_(options.discovery_port),
        peers_file_(options.remembered_peers) {}

  Instant now() const override { return std::chrono::steady_clock::now(); }
  std::unique_ptr<Alarm> alarm(Instant::duration pause, std::function<void()> ring) override {
    return alarm_(pause, std::move(ring));
  }
  std::uint64_t random() override { return random_u64(); }

  void accept(std::function<bool()> has_room, OnStranger on_stranger) override {
    acceptor_ = std::make_unique<Acceptor>(
        loop_, std::move(listener_),
        [this, has_room = std::move(has_room), on_stranger = std::move(on_stranger)](Descriptor socket) {
          if (has_room()) on_stranger(adopt(std::move(socket), TlsRole::responder));
        });
  }
  void stop_accepting() override { acceptor_.reset(); }

  void dial(const PeerAddress& address, std::chrono::milliseconds patience, OnDialled on_dialled) override {
    // A dial may end after whoever asked for it: they guard their callback, this guards itself.
    flotilla::dial(
        loop_, address, patience,
        [this, alive = std::weak_ptr(alive_), on_dialled = std::move(on_dialled)](Result<Descriptor> socket) {
          if (alive.expired()) return;
          if (!socket) return on_dialled(fail(socket.error()));
          on_dialled(adopt(*std::move(socket), TlsRole::initiator));
        });
  }

  std::optional<ChannelBinding> bind(const FrameConnection& connection) const override {
    const auto* tls = connection.tls();
    return tls ? std::optional(self_.bind(*tls)) : std::nullopt;
  }

  std::vector<PeerAddress> remembered_peers() override { return read_peers_file(peers_file_); }
  Status remember_peers(const std::vector<PeerAddress>& peers) override {
    return peers_file_.empty() ? Status() : write_peers_file(peers_file_, peers);
  }

  Result<std::unique_ptr<BeaconSockets>> open_beacons(BeaconSockets::OnDatagram on_datagram) override {
    return BeaconSockets::open(loop_, discovery_port_, std::move(on_datagram));
  }

 private:
  std::shared_ptr<FrameConnection> adopt(Descriptor socket, TlsRole role) {
    return FrameConnection::adopt(loop_.get_executor(), {std::move(socket), TlsSession(self_.standing->tls(), role)});
  }

  boost::asio::io_context& loop_;
  const NodeIdentity self_;
  const SetAlarm alarm_;
  Descriptor listener_;
  const std::uint16_t discovery_port_;
  const std::filesystem::path peers_file_;
  std::unique_ptr<Acceptor> acceptor_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

std::unique_ptr<Outside> make_socket_outside(boost::asio::io_context& loop, const ClusterOptions& options,
                                             Descriptor listener) {
  return std::make_unique<SocketOutside>(loop, options, std::move(listener));
}

}  // namespace flotilla
