// Decides who is a member: introductions, heartbeats, silence, restarts, two connections at once, one name twice. Step
// functions: time, frames and the fate of connections are handed in, effects come out; no clock, no socket.
// In: connections whose handshake is done, their frames, ticks.  Out: Effects.  Owns: the table of members and of those
// merely seen.  Thread: the loop's.  Never: believes a beacon; only a finished handshake makes a member.
//
// Joining: both sides send node_info and a ping as soon as the handshake is done. A side counts the other as joined
// once it has its node_info and its pong; the pong says that the other side took our node_info without refusing it.
// Refusing after the handshake is a goodbye whose reason begins with refusal_prefix.
//
// Silence: suspect after two seconds, when others are asked (hearsay.h), lost after four; longer where our own ticks
// come late (self_doubt.h). One whom others hear is dialled again. A node that stood still itself for so long doubts
// itself: it leaves everyone and joins again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "cluster/hearsay.h"
#include "cluster/instant.h"
#include "cluster/self_doubt.h"
#include "cluster/view.h"
#include "trust/copy_watch.h"
#include "wire/frame.h"
#include "wire/handshake.h"
#include "wire/node_info.h"

namespace flotilla {

using ConnectionId = std::uint64_t;

class Membership {
 public:
  static constexpr std::string_view refusal_prefix = "refused: ";
  static constexpr auto tick_interval = std::chrono::milliseconds(100);
  static constexpr auto tick_late = std::chrono::seconds(1);     // beyond it, we were not listening
  static constexpr auto retire_after = std::chrono::seconds(2);  // the losing one of two connections still drains
  static constexpr auto seen_kept = std::chrono::seconds(60);

  struct Effects {  // to be carried out once; a lost node that is also joined has restarted, or the connection to it
                    // was made anew
    std::vector<std::pair<ConnectionId, Frame>> send;
    std::vector<std::pair<ConnectionId, Error>> close;  // already forgotten here; on_closed need not follow
    std::vector<std::pair<NodeId, Error>> lost;
    std::vector<NodeId> joined;
    std::vector<NodeId> dial;       // at every address: it lives, and our connection to it is broken
    std::vector<std::string> news;  // sentences for the log: who was refused, and why
    bool view_changed = false;
    bool empty() const {
      return send.empty() && close.empty() && lost.empty() && joined.empty() && dial.empty() && news.empty() &&
             !view_changed;
    }
  };

  Membership(NodeInfo self, Instant now);

  void set_self(NodeInfo self);  // same id; sent to all where anything differs
  // Handshake done. `host` is how to reach the peer.
  void on_connected(ConnectionId connection, const HandshakePeer& peer, bool initiated_by_us, std::string host,
                    Instant now);
  // True where the frame was membership's own; otherwise it is from a member and to be handed on. A frame of a
  // connection that has not joined closes it.
  bool on_frame(ConnectionId connection, const Frame& frame, Instant now);
  void on_closed(ConnectionId connection, const Error& cause);
  void on_tick(Instant now);  // every tick_interval
  // Someone who is no member was noticed. Empty `reason`: only a beacon so far, which keeps a known reason and a node
  // shown alive, but shows nobody new: most are members a moment later.
  void on_seen(const NodeId& node, const std::string& name, const std::string& release, const std::string& host,
               const std::string& reason, Instant now);
  // How a member is best reached, where that is not the host of its connection; empty: that one. Until it is lost.
  void prefer_host(const NodeId& node, std::string host);
  // It was put out of the cluster: told so, and lost as a member.
  void put_out(const NodeId& node, const std::string& reason, Instant now);
  void say_goodbye(const std::string& reason);  // to all; connections are the caller's to close afterwards

  bool has_effects() const { return !effects_.empty(); }
  Effects take_effects() { return std::exchange(effects_, {}); }
  ClusterView view() const;
  std::optional<NodeId> node_of(ConnectionId connection) const;
  std::optional<ConnectionId> connection_to(const NodeId& node) const;  // of a member
  bool hears(const NodeId& node, Instant now) const;                    // a member, whose connection works

 private:
  struct Connection {
    HandshakePeer peer;
    bool initiated_by_us = false;
    std::string host;
    Instant since, heard;
    std::optional<NodeInfo> info;
    bool answered = false;             // our ping came back
    std::optional<Instant> retire_at;  // lost against another connection to the same node
    bool is_introduced() const { return info && answered; }
  };
  struct Joined {
    NodeInfo info;
    ConnectionId current = 0;
    Instant since;
    bool suspect = false;
    std::string preferred_host;
  };
  struct Seen {
    std::string name, release, host, reason;
    Instant at;
  };

  void on_node_info(ConnectionId id, Connection& connection, std::span<const std::byte> body, Instant now);
  void on_goodbye(ConnectionId id, std::span<const std::byte> body, Instant now);
  bool settle_name(ConnectionId id, const NodeInfo& info, Instant now);
  bool settle_incarnation(ConnectionId id, const NodeInfo& info);
  void introduce(ConnectionId id, Connection& connection, Instant now);
  void arbitrate(ConnectionId id, Connection& incoming, Joined& member, Instant now);
  void refuse(ConnectionId id, const std::string& told, const std::string& shown, Instant now);
  void expel(const NodeId& node, const Error& cause);
  void drop(ConnectionId id, const Error& cause);
  void make_current(Joined& member, ConnectionId id);

  // --- membership_silence.cc
  void forgive(std::chrono::nanoseconds lateness, Instant now);
  void begin_anew(std::chrono::nanoseconds lateness);
  void ping_all();
  bool watch(ConnectionId id, Connection& connection, Instant now);
  bool replaces_silent(ConnectionId id, const Connection& connection, Instant now);
  void ask_about(const NodeId& node, std::chrono::nanoseconds silence, Instant now);
  bool is_being_remade(const NodeId& node, std::chrono::nanoseconds silence, Instant now);
  bool on_hearsay(ConnectionId id, const Frame& frame, Instant now);
  Heard heard(const NodeId& node, Instant now) const;
  void remake(ConnectionId id, Instant now);
  void on_link_remade(ConnectionId id, Instant now);
  void rejoin_by(ConnectionId id, Instant now);

  NodeInfo self_;
  std::map<ConnectionId, Connection> connections_;
  std::map<NodeId, Joined> members_;
  std::map<NodeId, Seen> seen_;
  CopyWatch copies_;
  Hearsay hearsay_;
  SelfDoubt doubt_;
  Effects effects_;
  Instant last_tick_, ping_due_;
};

}  // namespace flotilla
