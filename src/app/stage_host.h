// Decides the life of the stages this node holds for some head (itself or another): get the layers' bytes, start a
// runner, pass frames between it and the head, stop it. In: prepare_stage, connect_ring, stop_stage, generate, cancel.
// Out: stage_ready, ring_connected, stage_failed, load_progress, token_event, stage_stats: to the head.  Owns: the
// runners.  Thread: the loop's.
#pragma once

#include <atomic>
#include <map>
#include <memory>

#include "app/node_context.h"
#include "app/ticker.h"
#include "wire/control.h"

namespace flotilla {

class StageHost {
 public:
  StageHost(NodeContext& context, std::uint64_t memory_offered_bytes, std::uint32_t threads);
  ~StageHost();

  void on_prepare(const NodeId& head, PrepareStage order);
  void on_connect_ring(const NodeId& head, ConnectRing order);
  void on_stop(const NodeId& head, const StopStage& order);
  // On the head's node: generate (busy where too much waits for the runner, unavailable where there is none), cancel.
  Status offer_to_runner(PlacementId placement, const Frame& frame);
  void to_runner(PlacementId placement, const Frame& frame);
  void on_node_lost(const NodeId& node);  // its stages serve nobody now

  std::uint64_t memory_taken_bytes() const;
  std::uint64_t memory_offered_bytes() const { return memory_offered_bytes_; }
  int runner_pid(PlacementId placement) const;                   // -1: none here
  void set_rates(const MachineRates& rates) { rates_ = rates; }  // for stages prepared from now on

 private:
  struct Held;
  std::shared_ptr<Held> find(const NodeId& head, PlacementId placement, Epoch epoch);
  void fetch_header(const std::shared_ptr<Held>& held);
  void admit(const std::shared_ptr<Held>& held, const StoredModel& stored);
  void fetch_layers(const std::shared_ptr<Held>& held, const StoredModel& stored);
  void start_runner(const std::shared_ptr<Held>& held);
  void on_runner_gone(const std::shared_ptr<Held>& held, const std::string& how);
  void watch_stages();
  void on_runner_frame(const std::shared_ptr<Held>& held, Frame frame);
  void fail_stage(const std::shared_ptr<Held>& held, const Error& cause);
  void fail_stage_unless_explained(const std::shared_ptr<Held>& held, Error cause);
  void refuse(const NodeId& head, const PrepareStage& order, const Error& cause);
  void drop(PlacementId placement);
  void set_threads(PrepareStage& order) const;
  bool is_alone(const Held& held) const;

  NodeContext& context_;
  const std::uint64_t memory_offered_bytes_;
  const std::uint32_t threads_;
  MachineRates rates_;
  std::map<PlacementId, std::shared_ptr<Held>> held_;
  Ticker watch_;  // from the first stage on
  bool is_watching_ = false;
};

}  // namespace flotilla
