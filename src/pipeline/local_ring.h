// A node's part in a ring, for tests and benchmarks: starts one runner per stage (per member of each stage, where stages
// are tensor groups) on this machine, as threads of this process or processes of their own, introduces them to each
// other and reads the answers. Runners are counted stage by stage.
//
// Thread: one.   Never: waits longer than `patience` for anything.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "io/link.h"
#include "io/tcp_link.h"
#include "pipeline/runner.h"
#include "wire/control.h"
#include "wire/generate.h"

namespace flotilla {

// Where runners come from: gives the node's end of the line to runner `index`.
class Runners {
 public:
  virtual ~Runners() = default;
  virtual Result<std::unique_ptr<Link>> start(std::size_t index) = 0;
};

class ThreadRunners final : public Runners {
 public:
  ThreadRunners(RunnerOptions options, StageLoader load) : options_(std::move(options)), load_(std::move(load)) {}
  ~ThreadRunners() override;
  Result<std::unique_ptr<Link>> start(std::size_t index) override;
  // What run_runner gave back, in the order of their start; the nodes' ends must be closed before, or this waits.
  std::vector<Status> join();

 private:
  struct Run {
    Status status;
    std::thread thread;
  };
  RunnerOptions options_;
  StageLoader load_;
  std::vector<std::unique_ptr<Run>> runs_;
};

class ProcessRunners final : public Runners {
 public:
  // `command`: the program and its arguments; "--fd 3" is added and the line is descriptor 3.
  explicit ProcessRunners(std::vector<std::string> command) : command_(std::move(command)) {}
  ~ProcessRunners() override;  // ends those that still run
  Result<std::unique_ptr<Link>> start(std::size_t index) override;
  // Waits for the runner to end; its exit status, or 128 + the signal that ended it. timeout where it lives on.
  Result<int> wait_for_exit(std::size_t index, std::chrono::milliseconds patience);
  void kill(std::size_t index);
  pid_t pid(std::size_t index) const { return pids_.at(index); }

 private:
  std::vector<std::string> command_;
  std::vector<pid_t> pids_;
};

struct LocalRingOptions {
  std::string model = "scripted";
  std::vector<std::string> files;
  std::vector<LayerRange> stages;
  std::uint32_t context_tokens = 512, sequences = 4, threads = 1;
  std::uint32_t shards = 1;             // of each runner
  std::vector<double> shares = {1.0};   // of a stage's members: how much of the work each does
  ActivationType activation_type = ActivationType::f32;
  double exchange_bytes_per_second = 0;  // what members are told of their links; 0: nothing
  std::chrono::milliseconds patience{60'000};
};

// `layers` in `stages` parts as equal as they can be.
std::vector<LayerRange> even_stages(std::uint32_t layers, std::uint32_t stages);

class LocalRing {
 public:
  static Result<LocalRing> form(Runners& runners, LocalRingOptions options);

  struct Answer {
    std::vector<TokenId> tokens;
    std::vector<float> logprobs;
    TokenEvent end;
  };

  Status send(const GenerateRequest& request);  // placement is filled in
  Status cancel(RequestId id);
  Result<TokenEvent> next_event();                                 // of any request, in the order of arrival
  Result<std::map<RequestId, Answer>> answers(std::size_t count);  // until so many requests have ended
  Result<StageFailed> wait_for_failed(std::size_t index);
  Result<RunnerPulse> next_pulse(std::size_t index);
  // What every stage's statistics say of the same steps: of those it had done by some common number of steps, one entry
  // per stage. Empty where there is no such number yet.
  std::vector<StageStats> common_stats();
  // Of each stage what has been heard last while events were waited for: a second or two old.
  std::vector<StageStats> newest_stats() const;
  void hang_up(std::size_t index);  // the node is gone, as runner `index` sees it

 private:
  explicit LocalRing(LocalRingOptions options) : options_(std::move(options)) {}
  std::size_t members() const { return options_.shares.size(); }
  PrepareStage plan_of(std::size_t index) const;
  ConnectRing introduction_of(std::size_t index) const;
  Status prepare(Runners& runners);
  Status introduce();
  Result<Frame> receive(std::size_t index, FrameKind kind);  // passing over progress, keeping statistics
  void keep_stats(std::size_t index, const Frame& frame);
  void hear_all();  // what nobody reads would fill the lines

  LocalRingOptions options_;
  std::vector<std::unique_ptr<Link>> lines_;
  std::vector<std::uint16_t> ports_;
  std::map<std::size_t, Frame> failed_;  // stage_failed of runners whose line was not waited at
  std::chrono::steady_clock::time_point heard_all_{};
  bool is_formed_ = false;
  std::vector<std::map<std::uint64_t, StageStats>> stats_;  // per stage, by the steps it had done
};

}  // namespace flotilla
