#include "pipeline/worker.h"

#include "base/log.h"
#include "pipeline/meter.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

class Worker {
 public:
  Worker(Stage& stage, Ring& ring, const Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan)
      : stage_(stage),
        ring_(ring),
        node_(node),
        clock_(clock),
        meter_(node, plan, &ring, &group),
        width_(stage.spec().embedding_length) {}

  Status turn() {
    const auto begun = Clock::now();
    FLOTILLA_TRY_STATUS(receive());
    FLOTILLA_TRY_STATUS(check_shape());
    const auto received = Clock::now();
    FLOTILLA_TRY(const auto values, compute());
    const auto computed = Clock::now();
    FLOTILLA_TRY_STATUS(ring_.send(step_.batch, values, width_));
    const auto waited = received - begun;
    meter_.add_step(step_.batch.rows.size(), 0,
                    {.compute = computed - received,
                     .wait = waited < idle_after ? waited : Clock::duration{0},
                     .position = step_.batch.rows.empty() ? 0 : step_.batch.rows.front().position});
    meter_.send_if_due(computed, 0, 0);
    while (node_.try_next()) log(LogLevel::warning, "pipeline", "a command that only a head can obey is passed over");
    return {};
  }

 private:
  // Where no step comes for a while, what was not told yet is.
  Status receive() {
    if (meter_.has_told_all()) return ring_.receive(step_);
    const auto status = ring_.receive(step_, tell_after);
    if (status || status.error().code != Code::timeout) return status;
    meter_.send_rest();
    return ring_.receive(step_);
  }

  Result<std::span<const float>> compute() {
    const TimedStep timed(clock_, step_.batch.rows.size());
    return stage_.step(step_.batch, step_.activations.values);
  }

  // What decode_step could not know: how wide this model is, and that rows between stages come whole.
  Status check_shape() const {
    const auto& [rows, width, values] = step_.activations;
    if (rows == step_.batch.rows.size() && width == width_) return {};
    return fail(Code::corrupt,
                "[pipeline] expected activations of {} rows × {} but got {} × {}; the stage before is broken",
                step_.batch.rows.size(), width_, rows, width);
  }

  Stage& stage_;
  Ring& ring_;
  NodeLine& node_;
  StepClock& clock_;
  Meter meter_;
  const std::uint32_t width_;
  ReceivedStep step_;
};

}  // namespace

Status run_worker(Stage& stage, Ring& ring, const Group& group, NodeLine& node, StepClock& clock,
                  const PrepareStage& plan) {
  Worker worker(stage, ring, group, node, clock, plan);
  for (;;) {
    auto status = worker.turn();
    if (status) continue;
    if (node.ended()) return {};
    ring.send_lost(status.error());
    return status;
  }
}

}  // namespace flotilla
