#include "sim/simulated_outside.h"

#include <utility>

namespace flotilla::sim {
namespace {

class SimulatedBeacons final : public BeaconSockets {
 public:
  SimulatedBeacons(Network& network, Life life) : network_(network), life_(life) {}
  bool refresh_interfaces() override { return false; }
  void send_everywhere(std::span<const std::byte> datagram) override { network_.broadcast(life_, datagram); }
  void send_by(const InterfaceAddress&, std::span<const std::byte>) override {}
  void send_to(const Source& source, std::span<const std::byte> datagram) override {
    network_.send_datagram(life_, std::to_integer<std::size_t>(source.address.front()), datagram);
  }

 private:
  Network& network_;
  const Life life_;
};

class SimulatedOutside final : public Outside {
 public:
  SimulatedOutside(Network& network, const std::vector<NodeId>& nodes, Keepsakes& keepsakes, Life life)
      : network_(network),
        world_(network.world()),
        nodes_(nodes),
        keepsakes_(keepsakes),
        life_(life),
        alarm_(world_.alarms_of(life)) {}

  Instant now() const override { return world_.now(); }
  std::unique_ptr<Alarm> alarm(Duration pause, std::function<void()> ring) override {
    return alarm_(pause, std::move(ring));
  }
  std::uint64_t random() override { return world_.random(); }

  void accept(std::function<bool()> has_room, OnStranger on_stranger) override {
    network_.listen(life_, cluster_port,
                    [this, has_room = std::move(has_room),
                     on_stranger = std::move(on_stranger)](const std::shared_ptr<Connection>& connection) {
                      if (keepsakes_.forgotten.contains(connection->remote_machine()) || !has_room())
                        return connection->close({Code::busy, "[sim] no more strangers"});
                      on_stranger(connection);
                    });
  }
  void stop_accepting() override { network_.stop_listening(life_.machine, cluster_port); }

  void dial(const PeerAddress& address, std::chrono::milliseconds patience, OnDialled on_dialled) override {
    const auto machine = Network::machine_at(address.host);
    if (!machine || keepsakes_.forgotten.contains(*machine))
      return world_.after(0s, life_, [on_dialled] { on_dialled(fail(Code::not_found, "[sim] no such machine")); });
    network_.dial(life_, *machine, address.port, patience, std::move(on_dialled));
  }

  std::optional<ChannelBinding> bind(const FrameConnection& connection) const override {
    const std::size_t machine = static_cast<const Connection&>(connection).remote_machine();
    return ChannelBinding{.exporter = {}, .peer = nodes_[machine], .judge = {}};
  }

  std::vector<PeerAddress> remembered_peers() override { return keepsakes_.remembered_peers; }
  Status remember_peers(const std::vector<PeerAddress>& peers) override {
    keepsakes_.remembered_peers = peers;
    return {};
  }

  Result<std::unique_ptr<BeaconSockets>> open_beacons(BeaconSockets::OnDatagram on_datagram) override {
    network_.hear(life_, std::move(on_datagram));
    return std::make_unique<SimulatedBeacons>(network_, life_);
  }

 private:
  Network& network_;
  World& world_;
  const std::vector<NodeId>& nodes_;
  Keepsakes& keepsakes_;
  const Life life_;
  const SetAlarm alarm_;
};

}  // namespace

std::unique_ptr<Outside> make_simulated_outside(Network& network, const std::vector<NodeId>& nodes,
                                                Keepsakes& keepsakes, Life life) {
  return std::make_unique<SimulatedOutside>(network, nodes, keepsakes, life);
}

}  // namespace flotilla::sim
