// The network between the simulated machines: ways that are slow, uneven, cut in one direction or both, and
// connections over them that behave as TCP does. Within a connection nothing is reordered or doubled; a cut holds
// frames up until it heals, a reset loses what is under way and is noticed by each end in its own time; a machine
// without power swallows everything, one whose process has ended says so.
// In: frames, dials, datagrams, faults.  Out: the same, later or never.  Owns: what is under way.  Thread: one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "cluster/udp.h"
#include "io/frame_connection.h"
#include "sim/world.h"

namespace flotilla::sim {

class Network;

// Between two processes. Ends are known by 0, who dialled, and 1.
struct Wire {
  struct Message {
    enum class Kind : std::uint8_t { opened, frame, close } kind = Kind::frame;
    Frame frame;
    Instant ready{};
  };
  struct Direction {
    std::deque<Message> waiting;
    Instant last_ready{};
    bool is_moving = false;  // an event is under way that takes the first one
  };
  Life ends[2];
  std::weak_ptr<class Connection> connections[2];
  Direction to[2];  // towards that end
  bool is_broken = false;
};

// One end, with the face of the real thing. Nothing is encrypted.
class Connection final : public FrameConnection {
 public:
  Connection(Network& network, std::shared_ptr<Wire> wire, int end)
      : network_(network), wire_(std::move(wire)), end_(end) {}

  void when_secured(std::function<void()> on_secured) override { on_secured_ = std::move(on_secured); }
  const TlsSession* tls() const override { return nullptr; }
  void bound_bodies(std::size_t) override {}
  void start(OnFrame on_frame, OnClose on_close) override;
  void send(const Frame& frame) override;
  bool offer(const Frame& frame) override;
  void close(Error cause) override;
  bool is_open() const override { return is_open_; }
  std::string remote_host() const override;
  SecureSocket release() override { return {}; }

  std::size_t remote_machine() const { return wire_->ends[1 - end_].machine; }
  void take(Frame frame);
  void lose(const Error& cause);  // the other end closed, or the way broke

 private:
  Network& network_;
  const std::shared_ptr<Wire> wire_;
  const int end_;
  OnFrame on_frame_;
  OnClose on_close_;
  std::function<void()> on_secured_;
  bool is_open_ = true;
};

class Network {
 public:
  using OnStranger = std::function<void(std::shared_ptr<Connection>)>;
  using OnDialled = std::function<void(Result<std::shared_ptr<Connection>>)>;

  Network(World& world, std::size_t machines);

  World& world() { return world_; }
  static std::string host_of(std::size_t machine) { return std::format("m{}", machine); }
  static std::optional<std::size_t> machine_at(const std::string& host);

  // --- Faults
  void cut(std::size_t from, std::size_t to) { cut_[from][to] = true; }
  void heal(std::size_t from, std::size_t to);
  bool is_cut(std::size_t from, std::size_t to) const { return cut_[from][to]; }
  void reset(std::size_t a, std::size_t b);  // all connections between them, noticed by each end in its own time
  void reset(std::size_t a, std::size_t b, const std::function<Duration(Life)>& noticed_after);
  void end_life(Life life, bool loses_power);
  void power_on(std::size_t machine) { has_power_[machine] = true; }

  // --- Connections
  void listen(Life life, std::uint16_t port, OnStranger on_stranger);
  void stop_listening(std::size_t machine, std::uint16_t port) { listeners_.erase({machine, port}); }
  void dial(Life life, std::size_t to, std::uint16_t port, Duration patience, OnDialled on_dialled);
  void put(const std::shared_ptr<Wire>& wire, int towards, Wire::Message message);
  bool reaches(std::size_t from, std::size_t to) const { return !cut_[from][to] && !cut_[to][from] && has_power_[to]; }

  // --- Datagrams
  void hear(Life life, BeaconSockets::OnDatagram on_datagram);
  void broadcast(Life life, std::span<const std::byte> datagram);
  void send_datagram(Life life, std::size_t to, std::span<const std::byte> datagram);

 private:
  struct Listener {
    Life life;
    OnStranger on_stranger;
  };
  struct Dial {
    Life life;
    std::size_t to = 0;
    std::uint16_t port = 0;
    Instant until;
    OnDialled on_dialled;  // null once it is decided
  };
  Duration latency(std::size_t from, std::size_t to);
  void move(const std::shared_ptr<Wire>& wire, int towards);
  void arrive(const std::shared_ptr<Wire>& wire, int towards);
  void deliver(const std::shared_ptr<Wire>& wire, int towards);
  void lose_later(const std::shared_ptr<Wire>& wire, int end, Duration pause, const char* why);
  void knock(const std::shared_ptr<Dial>& dial);
  void refuse(const std::shared_ptr<Dial>& dial);
  void take_in(const std::shared_ptr<Dial>& dial, const Listener& listener);
  std::vector<std::shared_ptr<Wire>> wires_between(std::size_t a, std::size_t b);

  World& world_;
  std::vector<std::vector<bool>> cut_;
  std::vector<std::vector<Duration>> latency_;
  std::vector<bool> has_power_;
  std::map<std::pair<std::size_t, std::uint16_t>, Listener> listeners_;
  std::map<std::size_t, std::pair<Life, BeaconSockets::OnDatagram>> ears_;
  std::vector<std::weak_ptr<Wire>> wires_;
  std::map<const Wire*, std::pair<std::shared_ptr<Dial>, std::shared_ptr<Connection>>> opening_;
};

}  // namespace flotilla::sim
