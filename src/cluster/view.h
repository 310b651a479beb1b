// The cluster as one node sees it: a value, handed to planner, server and people.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "wire/node_info.h"

namespace flotilla {

enum class MemberState {
  self,
  joined,      // handshake done, answers heartbeats
  suspect,     // silent for limits::peer_silence_suspect
  seen,        // its beacon or hello arrived, but it may not (yet) join; `reason` says why and what to do
};
std::string_view to_string(MemberState state);

struct Member {
  NodeInfo info;           // of a node merely seen: id, name, version only
  MemberState state = MemberState::seen;
  std::string reason;      // for seen: "started without --trust-lan or --cluster-secret"
  std::string host;        // how we reach it: "192.168.1.7", "fe80::1%eth0"; empty for self
};

struct ClusterView {
  std::vector<Member> members;   // self first, then by name
  const Member* find(const NodeId& id) const;
  const Member* find(std::string_view name) const;
  const Member& self() const { return members.front(); }
};

// One line a machine (name, device, free memory, kind), the sum of free memory and the address of the API in the margin,
// then the machines merely seen with what to do about each. Ends with a line feed; text from peers is made printable.
std::string draw_table(const ClusterView& view, std::string_view api_url);

}  // namespace flotilla
