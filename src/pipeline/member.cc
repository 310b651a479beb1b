#include "pipeline/member.h"

#include "base/limits.h"
#include "base/log.h"
#include "pipeline/meter.h"
#include "pipeline/wanted_rows.h"
#include "wire/values.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

class GroupMember {
 public:
  GroupMember(Stage& stage, Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan)
      : stage_(stage),
        group_(group),
        node_(node),
        clock_(clock),
        meter_(node, plan, nullptr, &group),
        answers_unasked_(plan.is_head && plan.stage_count == 1),
        is_head_(plan.is_head),
        wanted_(stage.spec().embedding_length),
        slice_{stage.vocabulary().first, stage.vocabulary().end, {}} {}

  Status turn() {
    const auto begun = Clock::now();
    FLOTILLA_TRY_STATUS(receive());
    const auto received = Clock::now();
    const bool is_step = frame_.header.kind == FrameKind::step;
    FLOTILLA_TRY_STATUS(is_step ? step() : rows());
    const auto computed = Clock::now();
    const auto waited = received - begun;
    if (is_step)
      meter_.add_step(batch_.rows.size(), 0,
                      {.compute = computed - received,
                       .wait = waited < idle_after ? waited : Clock::duration{0},
                       .position = batch_.rows.empty() ? 0 : batch_.rows.front().position});
    else
      meter_.add_compute(computed - received);
    meter_.send_if_due(computed, 0, 0);
    while (node_.try_next()) log(LogLevel::warning, "pipeline", "a command that only a head can obey is passed over");
    return {};
  }

 private:
  // Where nothing comes for a while, what was not told yet is.
  Status receive() {
    if (meter_.has_told_all()) return group_.receive_step_or_rows(frame_);
    const auto status = group_.receive_step_or_rows(frame_, tell_after);
    if (status || status.error().code != Code::timeout) return status;
    meter_.send_rest();
    return group_.receive_step_or_rows(frame_);
  }

  Status step() {
    FLOTILLA_TRY_STATUS(decode_step(frame_.header, frame_.body, batch_, activations_));
    if (activations_.rows != batch_.rows.size() || activations_.width != width())
      return fail(Code::corrupt, "[pipeline] expected activations of {} rows × {} but got {} × {}", batch_.rows.size(),
                  width(), activations_.rows, activations_.width);
    const TimedStep timed(clock_, batch_.rows.size());
    FLOTILLA_TRY(const auto values, stage_.step(batch_, activations_.values));
    return answers_unasked_ ? send_wanted(values) : Status{};
  }

  Status send_wanted(std::span<const float> values) {
    wanted_.clear();
    for (const StepRow& row : batch_.rows)
      if (row.wants_logits) wanted_.add(row.likeliest_is_enough);
    return wanted_.visit(
        values, [this](auto, auto rows) { return send_logits(rows); },
        [this](auto, auto rows) { return send_likeliest(rows); });
  }

  // Asked for by the first member where the rows have gone round a ring in between.
  Status rows() {
    const std::size_t bytes = frame_.body.size(), row_bytes = width() * sizeof(float);
    if (!is_head_ || bytes % row_bytes != 0 || bytes / row_bytes > limits::logits_rows_max)
      return fail(Code::corrupt, "[pipeline] expected at most {} whole rows for this model's head but got {} bytes",
                  limits::logits_rows_max, bytes);
    const TimedStep timed(clock_, bytes / row_bytes);
    asked_.resize(bytes / sizeof(float));
    take_values(frame_.body.data(), asked_, ActivationType::f32);
    return frame_.header.kind == FrameKind::logits_slice ? send_logits(asked_) : send_likeliest(asked_);
  }

  Status send_logits(std::span<const float> rows) {
    FLOTILLA_TRY(const auto logits, stage_.logits(rows));
    return group_.send(0, FrameKind::logits_slice, std::as_bytes(logits));
  }

  Status send_likeliest(std::span<const float> rows) {
    FLOTILLA_TRY(const auto likeliest, stage_.likeliest(rows));
    slice_.rows.assign(likeliest.begin(), likeliest.end());
    return group_.send(0, FrameKind::likeliest_slice, encode(slice_));
  }

  std::size_t width() const { return stage_.spec().embedding_length; }

  Stage& stage_;
  Group& group_;
  NodeLine& node_;
  StepClock& clock_;
  Meter meter_;
  const bool answers_unasked_, is_head_;
  Frame frame_;
  StepBatch batch_;
  Activations activations_;
  WantedRows wanted_;
  LikeliestSlice slice_;
  std::vector<float> asked_;
};

}  // namespace

Status run_member(Stage& stage, Group& group, NodeLine& node, StepClock& clock, const PrepareStage& plan) {
  GroupMember member(stage, group, node, clock, plan);
  for (;;) {
    auto status = member.turn();
    if (status) continue;
    if (node.ended()) return {};
    group.send_lost(status.error());
    return status;
  }
}

}  // namespace flotilla
