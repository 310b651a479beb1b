// For tests: nodes that decide who is a member, the connections between them and one clock, all moved by hand.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/membership.h"

namespace flotilla {

inline NodeInfo node(const std::string& name, std::uint8_t id, std::uint64_t incarnation) {
  NodeInfo info;
  info.id.bytes.back() = id;
  info.name = name;
  info.version = "0.1.0";
  info.incarnation = incarnation;
  info.memory_bytes = info.memory_free_bytes = 1u << 30;
  info.devices = {{.kind = "CPU", .description = "test", .threads = 1, .memory_bytes = 1u << 30}};
  info.cluster_port = 1;
  return info;
}

// Nodes, the connections between them, and one clock.
class World {
 public:
  struct Side {
    std::size_t node = 0;
    ConnectionId id = 0;
    auto operator<=>(const Side&) const = default;
  };
  struct Link {
    Side initiator, responder;
  };

  std::size_t add(const NodeInfo& info) {
    nodes_.push_back(std::make_unique<Node>(info, now_));
    return nodes_.size() - 1;
  }

  // A finished handshake between two nodes; frames go no further before settle().
  Link connect(std::size_t initiator, std::size_t responder) {
    const Link link{{initiator, ++last_id_}, {responder, ++last_id_}};
    peers_[link.initiator] = link.responder;
    peers_[link.responder] = link.initiator;
    rules(initiator).on_connected(link.initiator.id, peer(responder), true, "host" + std::to_string(responder), now_);
    rules(responder).on_connected(link.responder.id, peer(initiator), false, "host" + std::to_string(initiator), now_);
    return link;
  }

  // Carries frames and closings until nobody has anything more to say.
  void settle() {
    for (bool busy = true; busy;) {
      busy = false;
      for (std::size_t i = 0; i < nodes_.size(); ++i) busy |= collect(i);
      for (; !under_way_.empty(); under_way_.pop_front()) {
        const auto& [to, frame] = under_way_.front();
        if (nodes_[to.node]->deaf || cut_.contains(to)) continue;
        if (frame)
          rules(to.node).on_frame(to.id, *frame, now_);
        else
          rules(to.node).on_closed(to.id, Error{Code::closed, "the other end closed"});
        busy = true;
      }
    }
  }

  void pass(std::chrono::milliseconds time) {
    for (const auto end = now_ + time; now_ < end;) {
      now_ += Membership::tick_interval;
      for (auto& each : nodes_)
        if (!each->deaf) each->rules.on_tick(now_);
      settle();
    }
  }

  // The node hears nothing, says nothing and its clock stands still.
  void freeze(std::size_t index, bool frozen = true) { nodes_[index]->deaf = frozen; }
  void wake_late(std::size_t index) {
    freeze(index, false);
    rules(index).on_tick(now_);
  }
  void break_off(const Side& side) {
    const auto other = peers_.at(side);
    rules(side.node).on_closed(side.id, Error{Code::closed, "reset by peer"});
    rules(other.node).on_closed(other.id, Error{Code::closed, "reset by peer"});
  }
  // This end is closed, and neither that nor anything else reaches the other one.
  void lose_unnoticed(const Side& side) {
    const auto other = peers_.at(side);
    peers_.erase(side);
    peers_.erase(other);
    rules(side.node).on_closed(side.id, Error{Code::closed, "the network is gone"});
    settle();
  }
  // What is sent over these connections towards this end gets lost from now on; again whole.
  void cut(const Side& side) { cut_.insert(side); }
  void mend() { cut_.clear(); }
  // Time passes for the others; this one's ticks come so late each.
  void pass_with_late_ticks(std::size_t index, std::chrono::milliseconds time, std::chrono::milliseconds late) {
    for (const auto end = now_ + time; now_ < end;) {
      const Instant due = now_ + Membership::tick_interval + late;
      while (now_ < due) {
        now_ += Membership::tick_interval;
        for (std::size_t other = 0; other < nodes_.size(); ++other)
          if (other != index && !nodes_[other]->deaf) rules(other).on_tick(now_);
        settle();
      }
      rules(index).on_tick(now_);
      settle();
    }
  }
  void send_raw(const Side& from, Frame frame) { under_way_.emplace_back(peers_.at(from), std::move(frame)); }

  Membership& rules(std::size_t index) { return nodes_[index]->rules; }
  ClusterView view(std::size_t index) { return rules(index).view(); }
  std::string state(std::size_t of, const std::string& name) {
    const auto seen_by = view(of);
    const auto* member = seen_by.find(name);
    return member == nullptr ? "unknown" : std::string(to_string(member->state));
  }
  std::string reason(std::size_t of, std::uint8_t id) {
    for (const auto& member : view(of).members)
      if (member.info.id.bytes.back() == id) return member.reason;
    return "unknown";
  }
  std::vector<std::string> lost(std::size_t index) { return std::exchange(nodes_[index]->lost, {}); }
  std::size_t joins(std::size_t index) { return nodes_[index]->joins; }
  std::vector<NodeId> dials(std::size_t index) { return std::exchange(nodes_[index]->dials, {}); }
  Instant now() const { return now_; }

 private:
  struct Node {
    Node(const NodeInfo& self, Instant now) : info(self), rules(self, now) {}
    NodeInfo info;
    Membership rules;
    std::vector<std::string> lost;
    std::size_t joins = 0;
    std::vector<NodeId> dials;
    bool deaf = false;
  };

  HandshakePeer peer(std::size_t index) const {
    const auto& info = nodes_[index]->info;
    return {
        .node = info.id, .name = info.name, .release = info.version, .version = protocol_version, .cluster_port = 1};
  }

  bool collect(std::size_t index) {
    auto effects = rules(index).take_effects();
    for (auto& [id, frame] : effects.send)
      if (const auto to = peers_.find({index, id}); to != peers_.end())
        under_way_.emplace_back(to->second, std::move(frame));
    for (const auto& [id, cause] : effects.close) {
      const auto to = peers_.find({index, id});
      if (to == peers_.end()) continue;
      under_way_.emplace_back(to->second, std::nullopt);
      peers_.erase(to);
    }
    for (const auto& [id, cause] : effects.lost) nodes_[index]->lost.push_back(cause.message);
    nodes_[index]->joins += effects.joined.size();
    nodes_[index]->dials.insert(nodes_[index]->dials.end(), effects.dial.begin(), effects.dial.end());
    return !under_way_.empty();
  }

  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<Side, Side> peers_;
  std::set<Side> cut_;
  std::deque<std::pair<Side, std::optional<Frame>>> under_way_;
  ConnectionId last_id_ = 0;
  Instant now_ = Instant() + std::chrono::hours(1);
};

}  // namespace flotilla
