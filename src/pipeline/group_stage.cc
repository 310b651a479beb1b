#include "pipeline/group_stage.h"

#include <algorithm>
#include <cstring>

#include "engine/likeliest.h"
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
    FLOTILLA_TRY_STATUS(ask_for(FrameKind::logits_slice, rows));
    FLOTILLA_TRY(const auto own, own_->logits(rows));
    const std::size_t count = rows.size() / spec().embedding_length, vocabulary = spec().vocabulary;
    logits_.resize(count * vocabulary);
    FLOTILLA_TRY(std::size_t column, place(std::as_bytes(own), count, 0));
    for (std::uint32_t member = 1; member < group_->members(); ++member) {
      FLOTILLA_TRY_STATUS(group_->receive(member, FrameKind::logits_slice, slices_[member]));
      FLOTILLA_TRY(column, place(slices_[member].body, count, column));
    }
    FLOTILLA_TRY_STATUS(check_whole(column));
    return std::span<const float>(logits_);
  }

  Result<std::span<const LikeliestToken>> likeliest(std::span<const float> rows) override {
    if (rows.empty()) return own_->likeliest(rows);
    FLOTILLA_TRY_STATUS(ask_for(FrameKind::likeliest_slice, rows));
    FLOTILLA_TRY(const auto own, own_->likeliest(rows));
    likeliest_.assign(own.begin(), own.end());
    std::uint32_t column = own_->vocabulary().end;
    for (std::uint32_t member = 1; member < group_->members(); ++member) {
      FLOTILLA_TRY_STATUS(group_->receive(member, FrameKind::likeliest_slice, slices_[member]));
      FLOTILLA_TRY(column, compare(slices_[member].body, column));
    }
    FLOTILLA_TRY_STATUS(check_whole(column));
    return std::span<const LikeliestToken>(likeliest_);
  }

  IndexRange vocabulary() const override { return {0, spec().vocabulary}; }
  const ModelSpec& spec() const override { return own_->spec(); }
  StageMemory memory() const override { return own_->memory(); }

 private:
  // Where no ring lies between, members had the rows from computing the step.
  Status ask_for(FrameKind kind, std::span<const float> rows) {
    return lone_ ? Status{} : group_->send_to_all(kind, std::as_bytes(rows));
  }

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

  // Keeps what is likelier among a member's tokens, which begin at `column`; where they end.
  Result<std::uint32_t> compare(std::span<const std::byte> body, std::uint32_t column) {
    FLOTILLA_TRY_STATUS(decode_likeliest(body, slice_));
    if (slice_.rows.size() != likeliest_.size() || slice_.first != column)
      return fail(
          Code::corrupt,
          "[pipeline] expected the likeliest tokens of {} rows, from token {} on, from a member but got {} from "
          "{} on",
          likeliest_.size(), column, slice_.rows.size(), slice_.first);
    keep_likeliest(likeliest_, slice_.rows);
    return slice_.end;
  }

  Status check_whole(std::size_t columns) const {
    if (columns == spec().vocabulary) return {};
    return fail(Code::corrupt, "[pipeline] expected logits of {} tokens from the members together but got {}",
                spec().vocabulary, columns);
  }

  const std::unique_ptr<Stage> own_;
  const std::shared_ptr<Group> group_;
  const bool lone_;
  Bytes body_;
  std::vector<Frame> slices_;  // by member
  std::vector<float> logits_;
  LikeliestSlice slice_;
  std::vector<LikeliestToken> likeliest_;
};

}  // namespace

std::unique_ptr<Stage> make_group_stage(std::unique_ptr<Stage> own, std::shared_ptr<Group> group, bool lone) {
  return std::make_unique<GroupStage>(std::move(own), std::move(group), lone);
}

}  // namespace flotilla
