#include "pipeline/group_stage.h"

#include <algorithm>
#include <cstring>

#include "wire/values.h"

namespace flotilla {
namespace {

class GroupStage final : public Stage {
 public:
  GroupStage(std::unique_ptr<Stage> own, std::shared_ptr<Group> group, bool lone)
      : own_(std::move(own)), group_(std::move(group)), lone_(lone), slices_(group_->members()) {}

  Result<std::span<const float>> embed(const StepBatch& batch) override { return own_->embed(batch); }

  Result<std::span<const float>> step(const StepBatch& batch, std::span<const float> activations) override {
    encode_step(batch, activations, spec().embedding_length, ActivationType::f32, body_);
    FLOTILLA_TRY_STATUS(group_->send_to_all(FrameKind::step, body_, batch.step));
    return own_->step(batch, activations);
  }

  Result<std::span<const float>> logits(std::span<const float> rows) override {
    if (rows.empty()) return own_->logits(rows);
    if (!lone_) FLOTILLA_TRY_STATUS(group_->send_to_all(FrameKind::logits_slice, std::as_bytes(rows)));
    FLOTILLA_TRY(const auto own, own_->logits(rows));
    const std::size_t count = rows.size() / spec().embedding_length, vocabulary = spec().vocabulary;
    logits_.resize(count * vocabulary);
    FLOTILLA_TRY(std::size_t column, place(std::as_bytes(own), count, 0));
    for (std::uint32_t member = 1; member < group_->members(); ++member) {
      FLOTILLA_TRY_STATUS(group_->receive(member, FrameKind::logits_slice, slices_[member]));
      FLOTILLA_TRY(column, place(slices_[member].body, count, column));
    }
    if (column == vocabulary) return std::span<const float>(logits_);
    return fail(Code::corrupt, "[pipeline] expected logits of {} tokens from the members together but got {}",
                vocabulary, column);
  }

  const ModelSpec& spec() const override { return own_->spec(); }
  StageMemory memory() const override { return own_->memory(); }

 private:
  // Writes a member's columns of `rows` rows behind those of the members before; the column after them.
  Result<std::size_t> place(std::span<const std::byte> slice, std::size_t rows, std::size_t column) {
    const std::size_t vocabulary = spec().vocabulary, width = slice.size() / sizeof(float) / rows;
    if (width * rows * sizeof(float) != slice.size() || width > vocabulary - column)
      return fail(Code::corrupt, "[pipeline] expected logits of at most {} tokens from a member but got {} bytes",
                  vocabulary - column, slice.size());
    for (std::size_t row = 0; row < rows; ++row)
      take_values(slice.data() + row * width * sizeof(float),
                  std::span(logits_).subspan(row * vocabulary + column, width), ActivationType::f32);
    return column + width;
  }

  const std::unique_ptr<Stage> own_;
  const std::shared_ptr<Group> group_;
  const bool lone_;
  Bytes body_;
  std::vector<Frame> slices_;  // by member
  std::vector<float> logits_;
};

}  // namespace

std::unique_ptr<Stage> make_group_stage(std::unique_ptr<Stage> own, std::shared_ptr<Group> group, bool lone) {
  return std::make_unique<GroupStage>(std::move(own), std::move(group), lone);
}

}  // namespace flotilla
