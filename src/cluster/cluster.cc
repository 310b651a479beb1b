#include "cluster/cluster.h"

#include <time.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "base/units.h"
#include "base/words.h"
#include "cluster/bulk.h"
#include "cluster/complaints.h"
#include "cluster/discovery.h"
#include "cluster/membership.h"
#include "cluster/outside.h"
#include "cluster/peers_file.h"
#include "cluster/printable.h"
#include "io/frame_connection.h"
#include "wire/handshake.h"
#include "wire/joining.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t strangers_max = 64;  // connections that have not yet proven themselves
constexpr std::size_t guests_max = 64;     // that want to join; those that show a code are counted by who shows it
constexpr auto dial_time_max = 3s;
constexpr auto interfaces_interval = 2s;
constexpr auto leave_time_max = 1s;
constexpr std::size_t facts_max = 2 * limits::nodes_max;  // members, and as many that are none
constexpr std::uint64_t clock_max = 1ull << 40;           // seconds since 1970; more is no time but nonsense
constexpr auto loop_busy_told = 50ms;

// A machine of which no beacon came for so long has stopped, rather than being behind a firewall.
constexpr auto beacons_fresh_for = limits::beacon_interval_slow + std::chrono::seconds(5);

// A sentence as people read it in the table.
std::string plain(const Error& error) { return std::string(without_room(error.message)); }

class Shell : public Cluster {
  // Wraps a callback so that it does nothing once this object is gone.
  template <class Function>
  auto guarded(Function function) {
    return [alive = std::weak_ptr(alive_), function = std::move(function)](auto&&... args) mutable {
      if (!alive.expired()) function(std::forward<decltype(args)>(args)...);
    };
  }

 public:
  Shell(std::unique_ptr<Outside> outside, ClusterOptions options, NodeInfo self, Events events,
        const std::vector<PeerAddress>& asked)
      : outside_(std::move(outside)),
        options_(std::move(options)),
        events_(std::move(events)),
        membership_(std::move(self), now()),
        discovery_({.node = options_.identity.node,
                    .name = options_.identity.name,
                    .nonce = outside_->random(),
                    .cluster_port = options_.identity.cluster_port,
                    .beacons = options_.discovery,
                    .jitter_seed = outside_->random()},
                   now()) {
    for (const auto& address : asked) discovery_.add_asked(address, now());
    remembered_ = outside_->remembered_peers();
    for (const auto& address : remembered_) discovery_.add_remembered(address, now());
  }

  // Without a goodbye, as where the process ends; the peers see their connections end.
  ~Shell() override {
    for (auto& [id, channel] : channels_)
      channel.connection->close(Error{Code::closed, "[cluster] this machine stops"});
  }

  void begin() {
    if (options_.discovery) open_beacons();
    outside_->accept([this] { return has_room(); },
                     [this](std::shared_ptr<FrameConnection> connection) {
                       open_channel(std::move(connection), TlsRole::responder, std::nullopt);
                     });
    tick();
  }

  void set_self(NodeInfo self) override {
    self.cluster_port = options_.identity.cluster_port;
    membership_.set_self(std::move(self));
    carry_out();
  }

  bool send(const NodeId& to, const Frame& frame) override {
    note_carried(to);
    const auto connection = connection_to(to);
    if (!connection) return false;
    connection->send(frame);
    return true;
  }

  Status offer(const NodeId& to, const Frame& frame) override {
    note_carried(to);
    const auto connection = connection_to(to);
    if (!connection)
      return fail(Code::unavailable,
                  "[cluster] the machine that should have got a {} is no longer connected; try again",
                  to_string(frame.header.kind));
    if (connection->offer(frame)) return {};
    return fail(
        Code::busy,
        "[cluster] expected at most {} to wait for {} but requests sent just before fill it; try again in a moment",
        format_bytes(FrameConnection::offered_bytes_max), connection->remote_host());
  }

  ClusterView view() const override { return membership_.view(); }

