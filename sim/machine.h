// One simulated machine while its node runs: the cluster and the desks that ship, over a simulated outside, files and
// runners. What a real node has besides (app/node.h: HTTP, texts, measuring, letting machines in) is not here.
// In: frames, chance.  Out: the same; what is told to the referee.  Owns: the node.  Thread: the one there is.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/model_desks.h"
#include "cluster/cluster.h"
#include "sim/network.h"
#include "sim/referee.h"
#include "sim/scripted_runner.h"
#include "sim/simulated_outside.h"
#include "sim/simulated_store.h"

namespace flotilla::sim {

class Machine;

// All machines, running or not, and what they share.
struct Fleet {
  World& world;
  Network& network;
  Referee& referee;
  std::shared_ptr<const Gguf> model;
  std::vector<NodeId> nodes;
  std::vector<std::uint64_t> memory_bytes;  // offered
  std::vector<bool> has_file;
  std::vector<Keepsakes> keepsakes;
  std::vector<std::unique_ptr<Machine>> machines;  // null: it does not run
  // A request was sent to a placement, as seen by its entry node: by the number that clients put into its seed.
  std::function<void(const GenerateRequest& sent, const NodeId& head)> on_sent = [](const auto&, const auto&) {};
  // For the bug called old_epoch: what the request of an event of another epoch than its present one goes by now.
  std::function<std::optional<std::pair<TokenEvent, NodeId>>(const TokenEvent& stale, Epoch epoch)> renew =
      [](const auto&, Epoch) { return std::nullopt; };

  std::optional<std::size_t> machine_of(const NodeId& node) const;
  void start(std::size_t machine);
  void end(std::size_t machine, bool loses_power);
};

class Machine {
 public:
  Machine(Fleet& fleet, Life life);

  Life life() const { return life_; }
  ModelDesks& desks() { return *desks_; }
  const ModelDesks& desks() const { return *desks_; }
  ClusterView view() const { return cluster_->view(); }
  std::uint64_t incarnation() const { return context_->next_epoch.incarnation; }
  // Of the token event that is being handed on just now.
  Epoch epoch_at_hand() const { return epoch_at_hand_; }
  bool kill_a_runner();
  void end_runners();  // with the machine
  std::size_t runners() const;
  void turn();  // does what waits on its loop

 private:
  NodeInfo describe() const;
  void publish();
  bool send(const NodeId& to, const Frame& frame);
  Status offer(const NodeId& to, const Frame& frame);
  void to_self(const Frame& frame);
  void note_order(const Frame& frame);
  void on_frame(const NodeId& from, Frame frame);
  void plant_in(const NodeId& from, const Frame& frame);
  Result<std::shared_ptr<SpawnedRunner>> spawn(SpawnedRunner::OnFrame on_frame, SpawnedRunner::OnExit on_exit);

  Fleet& fleet_;
  World& world_;
  const Life life_;
  boost::asio::io_context loop_{1};
  SimulatedStore store_;
  std::optional<NodeContext> context_;
  std::optional<ModelDesks> desks_;
  std::unique_ptr<Cluster> cluster_;
  NodeInfo published_;
  Epoch epoch_at_hand_;
  std::vector<std::weak_ptr<ScriptedRunner>> runners_;
};

}  // namespace flotilla::sim
