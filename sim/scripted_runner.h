// What stands for a runner's process: it loads for a while, forms its ring over the simulated network and answers with
// tokens that are a pure function of prompt, tokens so far and seed. It keeps to what the real one does where its node
// and its neighbours can tell (pipeline/runner.h): it holds on to one epoch, and a broken ring is a failure once its
// node has had a moment to say that it is meant to end.
// In: frames of its node, steps of the ring.  Out: the same.  Owns: its ends of the ring.  Thread: the one there is.
// Never: stands for one of several members of a stage.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "app/spawned_runner.h"
#include "sim/network.h"
#include "sim/referee.h"
#include "wire/control.h"
#include "wire/generate.h"

namespace flotilla::sim {

TokenId next_token(const std::vector<TokenId>& prompt, const std::vector<TokenId>& answer, std::uint64_t seed);

class ScriptedRunner final : public SpawnedRunner, public std::enable_shared_from_this<ScriptedRunner> {
 public:
  struct Place {  // where it runs
    World& world;
    Network& network;
    Referee& referee;
    Life life;
  };
  ScriptedRunner(const Place& place, OnFrame on_frame, OnExit on_exit);
  ~ScriptedRunner() override;

  void send(const Frame& frame) override;
  bool offer(const Frame& frame) override;
  bool is_open() const override { return runs_; }
  void stop() override;
  int pid() const override { return -1; }

  void kill() override;  // by the system
  bool runs() const { return runs_; }

 private:
  struct Running {
    GenerateRequest request;
    std::vector<TokenId> answer;
  };
  void later(Duration pause, void (ScriptedRunner::*what)());
  void tell(FrameKind kind, Bytes body);
  void hear(const Frame& frame);
  void load(PrepareStage plan);
  void finish_loading();
  void connect(const ConnectRing& order);
  void on_caller(const std::shared_ptr<Connection>& caller);
  void on_neighbour_frame(const Frame& frame);
  void on_neighbour_gone();
  void say_connected();
  void give_up_ring();
  void generate(GenerateRequest request);
  void step();
  void pass_on();
  void finish_step();
  void fail();
  void exit(const std::string& how);

  const Place place_;
  OnFrame on_frame_;
  OnExit on_exit_;
  Instant last_heard_{}, last_told_{};  // the pipe keeps its order
  std::optional<PrepareStage> plan_;
  std::uint16_t port_ = 0;
  std::shared_ptr<Connection> upstream_, downstream_, caller_;
  std::deque<Running> running_;
  Duration step_time_;
  bool runs_ = true, holds_stage_ = false, has_ring_ = false, is_stepping_ = false, has_failed_ = false;
};

}  // namespace flotilla::sim