  std::vector<PeerAddress> addresses_of(const NodeId& node) const override {
    auto addresses = discovery_.addresses_of(node);
    const auto channel = channels_.find(membership_.connection_to(node).value_or(0));
    if (channel == channels_.end() || !channel->second.reachable) return addresses;
    // First: the one that works.
    std::erase(addresses, *channel->second.reachable);
    addresses.insert(addresses.begin(), *channel->second.reachable);
    return addresses;
  }

  std::optional<PeerFacts> facts_of(const NodeId& node) const override {
    const auto found = facts_.find(node);
    return found == facts_.end() ? std::nullopt : std::optional(found->second);
  }

  void prefer_host(const NodeId& node, std::string host) override {
    membership_.prefer_host(node, std::move(host));
    carry_out();
  }

  std::optional<Certificate> shown_by(const NodeId& member) const override {
    const auto connection = connection_to(member);
    const auto* tls = connection ? connection->tls() : nullptr;
    return tls ? tls->peer() : std::nullopt;
  }

  void put_out(const NodeId& member, std::string reason) override {
    membership_.put_out(member, reason, now());
    carry_out();
  }

  void retry() override {
    discovery_.announce(now());
    discovery_.retry_all(now());
    dial_due();
  }

  std::vector<PeerAddress> doors() const override { return discovery_.all_addresses(); }

  bool send_to_guest(std::uint64_t guest, const Frame& frame) override {
    const auto found = channels_.find(guest);
    if (found == channels_.end() || !found->second.guest || !found->second.connection->is_open()) return false;
    found->second.connection->send(frame);
    return true;
  }

  void let_guest_wait(std::uint64_t guest, std::chrono::seconds time) override {
    if (const auto found = channels_.find(guest); found != channels_.end() && found->second.guest)
      found->second.deadline = now() + time;
  }

  void dismiss_guest(std::uint64_t guest, Error cause) override {
    if (!channels_.contains(guest)) return;
    close_channel(guest, cause);
    events_.on_guest_gone(guest);
  }

  void leave(std::string reason, std::function<void()> done) override {
    if (leaving_) return;
    leaving_ = true;
    on_left_ = std::move(done);
    beacons_.reset();
    tick_alarm_.reset();
    outside_->stop_accepting();
    membership_.say_goodbye(reason);
    carry_out();
    while (!channels_.empty())
      close_channel(channels_.begin()->first, Error{Code::closed, "[cluster] this machine leaves"});
    leave_alarm_ = outside_->alarm(closing_.empty() ? Instant::duration(0) : Instant::duration(leave_time_max),
                                   [this] { finish_leaving(); });
  }

 private:
  // One TCP connection, from its first byte on.
  struct Channel {
    std::shared_ptr<FrameConnection> connection;
    std::optional<Handshake> handshake;    // from when TLS is established until it is done
    bool is_proven = false;                // it is
    std::optional<Guest> guest;            // where it was one of class join
    std::optional<PeerAddress> dialled;    // where we connected to; empty where the peer did
    std::optional<PeerAddress> reachable;  // where the peer can be dialled, once the handshake is done
    std::string host;
    Instant deadline;  // of the handshake; then, of a guest, of what it waits for
  };

  // Of a node, in its present life and ours.
  struct Joins {
    std::uint64_t incarnation = 0, count = 0;
    ConnectionId connection = 0;  // by which it is reached
    bool has_carried = false;     // something of ours that is not membership's
  };

  // --- Time ---
  void tick() {
    if (leaving_) return;
    const auto at = now();
    watch_own_loop(at);
    membership_.on_tick(at);
    end_slow_handshakes(at);
    if (beacons_ && at >= interfaces_due_) {
      interfaces_due_ = at + interfaces_interval;
      if (beacons_->refresh_interfaces()) discovery_.announce(at);
    }
    if (beacons_) {
      if (const auto beacon = discovery_.take_beacon(at)) beacons_->send_everywhere(*beacon);
    }
    dial_due();
    carry_out();
    tick_alarm_ = outside_->alarm(Membership::tick_interval, [this] { tick(); });
  }

