// Membership's part where time passes: whose silence is whose fault, who is asked about it, and who is lost.
#include "cluster/membership.h"

#include <algorithm>
#include <format>
#include <utility>

#include "base/words.h"
#include "wire/control.h"

namespace flotilla {
namespace {

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void Membership::on_tick(Instant now) {
  const auto lateness = now - std::exchange(last_tick_, now) - tick_interval;
  doubt_.on_tick(lateness);
  if (lateness >= limits::peer_silence_lost)
    begin_anew(lateness);
  else if (lateness > tick_late)
    forgive(lateness, now);
  if (now >= ping_due_) {
    ping_all();
    ping_due_ = now + limits::heartbeat_interval - tick_interval / 2;  // ticks come a little late; skip none for that
  }
  std::vector<ConnectionId> ids;
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const auto id : ids) {
    if (const auto found = connections_.find(id); found != connections_.end()) watch(id, found->second, now);
  }
  if (std::erase_if(seen_, [&](const auto& entry) { return now - entry.second.at > seen_kept; }) > 0)
    effects_.view_changed = true;
}

// Where our own tick comes late, we were not listening (a busy or sleeping machine): what the others sent waits unread,
// and their silence is ours.
void Membership::forgive(std::chrono::nanoseconds lateness, Instant now) {
  const auto late = std::chrono::duration_cast<Instant::duration>(lateness);
  for (auto& [id, connection] : connections_) {
    connection.heard = std::min(connection.heard + late, now);
    connection.since = std::min(connection.since + late, now);
  }
}

// Where we stood still for so long, the others have lost us and gone on without us, whether or not their closing has
// arrived. What we head or hold with them is over, and we join like one that has just come.
void Membership::begin_anew(std::chrono::nanoseconds lateness) {
  const Error cause{Code::closed,
                    std::format("[cluster] this machine stood still for {:.1f} s, and the others went on without it",
                                seconds(lateness))};
  if (!members_.empty()) effects_.news.emplace_back(without_room(cause.message));
  while (!connections_.empty()) {
    const NodeId node = connections_.begin()->second.peer.node;
    expel(node, cause);
  }
}

void Membership::ping_all() {
  for (const auto& [id, connection] : connections_) effects_.send.emplace_back(id, make_frame(FrameKind::ping, {}));
}

// False where the connection is gone now.
bool Membership::watch(ConnectionId id, Connection& connection, Instant now) {
  const auto silence = now - connection.heard;
  const auto member = members_.find(connection.peer.node);
  const bool is_current = member != members_.end() && member->second.current == id;
  if (is_current) ask_about(member->first, silence, now);
  if (seconds(silence) >= seconds(limits::peer_silence_lost) * doubt_.patience() &&
      !(is_current && is_being_remade(member->first, silence, now))) {
    drop(id, Error{Code::timeout,
                   std::format("[cluster] {} has been silent for {:.1f} s", connection.peer.name, seconds(silence))});
    return false;
  }
  if (!connection.is_introduced() && now - connection.since >= limits::handshake_time_max) {
    drop(id, Error{Code::timeout, std::format("[cluster] {} did not introduce itself", connection.peer.name)});
    return false;
  }
  if (connection.retire_at && now >= *connection.retire_at && !replaces_silent(id, connection, now)) {
    drop(id, Error{Code::closed, "[cluster] there are two connections and the other one stays"});
    return false;
  }
  if (!is_current) return true;
  const bool suspect = silence >= limits::peer_silence_suspect;
  if (suspect != member->second.suspect) effects_.view_changed = true;
  member->second.suspect = suspect;
  return true;
}

// A loser that is heard while the winner is not stays and becomes the current one: the peer may have lost its end of
// the other without our hearing of it, and would lose us a second time.
bool Membership::replaces_silent(ConnectionId id, const Connection& connection, Instant now) {
  const auto member = members_.find(connection.peer.node);
  if (member == members_.end() || member->second.current == id) return false;
  const auto& current = connections_.at(member->second.current);
  if (now - current.heard < limits::peer_silence_suspect || connection.heard <= current.heard) return false;
  make_current(member->second, id);
  return true;
}

// --- What others say ---

void Membership::ask_about(const NodeId& node, std::chrono::nanoseconds silence, Instant now) {
  if (silence < limits::peer_silence_suspect) return hearsay_.forget(node);
  std::vector<NodeId> others;
  for (const auto& [other, member] : members_)
    if (other != node && !member.suspect) others.push_back(other);
  for (const NodeId& other : hearsay_.whom_to_ask(node, others, now))
    effects_.send.emplace_back(members_.at(other).current, make_frame(FrameKind::is_heard, encode(IsHeard{node})));
}

// It lives, as others say, and for a while we try to reach it by another connection; or the old one is heard again.
bool Membership::is_being_remade(const NodeId& node, std::chrono::nanoseconds silence, Instant now) {
  const auto patience = std::chrono::duration<double>(limits::peer_silence_lost) * doubt_.patience();
  if (silence > patience + Hearsay::remake_time_max || !hearsay_.is_heard_elsewhere(node, now)) return false;
  if (hearsay_.is_time_to_dial(node, now)) effects_.dial.push_back(node);
  return true;
}

// True where the frame was one of these.
bool Membership::on_hearsay(ConnectionId id, const Frame& frame, Instant now) {
  switch (frame.header.kind) {
    case FrameKind::is_heard:
      if (const auto asked = decode_is_heard(frame.body))
        effects_.send.emplace_back(id, make_frame(FrameKind::heard, encode(heard(asked->node, now))));
      return true;
    case FrameKind::heard:
      if (const auto answer = decode_heard(frame.body)) hearsay_.on_answer(*answer, now);
      return true;
    case FrameKind::link_remade:
      on_link_remade(id, now);
      return true;
    default:
      return false;
  }
}

bool Membership::hears(const NodeId& node, Instant now) const {
  const auto member = members_.find(node);
  return member != members_.end() && now - connections_.at(member->second.current).heard < limits::peer_silence_suspect;
}

Heard Membership::heard(const NodeId& node, Instant now) const {
  const auto member = members_.find(node);
  if (member == members_.end()) return {.node = node};
  const auto silence = now - connections_.at(member->second.current).heard;
  return {.node = node,
          .is_joined = true,
          .silence_ms = static_cast<std::uint64_t>(
              std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::milliseconds>(silence).count()))};
}

