#include "stub_stage.h"

#include <sys/prctl.h>

#include <chrono>
#include <thread>
#include <utility>

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

// A sleeping thread wakes about so late; more spinning would take cores from the other stages.
constexpr std::chrono::microseconds spin_time{30};

void sleep_until(Clock::time_point time) {
  std::this_thread::sleep_until(time - spin_time);
  while (Clock::now() < time) {
  }
}

double mean_position(const StepBatch& batch) {
  double sum = 0;
  for (const StepRow& row : batch.rows) sum += row.position;
  return batch.rows.empty() ? 0 : sum / static_cast<double>(batch.rows.size());
}

// What the script itself takes is part of the time, so that the clock starts before it.
class StubStage final : public Stage {
 public:
  StubStage(const ScriptedStageOptions& script, StubTimes times)
      : script_(make_scripted_stage(script)), layers_(script.layers.count()), times_(std::move(times)) {}

  Result<std::span<const float>> embed(const StepBatch& batch) override { return script_->embed(batch); }

  Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) override {
    const auto begun = Clock::now();
    auto values = script_->step(batch, activations);
    const double rows = static_cast<double>(batch.rows.size());
    sleep_until(begun + in_clock(layers_ * times_.layer_seconds(rows, mean_position(batch))));
    return values;
  }

  Result<std::span<const float>> logits(std::span<const float> rows) override {
    const auto begun = Clock::now();
    auto values = script_->logits(rows);
    sleep_as_the_head(begun, rows);
    return values;
  }

  Result<std::span<const LikeliestToken>> likeliest(std::span<const float> rows) override {
    const auto begun = Clock::now();
    auto tokens = script_->likeliest(rows);
    sleep_as_the_head(begun, rows);
    return tokens;
  }

  IndexRange vocabulary() const override { return script_->vocabulary(); }
  const ModelSpec& spec() const override { return script_->spec(); }
  StageMemory memory() const override { return script_->memory(); }

 private:
  void sleep_as_the_head(Clock::time_point begun, std::span<const float> rows) const {
    const auto count = static_cast<double>(rows.size() / spec().embedding_length);
    sleep_until(begun + in_clock(count * times_.head_seconds));
  }

  static Clock::duration in_clock(double seconds) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  const std::unique_ptr<Stage> script_;
  const double layers_;
  const StubTimes times_;
};

}  // namespace

std::unique_ptr<Stage> make_stub_stage(const ScriptedStageOptions& script, StubTimes times) {
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);  // of the loading thread, which is the one that computes
  return std::make_unique<StubStage>(script, std::move(times));
}

}  // namespace flotilla