  // Heartbeats are answered by this very loop, so nothing on it may take long (docs/architecture.md has what it takes).
  void watch_own_loop(Instant at) {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    const auto computed = std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
    const auto since = computed - std::exchange(loop_computed_, computed);
    const auto late = at - std::exchange(ticked_, at) - Membership::tick_interval;
    if (late < loop_busy_told) return;
    log(LogLevel::debug, "cluster", "the loop was {} ms late, in which it computed for {} ms",
        std::chrono::ceil<std::chrono::milliseconds>(late).count(),
        std::chrono::ceil<std::chrono::milliseconds>(since).count());
  }

  void end_slow_handshakes(Instant at) {
    std::vector<ConnectionId> slow;
    for (const auto& [id, channel] : channels_)
      if (!channel.is_proven && at >= channel.deadline) slow.push_back(id);
    for (const auto id : slow) on_handshake_failed(id, Error{Code::timeout, "did not finish the handshake in time"});
    std::vector<ConnectionId> waited_long;
    for (const auto& [id, channel] : channels_)
      if (channel.guest && at >= channel.deadline) waited_long.push_back(id);
    for (const auto id : waited_long)
      refuse_guest(id, Error{Code::timeout,
                             "[cluster] nobody let this machine in; run flotilla join again, and flotilla "
                             "approve CODE on a member"});
  }

  // --- Beacons ---
  void open_beacons() {
    auto opened =
        outside_->open_beacons(guarded([this](const BeaconSockets::Source& source,
                                              std::span<const std::byte> datagram) { on_datagram(source, datagram); }));
    if (opened)
      beacons_ = *std::move(opened);
    else
      log(LogLevel::warning, "cluster", "{}", opened.error().message);
  }

  void on_datagram(const BeaconSockets::Source& source, std::span<const std::byte> datagram) {
    const auto heard = discovery_.on_beacon(source.host, datagram, now());
    if (!heard) {
      if (heard.error().code == Code::unauthorized) complain(source.host, plain(heard.error()));
      return;
    }
    const auto& beacon = heard->beacon;
    std::string reason;
    if (beacon.version != protocol_version) {
      if (!membership_.connection_to(beacon.node))
        note_facts(beacon.node, {.version = beacon.version, .clock_ahead = {}});
      reason = std::format("{} speaks protocol version {} but {} speaks version {}; update flotilla on {}", beacon.name,
                           beacon.version, options_.identity.name, protocol_version,
                           beacon.version < protocol_version ? beacon.name : options_.identity.name);
    }
    membership_.on_seen(beacon.node, beacon.name, "", source.host, reason, now());
    if (heard->answer) beacons_->send_to(source, discovery_.answer());
    if (heard->is_news) dial_due();
    carry_out();
  }

  // Strangers choose their ids at will: the oldest fact makes room.
  void note_facts(const NodeId& node, const PeerFacts& facts) {
    if (!facts_.contains(node)) {
      facts_order_.push_back(node);
      if (facts_order_.size() > facts_max) {
        facts_.erase(facts_order_.front());
        facts_order_.pop_front();
      }
    }
    facts_[node] = facts;
  }

  void note_facts(const HandshakePeer& peer) {
    PeerFacts facts{.version = peer.version, .clock_ahead = {}};
    if (peer.clock > 0 && peer.clock < clock_max)
      facts.clock_ahead = std::chrono::seconds(static_cast<std::int64_t>(peer.clock)) - wall_time().time_since_epoch();
    note_facts(peer.node, facts);
  }

  // --- Connections ---
  bool has_room() const {
    const auto strangers = std::ranges::count_if(channels_, [](const auto& entry) { return !entry.second.is_proven; });
    return static_cast<std::size_t>(strangers) + closing_.size() < strangers_max;
  }

  Instant now() const { return outside_->now(); }

  void dial_due() {
    for (const auto& address : discovery_.take_due_dials(now())) dial_at(address);
  }

  void dial_at(const PeerAddress& address) {
    outside_->dial(address, dial_time_max,
                   guarded([this, address](Result<std::shared_ptr<FrameConnection>> connection) {
                     on_dialled(address, std::move(connection));
                   }));
  }

