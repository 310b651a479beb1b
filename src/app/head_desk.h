// Decides the life of the placements this node heads: plan, have every stage prepared, close the ring, publish, and end
// it when a stage fails. It issues their epochs: nobody else does. In: load_model, unload_model, stage_ready,
// ring_connected, stage_failed, load_progress, stage_stats, lost nodes. Out: prepare_stage, connect_ring, stop_stage,
// load_progress, load_result.  Owns: the placements.  Thread: the loop's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "app/header_desk.h"
#include "app/node_context.h"
#include "planner/planner.h"
#include "wire/control.h"

namespace flotilla {

class HeadDesk {
 public:
  // `on_ended`: the placement is gone (unloaded or failed) and why; requests on it end.
  HeadDesk(NodeContext& context, HeaderDesk& headers, std::function<void(PlacementId, const Error&)> on_ended);

  void on_load(const NodeId& asker, const LoadModel& order);
  void on_unload(const NodeId& asker, const UnloadModel& order);
  void on_ready(const NodeId& from, const StageReady& ready);
  void on_connected(const NodeId& from, const RingConnected& connected);
  void on_failed(const NodeId& from, const StageFailed& failed);
  void on_progress(const LoadProgress& progress);
  void on_stats(const NodeId& from, const StageStats& stats);
  void on_node_lost(const NodeId& node, const Error& cause);

  std::vector<Placement> placements() const;
  const Placement* find(PlacementId id) const;
  // What the placement was loaded by. Valid until it ends.
  const LoadModel& order(PlacementId id) const;
  const Plan& plan(PlacementId id) const;

  // --- the steps of a move (app/move_desk.h decides them); each of a placement headed here, and each seen by all nodes
  void tell(PlacementId id, const std::string& detail);
  // Whoever comes by name waits for what follows, or is sent to the successor; who comes by id is answered still.
  void close(PlacementId id, const std::string& detail, const std::optional<Placement>& successor);
  void open_again(PlacementId id, const std::string& detail);
  void empty(PlacementId id, const std::string& detail);  // its stages end; who waits goes on waiting
  void hand_over(PlacementId id, const Placement& successor);
  void load_again(PlacementId id, const std::string& why);  // emptied: the same plan, as another placement
  void end(PlacementId id, const Error& cause);
  // Per stage, in ring order: what each last said it had done. Empty where the placement is headed elsewhere.
  std::span<const StageStats> stats(PlacementId id) const;

 private:
  struct Headed;
  struct Asker {
    NodeId node;
    std::uint64_t ticket = 0;
  };
  void begin(const LoadModel& order, const Asker& asker, const std::optional<Placement>& replaced);
  void on_header(const LoadModel& order, const Result<StoredModel>& stored, const std::optional<Placement>& replaced);
  void start(const LoadModel& order, const Plan& plan, const std::string& fingerprint, std::vector<Asker> askers);
  void prepare(const std::shared_ptr<Headed>& headed);
  void close_ring(Headed& headed);
  void become_ready(Headed& headed);
  void end(const std::shared_ptr<Headed>& headed, const Error& cause);
  void end_all(const std::string& model, const Error& cause);
  void stop_stages(const Headed& headed);
  void answer_all(Headed& headed, const Placement& placement);
  void answer(const Asker& asker, const Placement& placement);
  void refuse(const Asker& asker, const Error& cause);
  std::shared_ptr<Headed> find_headed(PlacementId id, Epoch epoch) const;
  std::shared_ptr<Headed> find_model(const std::string& model) const;  // of several, the one that goes on

  NodeContext& context_;
  HeaderDesk& headers_;
  std::function<void(PlacementId, const Error&)> on_ended_;
  std::map<PlacementId, std::shared_ptr<Headed>> headed_;
  std::map<std::string, std::vector<Asker>> starting_;  // by model, until its header is here
};

// True where the order asks for something the placement is not: other nodes, layers, context or slots.
bool differs(const LoadModel& order, const Placement& placement, const ClusterView& view);

// True where the order says which machines, which layers or in which way: then that is no longer the planner's to
// choose.
bool is_by_hand(const LoadModel& order);

}  // namespace flotilla
