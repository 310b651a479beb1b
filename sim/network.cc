#include "sim/network.h"

#include <algorithm>
#include <charconv>

namespace flotilla::sim {
namespace {

constexpr Duration resent_within = 1500ms;   // after a way is whole again, TCP sends anew what was lost
constexpr Duration noticed_within = 1500ms;  // a reset, by each end
constexpr Duration knock_again = 1s;         // a dial's first packet was lost
constexpr Duration close_time_max = 1s;      // FrameConnection::close
constexpr double spike = 0.01, beacon_lost = 0.1, beacon_doubled = 0.05;

Error cut_off(const char* why) { return {Code::closed, std::format("[sim] {}", why)}; }

}  // namespace

// --- One end -------------------------------------------------------------------------------------

void Connection::start(OnFrame on_frame, OnClose on_close) {
  on_frame_ = std::move(on_frame);
  on_close_ = std::move(on_close);
  if (!on_secured_) return;
  network_.world().after(0s, wire_->ends[end_], [self = shared_from_this(), this] {
    if (is_open_ && on_secured_) std::exchange(on_secured_, nullptr)();
  });
}

void Connection::send(const Frame& frame) {
  if (is_open_) network_.put(wire_, 1 - end_, {.frame = frame});
}

bool Connection::offer(const Frame& frame) {
  if (is_open_) send(frame);
  return is_open_;
}

void Connection::close(Error cause) {
  if (!std::exchange(is_open_, false)) return;
  network_.put(wire_, 1 - end_, {.kind = Wire::Message::Kind::close});
  on_frame_ = nullptr;
  network_.world().after(close_time_max, wire_->ends[end_], [self = shared_from_this(), this, cause] {
    if (on_close_) std::exchange(on_close_, nullptr)(cause);
  });
}

std::string Connection::remote_host() const { return Network::host_of(remote_machine()); }

void Connection::take(Frame frame) {
  if (!is_open_ || !on_frame_) return;
  const OnFrame on_frame = on_frame_;  // it may close this
  on_frame(std::move(frame));
}

void Connection::lose(const Error& cause) {
  if (!std::exchange(is_open_, false)) return;
  on_frame_ = nullptr;
  if (on_close_) std::exchange(on_close_, nullptr)(cause);
}

// --- Ways ----------------------------------------------------------------------------------------

Network::Network(World& world, std::size_t machines)
    : world_(world),
      cut_(machines, std::vector<bool>(machines)),
      latency_(machines, std::vector<Duration>(machines)),
      has_power_(machines, true) {
  for (auto& row : latency_)
    for (Duration& each : row) each = world_.chance(0.2) ? world_.between(5ms, 40ms) : world_.between(50us, 1ms);
}

std::optional<std::size_t> Network::machine_at(const std::string& host) {
  std::size_t machine = 0;
  const auto read = std::from_chars(host.data() + 1, host.data() + host.size(), machine);
  return host.starts_with('m') && read.ec == std::errc() ? std::optional(machine) : std::nullopt;
}

Duration Network::latency(std::size_t from, std::size_t to) {
  const Duration least = latency_[from][to];
  return world_.chance(spike) ? world_.between(least, 300ms) : world_.between(least, 2 * least);
}

std::vector<std::shared_ptr<Wire>> Network::wires_between(std::size_t a, std::size_t b) {
  std::erase_if(wires_, [](const auto& wire) { return wire.expired(); });
  std::vector<std::shared_ptr<Wire>> found;
  for (const auto& weak : wires_) {
    const auto wire = weak.lock();
    const std::size_t from = wire->ends[0].machine, to = wire->ends[1].machine;
    if ((from == a && to == b) || (from == b && to == a)) found.push_back(wire);
  }
  return found;
}

void Network::heal(std::size_t from, std::size_t to) {
  if (!cut_[from][to]) return;
  cut_[from][to] = false;
  for (const auto& wire : wires_between(from, to))
    for (const int towards : {0, 1})
      if (wire->ends[towards].machine == to)
        world_.after(world_.between(0s, resent_within), [this, wire, towards] { move(wire, towards); });
}

void Network::reset(std::size_t a, std::size_t b) {
  reset(a, b, [this](Life) { return world_.between(0s, noticed_within); });
}

void Network::reset(std::size_t a, std::size_t b, const std::function<Duration(Life)>& noticed_after) {
  for (const auto& wire : wires_between(a, b)) {
    wire->is_broken = true;
    for (const int end : {0, 1}) {
      wire->to[end].waiting.clear();
      lose_later(wire, end, noticed_after(wire->ends[end]), "the connection was reset");
    }
  }
}

void Network::lose_later(const std::shared_ptr<Wire>& wire, int end, Duration pause, const char* why) {
  world_.after(pause, wire->ends[end], [wire, end, why] {
    if (const auto connection = wire->connections[end].lock()) connection->lose(cut_off(why));
  });
}

// A process that ends leaves a system behind that closes its sockets; a machine without power does not.
void Network::end_life(Life life, bool loses_power) {
  if (loses_power) has_power_[life.machine] = false;
  std::erase_if(listeners_, [&](const auto& entry) { return entry.second.life == life; });
  std::erase_if(ears_, [&](const auto& entry) { return entry.second.first == life; });
  std::erase_if(opening_, [&](const auto& entry) { return entry.second.first->life == life; });
  std::erase_if(wires_, [](const auto& wire) { return wire.expired(); });
  for (const auto& weak : wires_) {
    const auto wire = weak.lock();
    for (const int end : {0, 1}) {
      if (wire->ends[end] != life) continue;
      wire->to[end].is_moving = false;  // what was to be taken is not any more
      if (!loses_power) put(wire, 1 - end, {.kind = Wire::Message::Kind::close});
      move(wire, end);
    }
  }
}

// --- Connections ---------------------------------------------------------------------------------

void Network::listen(Life life, std::uint16_t port, OnStranger on_stranger) {
  listeners_.insert_or_assign({life.machine, port}, Listener{life, std::move(on_stranger)});
}

void Network::put(const std::shared_ptr<Wire>& wire, int towards, Wire::Message message) {
  if (wire->is_broken || !world_.lives(wire->ends[1 - towards])) return;
  auto& direction = wire->to[towards];
  const auto delay = latency(wire->ends[1 - towards].machine, wire->ends[towards].machine);
  message.ready = direction.last_ready = std::max(direction.last_ready, world_.now() + delay);
  direction.waiting.push_back(std::move(message));
  move(wire, towards);
}

void Network::move(const std::shared_ptr<Wire>& wire, int towards) {
  auto& direction = wire->to[towards];
  if (direction.waiting.empty() || std::exchange(direction.is_moving, true)) return;
  world_.at(std::max(world_.now(), direction.waiting.front().ready), [this, wire, towards] { arrive(wire, towards); });
}

void Network::arrive(const std::shared_ptr<Wire>& wire, int towards) {
  auto& direction = wire->to[towards];
  const Life to = wire->ends[towards];
  if (direction.waiting.empty()) {
    direction.is_moving = false;
  } else if (is_cut(wire->ends[1 - towards].machine, to.machine)) {
    direction.is_moving = false;  // until the way is whole again
  } else if (world_.lives(to)) {
    world_.at(world_.now(), to, [this, wire, towards] { deliver(wire, towards); });
  } else {
    direction.waiting.clear();
    direction.is_moving = false;
    if (has_power_[to.machine])
      lose_later(wire, 1 - towards, latency(to.machine, wire->ends[1 - towards].machine), "nobody is there any more");
  }
}

void Network::deliver(const std::shared_ptr<Wire>& wire, int towards) {
  auto& direction = wire->to[towards];
  direction.is_moving = false;
  if (direction.waiting.empty()) return;  // reset meanwhile
  Wire::Message message = std::move(direction.waiting.front());
  direction.waiting.pop_front();
  move(wire, towards);
  if (message.kind == Wire::Message::Kind::opened) {
    const auto opened = opening_.extract(wire.get());
    if (opened.empty()) return;
    const auto& [dial, connection] = opened.mapped();
    if (dial->on_dialled) return std::exchange(dial->on_dialled, nullptr)(connection);
    return connection->close(cut_off("who dialled has given up"));
  }
  const auto connection = wire->connections[towards].lock();
  if (!connection) return;
  if (message.kind == Wire::Message::Kind::frame) return connection->take(std::move(message.frame));
  connection->lose(cut_off("the other end closed the connection"));
}

void Network::dial(Life life, std::size_t to, std::uint16_t port, Duration patience, OnDialled on_dialled) {
  auto dial = std::make_shared<Dial>(life, to, port, world_.now() + patience, std::move(on_dialled));
  world_.after(patience, life, [dial] {
    if (dial->on_dialled) std::exchange(dial->on_dialled, nullptr)(fail(Code::timeout, "[sim] nobody answers there"));
  });
  world_.after(latency(life.machine, to), [this, dial] { knock(dial); });
}

void Network::knock(const std::shared_ptr<Dial>& dial) {
  if (!dial->on_dialled || !world_.lives(dial->life)) return;
  const bool is_heard = !is_cut(dial->life.machine, dial->to) && has_power_[dial->to];
  if (!is_heard) {
    if (world_.now() + knock_again < dial->until) world_.after(knock_again, [this, dial] { knock(dial); });
    return;
  }
  const auto found = listeners_.find({dial->to, dial->port});
  if (found == listeners_.end()) return refuse(dial);
  world_.at(world_.now(), found->second.life, [this, dial, listener = found->second] { take_in(dial, listener); });
}

void Network::refuse(const std::shared_ptr<Dial>& dial) {
  if (is_cut(dial->to, dial->life.machine)) return;
  world_.after(latency(dial->to, dial->life.machine), dial->life, [dial] {
    if (dial->on_dialled)
      std::exchange(dial->on_dialled, nullptr)(fail(Code::unavailable, "[sim] nobody listens there"));
  });
}

void Network::take_in(const std::shared_ptr<Dial>& dial, const Listener& listener) {
  auto wire = std::make_shared<Wire>();
  wire->ends[0] = dial->life;
  wire->ends[1] = listener.life;
  wires_.push_back(wire);
  auto near = std::make_shared<Connection>(*this, wire, 0), far = std::make_shared<Connection>(*this, wire, 1);
  wire->connections[0] = near;
  wire->connections[1] = far;
  opening_[wire.get()] = {dial, near};
  put(wire, 0, {.kind = Wire::Message::Kind::opened});
  listener.on_stranger(far);
}

// --- Datagrams -----------------------------------------------------------------------------------

void Network::hear(Life life, BeaconSockets::OnDatagram on_datagram) {
  ears_.insert_or_assign(life.machine, std::pair(life, std::move(on_datagram)));
}

void Network::broadcast(Life life, std::span<const std::byte> datagram) {
  for (std::size_t to = 0; to < has_power_.size(); ++to)
    if (to != life.machine) send_datagram(life, to, datagram);
}

void Network::send_datagram(Life life, std::size_t to, std::span<const std::byte> datagram) {
  if (is_cut(life.machine, to) || world_.chance(beacon_lost)) return;
  const int copies = world_.chance(beacon_doubled) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy)
    world_.after(latency(life.machine, to),
                 [this, from = life.machine, to, bytes = Bytes(datagram.begin(), datagram.end())] {
                   const auto ear = ears_.find(to);
                   if (ear == ears_.end()) return;
                   world_.at(world_.now(), ear->second.first, [heard = ear->second.second, from, bytes] {
                     heard({.host = host_of(from), .address = {static_cast<std::byte>(from)}}, bytes);
                   });
                 });
}

}  // namespace flotilla::sim