  void on_dialled(const PeerAddress& address, Result<std::shared_ptr<FrameConnection>> connection) {
    if (leaving_) return;
    if (connection) return open_channel(*std::move(connection), TlsRole::initiator, address);
    const bool worth_a_word = discovery_.on_dial_failed(address, now());
    if (const auto known = discovery_.known_at(address);
        known && !known->name.empty() && now() - known->heard_at < beacons_fresh_for) {
      membership_.on_seen(
          known->node, known->name, "", address.host,
          std::format("its beacons arrive, but TCP port {} cannot be reached; open it in the firewall there",
                      address.port),
          known->heard_at);  // one that has stopped is not to be looked for in firewalls
      carry_out();
    } else {
      log(worth_a_word ? LogLevel::warning : LogLevel::debug, "cluster", "a machine asked for is not there: {}",
          printable(plain(connection.error())));
    }
  }

  // The open one to a member; null where there is none.
  std::shared_ptr<FrameConnection> connection_to(const NodeId& to) const {
    const auto id = membership_.connection_to(to);
    const auto channel = id ? channels_.find(*id) : channels_.end();
    return channel == channels_.end() || !channel->second.connection->is_open() ? nullptr : channel->second.connection;
  }

  void open_channel(std::shared_ptr<FrameConnection> connection, TlsRole role, std::optional<PeerAddress> dialled) {
    const ConnectionId id = ++last_connection_;
    channels_[id] = {.connection = connection,
                     .handshake = {},
                     .dialled = std::move(dialled),
                     .reachable = {},
                     .host = connection->remote_host(),
                     .deadline = now() + limits::handshake_time_max};
    connection->bound_bodies(FrameConnection::stranger_body_bytes_max);
    connection->when_secured(guarded([this, id, role] { begin_handshake(id, role); }));
    connection->start(guarded([this, id](Frame frame) { on_channel_frame(id, std::move(frame)); }),
                      guarded([this, id](const Error& cause) { on_channel_closed(id, cause); }));
  }

  void begin_handshake(ConnectionId id, TlsRole role) {
    const auto found = channels_.find(id);
    if (found == channels_.end()) return;
    auto& channel = found->second;
    auto binding = outside_->bind(*channel.connection);
    const auto self = options_.identity.hello();
    channel.handshake = role == TlsRole::initiator
                            ? Handshake::initiate(self, ConnectionClass::control, std::move(binding))
                            : Handshake::respond(self, std::move(binding));
    send_handshake(channel);
  }

  static void send_handshake(Channel& channel) {
    while (const auto frame = channel.handshake->take_outgoing()) channel.connection->send(*frame);
  }

  void on_channel_frame(ConnectionId id, Frame frame) {
    const auto found = channels_.find(id);
    if (found == channels_.end()) return;
    auto& channel = found->second;
    if (channel.handshake) {
      const auto status = channel.handshake->on_frame(frame);
      send_handshake(channel);
      if (!status)
        on_handshake_failed(id, status.error());
      else if (channel.handshake->done())
        on_handshake_done(id, channel);
    } else if (channel.guest) {
      const Guest guest = *channel.guest;  // it may be dismissed
      events_.on_guest_frame(guest, frame);
    } else if (const auto from = membership_.node_of(id)) {
      const FrameHeader header = frame.header;
      const bool is_membership = membership_.on_frame(id, frame, now());
      if (!is_membership && events_.on_frame) events_.on_frame(*from, std::move(frame));
      if (header.kind == FrameKind::ping) on_joins_counted(*from, id, header.step);
    }
    carry_out();
  }

