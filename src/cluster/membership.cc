#include "cluster/membership.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/check.h"
#include "wire/control.h"

namespace flotilla {
namespace {

// Whoever started later gives way where two claim one name; ids decide between twins of one microsecond.
bool is_newcomer(const NodeInfo& info, const NodeInfo& than) {
  return std::pair(info.incarnation, info.id) > std::pair(than.incarnation, than.id);
}

std::string taken(const std::string& name) {
  return std::format("another machine is already called \"{}\"; start this one with --name", name);
}

std::string taken_there(const std::string& name) {
  return std::format("it is called \"{}\" like a machine that was here before; start it there with --name", name);
}

}  // namespace

Membership::Membership(NodeInfo self, Instant now) : self_(std::move(self)), last_tick_(now), ping_due_(now) {}

void Membership::set_self(NodeInfo self) {
  check(self.id == self_.id, "a node keeps its id");
  auto like_before = self;
  like_before.revision = self_.revision;
  if (like_before == self_) return;
  self.revision = std::max(self.revision, self_.revision + 1);
  self_ = std::move(self);
  effects_.view_changed = true;
  for (const auto& [id, connection] : connections_)
    effects_.send.emplace_back(id, make_frame(FrameKind::node_info, encode(self_)));
}

void Membership::on_connected(ConnectionId id, const HandshakePeer& peer, bool initiated_by_us, std::string host,
                              Instant now) {
  Connection connection{.peer = peer,
                        .initiated_by_us = initiated_by_us,
                        .host = std::move(host),
                        .since = now,
                        .heard = now,
                        .info = {},
                        .retire_at = {}};
  connections_.insert_or_assign(id, std::move(connection));
  effects_.send.emplace_back(id, make_frame(FrameKind::node_info, encode(self_)));
  effects_.send.emplace_back(id, make_frame(FrameKind::ping, {}));
}

bool Membership::on_frame(ConnectionId id, const Frame& frame, Instant now) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return true;  // closed a moment ago: nobody waits for this frame
  auto& connection = found->second;
  connection.heard = now;
  switch (frame.header.kind) {
    case FrameKind::ping:
      effects_.send.emplace_back(id, make_frame(FrameKind::pong, {}));
      return true;
    case FrameKind::pong:
      connection.answered = true;
      introduce(id, connection, now);
      return true;
    case FrameKind::node_info:
      on_node_info(id, connection, frame.body, now);
      return true;
    case FrameKind::goodbye:
      on_goodbye(id, frame.body, now);
      return true;
    default:
      break;
  }
  if (members_.contains(connection.peer.node)) return on_hearsay(id, frame, now);
  drop(id, Error{Code::corrupt,
                 std::format("[cluster] expected an introduction but got {}; closing", to_string(frame.header.kind))});
  return true;
}

void Membership::on_node_info(ConnectionId id, Connection& connection, std::span<const std::byte> body, Instant now) {
  auto info = decode_node_info(body);
  if (!info) return drop(id, info.error());
  if (info->id != connection.peer.node)
    return drop(id, Error{Code::corrupt, std::format("[cluster] expected news of {} but got some of {}; closing",
                                                     to_string(connection.peer.node), to_string(info->id))});
  // The name was judged in the handshake (--trust-lan keeps it for the first machine that had it).
  if (info->name != connection.peer.name)
    return drop(id, Error{Code::corrupt, std::format("[cluster] expected news of {} but got some of {}; closing",
                                                     connection.peer.name, info->name)});
  if (!settle_name(id, *info, now) || !settle_incarnation(id, *info)) return;
  if (const auto member = members_.find(info->id);
      member != members_.end() && member->second.info.revision < info->revision) {
    member->second.info = *info;
    effects_.view_changed = true;
  }
  connection.info = *std::move(info);
  introduce(id, connection, now);
}

// False where the connection is gone: its node may not have the name it claims.
bool Membership::settle_name(ConnectionId id, const NodeInfo& info, Instant now) {
  if (info.name == self_.name) {
    const bool we_came_later = is_newcomer(self_, info);
    refuse(id, we_came_later ? taken_there(info.name) : taken(info.name),
           we_came_later ? taken(info.name) : taken_there(info.name), now);
    return false;
  }
  for (auto& [node, member] : members_) {
    if (node == info.id || member.info.name != info.name) continue;
    if (is_newcomer(info, member.info)) {
      refuse(id, taken(info.name), taken_there(info.name), now);
      return false;
    }
    refuse(member.current, taken(info.name), taken_there(info.name), now);
    break;  // refuse() changed the table
  }
  return true;
}

