// Decides the life of the placements this node heads: plan, have every stage prepared, close the ring, publish, and end
// it when a stage fails. It issues their epochs: nobody else does. In: load_model, unload_model, stage_ready,
// ring_connected, stage_failed, load_progress, stage_stats, lost nodes. Out: prepare_stage, connect_ring, stop_stage,
// load_progress, load_result.  Owns: the placements.  Thread: the loop's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/header_desk.h"
#include "app/node_context.h"
#include "app/tallies.h"
#include "planner/planner.h"
#include "wire/control.h"
#include "wire/generate.h"

namespace flotilla {

using StatsPerStage = std::vector<std::vector<StageStats>>;  // of each stage's members

class HeadDesk {
 public:
  // `on_ended`: the placement is gone and why, and whether its requests may go on elsewhere: unless it was unloaded.
  using OnEnded = std::function<void(PlacementId, const Error&, GoesOn)>;
  HeadDesk(NodeContext& context, HeaderDesk& headers, OnEnded on_ended);

  void on_load(const NodeId& asker, const LoadModel& order);
  void on_unload(const NodeId& asker, const UnloadModel& order);
  void on_ready(const NodeId& from, const StageReady& ready);
  void on_connected(const NodeId& from, const RingConnected& connected);
  void on_failed(const NodeId& from, const StageFailed& failed);
  void on_progress(const NodeId& from, const LoadProgress& progress);
  void on_stats(const NodeId& from, const StageStats& stats);
  void on_node_lost(const NodeId& node, const Error& cause);

  std::vector<Placement> placements() const;
  const Placement* find(PlacementId id) const;
  // What the placement was loaded by. Valid until it ends.
  const LoadModel& order(PlacementId id) const;
  const Plan& plan(PlacementId id) const;

  // --- the steps of a move (app/move_desk.h decides them); each of a placement headed here, and each seen by all nodes
  void tell(PlacementId id, const std::string& detail);
  // Whoever comes by name waits for what follows, or is sent to the successor as long as that is seen ready; who comes
  // by id is answered still.
  void close(PlacementId id, const std::string& detail, bool has_successor);
  void open_again(PlacementId id, const std::string& detail);
  void empty(PlacementId id, const std::string& detail);  // its stages end; who waits goes on waiting
  void hand_over(PlacementId id, const Placement& successor);
  // Emptied: the same plan, as another placement. `tries`: what its order says of moves.
  void load_again(PlacementId id, const std::string& why, std::uint32_t tries);
  void end(PlacementId id, const Error& cause);
  // Per stage, in ring order: what each last said it had done. Empty where the placement is headed elsewhere.
  const StatsPerStage* stats(PlacementId id) const;  // null where another node heads it
  const HeadTally& tally() const { return tally_; }

 private:
  struct Headed;
  struct Asker {
    NodeId node;
    std::uint64_t ticket = 0;
    bool is_for_requests = false;  // that lost their placement, and go on trying unless the model is unloaded
  };
  // An order whose header is not here yet.
  struct Starting {
    std::uint64_t number = 0;  // of the start: another of the same model may follow one that was unloaded
    LoadModel order;
    std::vector<Asker> askers;
    std::vector<std::pair<NodeId, LoadModel>> later;  // who wants something else: heard once this one is planned
  };
  void join(Headed& headed, const LoadModel& order, const Asker& asker);
  std::optional<Placement> ready_elsewhere(const Placement& placement) const;  // the same model
  void begin(const LoadModel& order, const Asker& asker, const std::optional<Placement>& replaced);
  void on_header(const std::string& model, std::uint64_t number, const Result<StoredModel>& stored,
                 const std::optional<Placement>& replaced);
  Status plan_and_start(const Starting& starting, const Result<StoredModel>& stored,
                        const std::optional<Placement>& replaced);
  std::shared_ptr<Headed> start(const LoadModel& order, const Plan& plan, const StoredModel& stored,
                                std::vector<Asker> askers);
  void prepare(const std::shared_ptr<Headed>& headed);
  void close_ring(Headed& headed);
  void become_ready(Headed& headed);
  LoadModel as_before(LoadModel order) const;
  void lose(const std::shared_ptr<Headed>& headed, const Error& cause);
  void start_over(const std::shared_ptr<Headed>& headed, const Error& cause);
  void end(const std::shared_ptr<Headed>& headed, const Error& cause, GoesOn requests);
  void end_all(const std::string& model, const Error& cause, GoesOn requests);
  void give_way(const std::string& model, const Error& cause);
  void look_for_successor(PlacementId id, std::uint32_t looks_left);
  void stop_stages(const Headed& headed);
  void answer_all(Headed& headed, const Placement& placement);
  void answer(const Asker& asker, const Placement& placement);
  void refuse(const Asker& asker, const Error& cause);
  void refuse_ended(const Asker& asker, Error cause, GoesOn requests);
  void refuse_all(const Starting& starting, const Error& cause, GoesOn requests);
  std::shared_ptr<Headed> find_headed(PlacementId id, Epoch epoch) const;
  std::shared_ptr<Headed> find_model(const std::string& model) const;  // of several, the one that goes on

  NodeContext& context_;
  HeaderDesk& headers_;
  OnEnded on_ended_;
  std::map<PlacementId, std::shared_ptr<Headed>> headed_;
  std::map<std::string, Starting> starting_;  // by model
  // By model: what those were loaded by that were lost in service and not loaded since.
  std::map<std::string, LoadModel> lost_;
  std::uint64_t starts_ = 0;
  HeadTally tally_;
};

}  // namespace flotilla
