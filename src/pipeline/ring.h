// Decides how a stage reaches its neighbours: it receives from upstream and sends downstream, in a circle that begins
// and ends at the head. In: steps. Out: steps. Owns: both links.
//
// Thread: the computing thread; close() any.   Never: hands on a frame of another epoch, trusts what a frame says.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "io/link.h"
#include "io/tcp_link.h"
#include "pipeline/group.h"
#include "pipeline/node_line.h"
#include "pipeline/runner.h"
#include "wire/control.h"
#include "wire/step.h"

namespace flotilla {

// A step as it came: reused from step to step so that nothing is allocated once the ring is warm.
struct ReceivedStep {
  Frame frame;
  StepBatch batch;
  Activations activations;
};

class Ring {
 public:
  Ring(std::unique_ptr<Link> upstream, std::unique_ptr<Link> downstream, const PrepareStage& plan);

  Status send(const StepBatch& batch, std::span<const float> values, std::uint32_t width);
  // The next step of this epoch; frames of another are dropped. Where a stage before this one says why it is lost, that
  // is the error. timeout where none began in time.
  Status receive(ReceivedStep& step, std::chrono::nanoseconds patience = for_ever);
  // For the head, once the ring no longer moves: where a send has to wait, steps that come back are taken in meanwhile.
  // A stage that computes takes nothing from the one before it; if every link were full of activations, all would wait
  // for each other for ever. One that listens breaks the circle.
  void listen_while_sending();
  // Tells the stages after this one why; where the link is already cut there is no one to tell.
  void send_lost(const Error& cause);
  void close(const Error& cause);
  Traffic sent() const { return downstream_->sent(); }
  std::uint64_t frames_dropped() const { return frames_dropped_; }

 private:
  Status next_frame(Frame& frame, std::chrono::nanoseconds patience);
  Status take_in();
  std::unexpected<Error> why_gone(const Error& cause);

  std::unique_ptr<Link> upstream_, downstream_;
  const PlacementId placement_;
  const Epoch epoch_;
  const std::uint32_t stage_index_;
  const ActivationType activation_type_;
  Bytes scratch_;
  std::deque<Frame> taken_in_;  // while a send waited
  std::uint64_t frames_dropped_ = 0;
};

// A ring of one stage: what the head sends it receives itself.
Ring make_lone_ring(const PrepareStage& plan);

// Connects to the next stage and to the earlier members of the own one, then waits for the stage before and the later
// members; all prove by the ring's key that they belong together. The members' links go to `group`. A member that is not
// its stage's first has no part in the ring: empty.
Result<std::optional<Ring>> connect_ring(const PrepareStage& plan, const ConnectRing& next, const Descriptor& listener,
                                         const RunnerOptions& options, const NodeLine& node, Group& group);

}  // namespace flotilla
