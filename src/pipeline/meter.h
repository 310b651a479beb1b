// Counts what a stage does and tells the node once a second while there is work, and the head once more when it ends.
// Thread: the computing thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "pipeline/node_line.h"
#include "wire/control.h"

namespace flotilla {

// On the head, waiting is what the ring takes while nothing is computed, encoding and sending included.
struct StepTiming {
  std::chrono::steady_clock::duration compute{0}, wait{0};
  bool alone = true;                             // no other step was under way, as far as the stage can see
  std::chrono::steady_clock::duration round{0};  // the head's: from its beginning until its tokens are chosen
  std::uint32_t position = 0;                    // of the step's first row
};

class Meter {
 public:
  using Now = std::chrono::steady_clock::time_point;

  Meter(NodeLine& node, const PrepareStage& plan) : node_(node), epoch_(plan.epoch) {
    total_.placement = plan.placement;
    total_.stage_index = plan.stage_index;
  }

  // After every step.
  void add_step(std::uint64_t rows, std::uint64_t tokens, const StepTiming& timing);
  void send_if_due(Now now, std::uint32_t running, std::uint32_t queued);
  void send_rest();  // before a time without work: what was not told yet, and that nothing runs
  const StageStats& total() const { return total_; }

 private:
  void send(std::uint32_t running, std::uint32_t queued);

  NodeLine& node_;
  const Epoch epoch_;
  StageStats total_;
  Now sent_{};
  bool told_all_ = true;  // since the last step
};

}  // namespace flotilla