  void on_handshake_done(ConnectionId id, Channel& channel) {
    const HandshakePeer peer = *channel.handshake->peer();
    note_facts(peer);
    if (peer.connection_class == ConnectionClass::bulk) return hand_over_bulk(id, channel, peer);
    channel.handshake.reset();
    channel.is_proven = true;
    if (peer.connection_class == ConnectionClass::join) return receive_guest(id, channel, peer);
    channel.connection->bound_bodies(limits::control_body_bytes_max);
    channel.reachable = channel.dialled.value_or(PeerAddress{.host = channel.host, .port = peer.cluster_port});
    if (channel.dialled) discovery_.on_dial_done(*channel.dialled, peer.node, now());
    if (peer.node == options_.identity.node)
      return close_channel(id, Error{Code::closed, "[cluster] connected to itself"});
    // It came to us while we went to it. Nothing has been said here yet; later, both would have to change over to this
    // one.
    if (channel.dialled && membership_.hears(peer.node, now()))
      return close_channel(id, Error{Code::closed, "[cluster] it has come by itself meanwhile"});
    membership_.on_connected(id, peer, channel.dialled.has_value(), channel.host, now());
  }

  void receive_guest(ConnectionId id, Channel& channel, const HandshakePeer& peer) {
    const auto* tls = channel.connection->tls();
    const auto shown = tls ? tls->peer() : std::nullopt;
    const auto guests =
        std::ranges::count_if(channels_, [](const auto& entry) { return entry.second.guest.has_value(); });
    if (!shown || static_cast<std::size_t>(guests) >= guests_max)
      return refuse_guest(id, Error{Code::busy,
                                    "[cluster] too many machines want to join at the same time; try again "
                                    "in some seconds"});
    channel.guest =
        Guest{.id = id, .peer = peer, .key = shown->public_key(), .exporter = tls->exporter(), .host = channel.host};
    channel.deadline = now() + limits::handshake_time_max;  // to say what it wants
  }

  void refuse_guest(ConnectionId id, const Error& cause) {
    if (const auto found = channels_.find(id); found != channels_.end()) {
      found->second.connection->send(make_refusal(cause));
      dismiss_guest(id, cause);
    }
  }

  void hand_over_bulk(ConnectionId id, Channel& channel, const HandshakePeer& peer) {
    auto socket = channel.connection->release();
    channels_.erase(id);
    if (!events_.on_bulk) return;
    if (const auto sent = send_go_ahead(socket); sent)
      events_.on_bulk(peer, std::move(socket));
    else
      log(LogLevel::debug, "cluster", "{}", sent.error().message);
  }

  // The peer is shown as seen where we know who it is; otherwise only the log can tell.
  void on_handshake_failed(ConnectionId id, const Error& cause) {
    const auto found = channels_.find(id);
    if (found == channels_.end()) return;
    const auto& channel = found->second;
    const auto peer = channel.handshake ? channel.handshake->peer() : std::nullopt;
    if (peer && !membership_.connection_to(peer->node)) note_facts(*peer);  // whose it says that it is
    if (peer && peer->node == options_.identity.node) {
      complain(channel.host, plain(cause));  // two nodes with one identity cannot be two members
    } else if (peer) {
      membership_.on_seen(peer->node, peer->name, peer->release, channel.host, plain(cause), now());
    } else if (const auto known = channel.dialled ? discovery_.known_at(*channel.dialled) : std::nullopt;
               known && !known->name.empty()) {
      membership_.on_seen(known->node, known->name, "", channel.host, plain(cause), now());
    } else if (cause.code == Code::closed && !channel.handshake) {
      // Somebody looked whether the port answers, as flotilla doctor does.
      log(LogLevel::debug, "cluster", "a connection from {} ended before it began", channel.host);
    } else {
      complain(channel.host, std::format("the connection with {} is closed: {}", channel.host, plain(cause)));
    }
    if (channel.dialled)
      discovery_.on_dial_refused(*channel.dialled, peer ? std::optional(peer->node) : std::nullopt, now());
    close_channel(id, cause);
  }

  void on_channel_closed(ConnectionId id, const Error& cause) {
    if (closing_.erase(id) > 0) {
      if (leaving_ && closing_.empty()) finish_leaving();
      return;
    }
    const auto found = channels_.find(id);
    if (found == channels_.end()) return;
    if (!found->second.is_proven) {
      on_handshake_failed(id, cause);
    } else if (found->second.guest) {
      channels_.erase(found);
      events_.on_guest_gone(id);
    } else {
      channels_.erase(found);
      membership_.on_closed(id, cause);
    }
    carry_out();
  }