// What was under way on the broken one may be gone, and everyone above counts on frames that either arrive or end with
// a loss: so it is lost, and joined again by the new connection at once. The other end must see it so too.
void Membership::remake(ConnectionId id, Instant now) {
  effects_.send.emplace_back(id, make_frame(FrameKind::link_remade, {}));
  rejoin_by(id, now);
}

// We may have found out ourselves: then it has just joined.
void Membership::on_link_remade(ConnectionId id, Instant now) {
  const auto member = members_.find(connections_.at(id).peer.node);
  if (now - member->second.since >= limits::peer_silence_lost) rejoin_by(id, now);
}

void Membership::rejoin_by(ConnectionId id, Instant now) {
  auto& connection = connections_.at(id);
  const NodeId node = connection.peer.node;
  const Error cause{Code::closed, std::format("[cluster] the connection with {} broke and was made anew, by {}",
                                              connection.peer.name, connection.host)};
  std::erase_if(connections_, [&](const auto& entry) {
    if (entry.first == id || entry.second.peer.node != node) return false;
    effects_.close.emplace_back(entry.first, cause);
    return true;
  });
  connection.retire_at.reset();
  hearsay_.forget(node);
  NodeInfo info = connection.info.value_or(members_.at(node).info);
  members_[node] = Joined{.info = std::move(info), .current = id, .since = now};
  effects_.lost.emplace_back(node, cause);
  effects_.joined.push_back(node);
  effects_.view_changed = true;
}

}  // namespace flotilla