// False where the connection is gone: it belongs to a process that has ended since.
bool Membership::settle_incarnation(ConnectionId id, const NodeInfo& info) {
  if (const auto copied = copies_.on_seen(info.id, info.name, info.incarnation, connections_.at(id).host)) {
    effects_.news.push_back(*copied);
    effects_.send.emplace_back(id,
                               make_frame(FrameKind::goodbye, encode(Goodbye{std::string(refusal_prefix) + *copied})));
    drop(id, Error{Code::unauthorized, "[cluster] " + *copied});
    return false;
  }
  const auto member = members_.find(info.id);
  if (member == members_.end()) return true;
  if (info.incarnation < member->second.info.incarnation) {
    drop(id, Error{Code::closed, "[cluster] an older process of a machine that has restarted"});
    return false;
  }
  if (info.incarnation > member->second.info.incarnation) {
    const Error restarted{Code::closed, std::format("[cluster] {} has restarted", info.name)};
    std::erase_if(connections_, [&](const auto& entry) {
      if (entry.first == id || entry.second.peer.node != info.id) return false;
      effects_.close.emplace_back(entry.first, restarted);
      return true;
    });
    members_.erase(member);
    effects_.lost.emplace_back(info.id, restarted);
    effects_.view_changed = true;
  }
  return true;
}

void Membership::introduce(ConnectionId id, Connection& connection, Instant now) {
  if (!connection.is_introduced()) return;
  const NodeId node = connection.peer.node;
  if (const auto member = members_.find(node); member != members_.end()) {
    if (member->second.current != id && !connection.retire_at) arbitrate(id, connection, member->second, now);
    return;
  }
  if (members_.size() + 1 >= limits::nodes_max) {
    refuse(id, std::format("this cluster is full ({} machines)", limits::nodes_max), "the cluster is full", now);
    return;
  }
  members_.emplace(node, Joined{.info = *connection.info, .current = id, .since = now});
  seen_.erase(node);
  effects_.joined.push_back(node);
  effects_.view_changed = true;
}

// Two connections to one member. Both sides must keep the same one without asking each other. The loser is closed a
// little later, so that frames already under way on it arrive and neither side takes its end for a loss.
void Membership::arbitrate(ConnectionId id, Connection& incoming, Joined& member, Instant now) {
  auto& existing = connections_.at(member.current);
  if (now - existing.heard >= limits::peer_silence_lost) return remake(id, now);
  bool keep_existing = incoming.initiated_by_us;  // we dialled although joined: a second address of the same machine
  if (existing.initiated_by_us != incoming.initiated_by_us) {
    // The lower id's, however long one stood before the other: each end sees its own times, but both see the ids.
    keep_existing = existing.initiated_by_us == (self_.id < incoming.peer.node);
  } else if (!incoming.initiated_by_us) {
    // The peer dialled twice and decides which to keep; it talks on the newer one unless it closes it.
    make_current(member, id);
    return;
  }
  if (keep_existing) {
    incoming.retire_at = now + retire_after;
    return;
  }
  existing.retire_at = now + retire_after;
  make_current(member, id);
}

void Membership::make_current(Joined& member, ConnectionId id) {
  auto& connection = connections_.at(id);
  connection.retire_at.reset();
  member.current = id;
  effects_.view_changed = true;  // the host may be another
}

void Membership::on_goodbye(ConnectionId id, std::span<const std::byte> body, Instant now) {
  const auto goodbye = decode_goodbye(body);
  const std::string reason = goodbye ? goodbye->reason : "no reason";
  const auto peer = connections_.at(id).peer;
  const auto host = connections_.at(id).host;
  expel(peer.node, Error{Code::closed, std::format("[cluster] {} left: {}", peer.name, reason)});
  if (!reason.starts_with(refusal_prefix)) return;
  on_seen(peer.node, peer.name, peer.release, host, reason.substr(refusal_prefix.size()), now);
}