  // Forgets the channel; the connection still sends what is queued.
  void close_channel(ConnectionId id, const Error& cause) {
    const auto found = channels_.find(id);
    if (found == channels_.end()) return;
    const auto connection = found->second.connection;
    channels_.erase(found);
    if (!connection->is_open()) return;
    closing_.emplace(id, connection);
    connection->close(cause);
  }

  // --- Effects ---
  // Callbacks may call set_self() or send(), which make new effects: the outermost call goes on until none is left.
  void carry_out() {
    if (std::exchange(carrying_out_, true)) return;
    while (membership_.has_effects()) {
      auto effects = membership_.take_effects();
      for (auto& [id, frame] : effects.send) {
        if (frame.header.kind == FrameKind::ping) frame.header.step = joins_told_on(id);
        if (const auto found = channels_.find(id); found != channels_.end()) found->second.connection->send(frame);
      }
      for (const auto& node : effects.joined) {
        on_joined(node);
        events_.on_joined(node);
      }
      for (const auto& [id, cause] : effects.close) close_channel(id, cause);
      for (const auto& [node, cause] : effects.lost) on_lost(node, cause);
      for (const auto& node : effects.dial)
        for (const auto& address : addresses_of(node)) dial_at(address);
      for (const auto& sentence : effects.news) complain(sentence, sentence);  // strangers can cause it at will
      if (effects.view_changed) follow_connections();
      if (effects.view_changed && events_.on_view) events_.on_view();
    }
    carrying_out_ = false;
  }

  void on_joined(const NodeId& node) {
    count_join(node);
    discovery_.on_joined(node);
    const auto found = channels_.find(membership_.connection_to(node).value_or(0));
    if (found == channels_.end() || !found->second.reachable) return;
    const auto& address = *found->second.reachable;
    discovery_.add_remembered(address, now());
    discovery_.on_dial_done(address, node, now());
    if (!remembered_.empty() && remembered_.front() == address) return;
    std::erase(remembered_, address);
    remembered_.insert(remembered_.begin(), address);
    if (remembered_.size() > remembered_peers_max) remembered_.resize(remembered_peers_max);
    if (const auto written = outside_->remember_peers(remembered_); !written)
      complain("the file of remembered peers", written.error().message);
  }

  // A loss is one for both: who loses a member gives up all that was between the two, and may be back before the other
  // has noticed anything, which would wait for ever for what was given up. So each tells the other how often it has
  // joined it, and who has done so less often catches up.
  void count_join(const NodeId& node) {
    const ClusterView view = membership_.view();
    const Member* member = view.find(node);
    if (!member) return;
    Joins& joins = joins_[node];
    if (joins.incarnation != member->info.incarnation) joins = {.incarnation = member->info.incarnation};
    ++joins.count;
    joins.connection = membership_.connection_to(node).value_or(0);
    joins.has_carried = false;
    if (const auto connection = connection_to(node)) connection->send(make_frame(FrameKind::ping, {}, {}, joins.count));
  }

  // Each heartbeat to a member says it again: what told it first may have gone down with its connection.
  std::uint64_t joins_told_on(ConnectionId id) const {
    const auto node = membership_.node_of(id);
    const auto joins = node ? joins_.find(*node) : joins_.end();
    return joins != joins_.end() && membership_.connection_to(*node) == id ? joins->second.count : 0;
  }

  void on_joins_counted(const NodeId& node, ConnectionId joined_by, std::uint64_t count) {
    const auto joins = joins_.find(node);
    if (joins == joins_.end() || count <= joins->second.count || !membership_.connection_to(node)) return;
    joins->second.count = count;
    const Error cause{Code::closed, "[cluster] it had lost this machine, and is back"};
    // What is sent from now on must not go by a connection that the other end has given up.
    std::vector<ConnectionId> given_up;
    for (const auto& [id, channel] : channels_)
      if (id < joined_by && membership_.node_of(id) == node) given_up.push_back(id);
    for (const ConnectionId id : given_up) give_up(id, cause);
    joins->second.connection = membership_.connection_to(node).value_or(0);
    joins->second.has_carried = false;
    tell_lost(node, cause);
  }

