// Counts what one machine does of a stage and tells the node once a second while there is work, and once more when it
// ends.
// Thread: the computing thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "pipeline/group.h"
#include "pipeline/node_line.h"
#include "pipeline/ring.h"
#include "wire/control.h"

namespace flotilla {

// On the head, waiting is what the ring takes while nothing is computed, encoding and sending included.
struct StepTiming {
  std::chrono::steady_clock::duration compute{0}, wait{0};
  bool alone = true;                             // no other step was under way, as far as the stage can see
  std::chrono::steady_clock::duration round{0};  // the head's: from its beginning until its tokens are chosen
  std::uint32_t position = 0;                    // of the step's first row
};

// A stage that is not the head's cannot see whether the ring computes elsewhere or nobody asks anything. After so long
// a wait it tells what it has counted; one yet longer is no waiting for the ring any more.
inline constexpr std::chrono::milliseconds tell_after{200};
inline constexpr std::chrono::seconds idle_after{1};

class Meter {
 public:
  using Now = std::chrono::steady_clock::time_point;

  // Either of ring and group may be absent.
  Meter(NodeLine& node, const PrepareStage& plan, const Ring* ring, const Group* group)
      : node_(node), epoch_(plan.epoch), ring_(ring), group_(group) {
    total_.placement = plan.placement;
    total_.stage_index = plan.stage_index;
    total_.member = plan.member;
  }

  // After every step.
  void add_step(std::uint64_t rows, std::uint64_t tokens, const StepTiming& timing);
  void add_compute(std::chrono::steady_clock::duration time);  // between steps
  void send_if_due(Now now, std::uint32_t running, std::uint32_t queued);
  void send_rest();  // before a time without work: what was not told yet, and that nothing runs
  bool has_told_all() const { return told_all_; }

 private:
  void send(std::uint32_t running, std::uint32_t queued);

  NodeLine& node_;
  const Epoch epoch_;
  const Ring* const ring_;
  const Group* const group_;
  StageStats total_;
  Now sent_{};
  bool told_all_ = true;  // since the last step
};

}  // namespace flotilla