// Tells the node at the other end why it may not join, forgets it as a member, and shows it as seen.
void Membership::refuse(ConnectionId id, const std::string& told, const std::string& shown, Instant now) {
  const auto peer = connections_.at(id).peer;
  const auto host = connections_.at(id).host;
  effects_.send.emplace_back(id, make_frame(FrameKind::goodbye, encode(Goodbye{std::string(refusal_prefix) + told})));
  expel(peer.node, Error{Code::busy, "[cluster] " + shown});
  on_seen(peer.node, peer.name, peer.release, host, shown, now);
}

// Ends everything with `node`: all its connections, and its membership where it had one.
void Membership::expel(const NodeId& node, const Error& cause) {
  std::erase_if(connections_, [&](const auto& entry) {
    if (entry.second.peer.node != node) return false;
    effects_.close.emplace_back(entry.first, cause);
    return true;
  });
  hearsay_.forget(node);
  if (members_.erase(node) == 0) return;
  effects_.lost.emplace_back(node, cause);
  effects_.view_changed = true;
}

void Membership::put_out(const NodeId& node, const std::string& reason, Instant now) {
  if (const auto connection = connection_to(node)) refuse(*connection, reason, reason, now);
}

void Membership::drop(ConnectionId id, const Error& cause) {
  effects_.close.emplace_back(id, cause);
  on_closed(id, cause);
}

void Membership::on_closed(ConnectionId id, const Error& cause) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const NodeId node = found->second.peer.node;
  connections_.erase(found);
  const auto member = members_.find(node);
  if (member == members_.end() || member->second.current != id) return;
  for (auto& [other, connection] : connections_) {
    if (connection.peer.node == node && connection.is_introduced()) return make_current(member->second, other);
  }
  members_.erase(member);
  hearsay_.forget(node);
  effects_.lost.emplace_back(node, cause);
  effects_.view_changed = true;
}

void Membership::on_seen(const NodeId& node, const std::string& name, const std::string& release,
                         const std::string& host, const std::string& reason, Instant now) {
  if (node == self_.id || members_.contains(node)) return;
  auto found = seen_.find(node);
  if (found == seen_.end()) {
    if (reason.empty()) return;
    if (seen_.size() >= limits::nodes_max)
      seen_.erase(std::ranges::min_element(seen_, {}, [](const auto& entry) { return entry.second.at; }));
    found = seen_.try_emplace(node).first;
  }
  auto& seen = found->second;
  seen.at = now;
  if (reason.empty() || (seen.reason == reason && seen.name == name)) return;
  seen = {.name = name, .release = release.empty() ? seen.release : release, .host = host, .reason = reason, .at = now};
  effects_.news.push_back(std::format("{} at {} is seen but not joined: {}", name, host, reason));
  effects_.view_changed = true;
}

void Membership::prefer_host(const NodeId& node, std::string host) {
  const auto member = members_.find(node);
  if (member == members_.end() || member->second.preferred_host == host) return;
  member->second.preferred_host = std::move(host);
  effects_.view_changed = true;
}

void Membership::say_goodbye(const std::string& reason) {
  for (const auto& [id, connection] : connections_)
    effects_.send.emplace_back(id, make_frame(FrameKind::goodbye, encode(Goodbye{reason})));
}

ClusterView Membership::view() const {
  ClusterView view;
  view.members.push_back(Member{.info = self_, .state = MemberState::self, .reason = {}, .host = {}});
  for (const auto& [node, member] : members_) {
    view.members.push_back(
        Member{.info = member.info,
               .state = member.suspect ? MemberState::suspect : MemberState::joined,
               .reason = {},
               .host = member.preferred_host.empty() ? connections_.at(member.current).host : member.preferred_host});
  }
  for (const auto& [node, seen] : seen_) {
    NodeInfo info;
    info.id = node;
    info.name = seen.name;
    info.version = seen.release;
    view.members.push_back(
        Member{.info = std::move(info), .state = MemberState::seen, .reason = seen.reason, .host = seen.host});
  }
  std::ranges::sort(view.members.begin() + 1, view.members.end(), {},
                    [](const Member& member) { return std::tie(member.info.name, member.info.id); });
  return view;
}

std::optional<NodeId> Membership::node_of(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? std::nullopt : std::optional(found->second.peer.node);
}

std::optional<ConnectionId> Membership::connection_to(const NodeId& node) const {
  const auto found = members_.find(node);
  return found == members_.end() ? std::nullopt : std::optional(found->second.current);
}

}  // namespace flotilla