  // Where another connection to a member takes over, be it that the one before broke or that two were too many, what is
  // under way on that one is lost, or overtaken by what is sent now. That counts as a loss and a return.
  void follow_connections() {
    std::vector<std::pair<NodeId, ConnectionId>> switched;
    for (auto& [node, joins] : joins_) {
      const ConnectionId current = membership_.connection_to(node).value_or(0);
      const ConnectionId before = std::exchange(joins.connection, current);
      if (current != before && current != 0 && before != 0 && joins.has_carried) switched.emplace_back(node, before);
    }
    for (const auto& [node, before] : switched) {
      const Error cause{Code::closed, "[cluster] another connection to it has taken over"};
      give_up(before, cause);
      count_join(node);
      tell_lost(node, cause);
    }
  }

  // Also what finds its connection ended, before anybody was told of that, is lost with it.
  void note_carried(const NodeId& to) {
    if (const auto joins = joins_.find(to); joins != joins_.end()) joins->second.has_carried = true;
  }

  void give_up(ConnectionId id, const Error& cause) {
    membership_.on_closed(id, cause);
    close_channel(id, cause);
  }

  void tell_lost(const NodeId& node, const Error& cause) {
    log(LogLevel::info, "cluster", "a member is taken for lost although it is here: {}", plain(cause));
    if (events_.on_lost) events_.on_lost(node, cause);
  }

  void on_lost(const NodeId& node, const Error& cause) {
    if (!membership_.connection_to(node)) {  // otherwise a restarted one is here again already
      discovery_.on_left(node, now());
      if (!leaving_) discovery_.announce(now());
    }
    log(LogLevel::info, "cluster", "{}", printable(cause.message));
    if (events_.on_lost) events_.on_lost(node, cause);
  }

  void complain(const std::string& subject, const std::string& sentence) {
    if (complaints_.may_speak_of(subject, now())) log(LogLevel::warning, "cluster", "{}", printable(sentence));
  }

  void finish_leaving() {
    leave_alarm_.reset();
    closing_.clear();
    if (const auto done = std::exchange(on_left_, nullptr)) done();
  }

  const std::unique_ptr<Outside> outside_;
  const ClusterOptions options_;
  const Events events_;
  Membership membership_;
  Discovery discovery_;
  std::unique_ptr<Alarm> tick_alarm_, leave_alarm_;
  std::unique_ptr<BeaconSockets> beacons_;
  std::map<ConnectionId, Channel> channels_;
  std::map<ConnectionId, std::shared_ptr<FrameConnection>> closing_;
  std::map<NodeId, Joins> joins_;
  std::vector<PeerAddress> remembered_;
  Complaints complaints_;
  std::map<NodeId, PeerFacts> facts_;
  std::deque<NodeId> facts_order_;  // the oldest first
  std::function<void()> on_left_;
  Instant interfaces_due_, ticked_ = now();
  std::chrono::nanoseconds loop_computed_{0};
  ConnectionId last_connection_ = 0;
  bool carrying_out_ = false, leaving_ = false;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::start(boost::asio::io_context& loop, ClusterOptions options, NodeInfo self,
                                                Events events) {
  std::vector<PeerAddress> asked;
  for (const auto& text : options.peers) {
    FLOTILLA_TRY(auto address, parse_address(text, limits::cluster_port));
    asked.push_back(std::move(address));
  }
  FLOTILLA_TRY(auto listener, tcp_listen("", options.cluster_port));
  options.identity.cluster_port = self.cluster_port = local_port(listener);
  auto outside = make_socket_outside(loop, options, std::move(listener));
  return start(std::move(outside), std::move(options), std::move(self), std::move(events), asked);
}

std::unique_ptr<Cluster> Cluster::start(std::unique_ptr<Outside> outside, ClusterOptions options, NodeInfo self,
                                        Events events, const std::vector<PeerAddress>& asked) {
  auto shell =
      std::make_unique<Shell>(std::move(outside), std::move(options), std::move(self), std::move(events), asked);
  shell->begin();
  return shell;
}

}  // namespace flotilla
