#include "pipeline/member.h"

#include <algorithm>

#include "base/limits.h"
#include "base/log.h"
#include "wire/values.h"

namespace flotilla {
namespace {

class GroupMember {
 public:
  GroupMember(Stage& stage, Group& group, NodeLine& node, const PrepareStage& plan)
      : stage_(stage),
        group_(group),
        node_(node),
        gives_logits_(plan.is_head && plan.stage_count == 1),
        is_head_(plan.is_head) {}

  Status turn() {
    FLOTILLA_TRY_STATUS(group_.receive_step_or_rows(frame_));
    FLOTILLA_TRY_STATUS(frame_.header.kind == FrameKind::step ? step() : rows());
    while (node_.try_next()) log(LogLevel::warning, "pipeline", "a command that only a head can obey is passed over");
    return {};
  }

 private:
  Status step() {
    FLOTILLA_TRY_STATUS(decode_step(frame_.header, frame_.body, batch_, activations_));
    if (activations_.rows != batch_.rows.size() || activations_.width != width())
      return fail(Code::corrupt, "[pipeline] expected activations of {} rows × {} but got {} × {}", batch_.rows.size(),
                  width(), activations_.rows, activations_.width);
    FLOTILLA_TRY(const auto values, stage_.step(batch_, activations_.values));
    return gives_logits_ ? send_logits(values) : Status{};
  }

  // Asked for by the first member where the rows have gone round a ring in between.
  Status rows() {
    if (!is_head_ || frame_.body.size() % (width() * sizeof(float)) != 0)
      return fail(Code::corrupt, "[pipeline] expected whole rows for this model's head but got {} bytes",
                  frame_.body.size());
    asked_.resize(frame_.body.size() / sizeof(float));
    take_values(frame_.body.data(), asked_, ActivationType::f32);
    return send_logits(asked_);
  }

  // As many rows at a time as the head samples from.
  Status send_logits(std::span<const float> rows) {
    const std::size_t slice = std::size_t{limits::logits_rows_max} * width();
    for (std::size_t first = 0; first < rows.size(); first += slice) {
      FLOTILLA_TRY(const auto logits, stage_.logits(rows.subspan(first, std::min(slice, rows.size() - first))));
      FLOTILLA_TRY_STATUS(group_.send(0, FrameKind::logits_slice, std::as_bytes(logits)));
    }
    return {};
  }

  std::size_t width() const { return stage_.spec().embedding_length; }

  Stage& stage_;
  Group& group_;
  NodeLine& node_;
  const bool gives_logits_, is_head_;
  Frame frame_;
  StepBatch batch_;
  Activations activations_;
  std::vector<float> asked_;
};

}  // namespace

Status run_member(Stage& stage, Group& group, NodeLine& node, const PrepareStage& plan) {
  GroupMember member(stage, group, node, plan);
  for (;;) {
    auto status = member.turn();
    if (status) continue;
    if (node.ended()) return {};
    group.send_lost(status.error());
    return status;
  }
}

}  // namespace flotilla
