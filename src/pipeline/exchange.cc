#include "pipeline/exchange.h"

#include <algorithm>

#include "base/check.h"
#include "wire/values.h"

namespace flotilla {
namespace {

std::span<float> piece_of(std::span<float> values, std::size_t first) {
  return values.subspan(first, std::min(piece_values, values.size() - first));
}

}  // namespace

void Exchange::begin(std::span<float> values, std::size_t pieces_ahead) {
  check(!values.empty(), "there is something to sum");
  if (health_) round_values(values, group_->value_type());
  pieces_ahead_max_ = pieces_ahead;
  under_way_.push_back({values});
  send_ahead();
}

bool Exchange::advance() {
  Sum& sum = under_way_.front();
  if (health_) health_ = receive_piece(sum);
  send_ahead();
  if (health_ && sum.received < sum.values.size()) return false;
  under_way_.pop_front();
  return true;
}

void Exchange::send_ahead() {
  for (Sum& sum : under_way_)
    while (health_ && sum.sent < sum.values.size() && pieces_ahead_ < pieces_ahead_max_) health_ = send_piece(sum);
}

Status Exchange::send_piece(Sum& sum) {
  const auto piece = piece_of(sum.values, sum.sent);
  body_.resize(piece.size() * value_bytes(group_->value_type()));
  put_values(body_.data(), piece, group_->value_type());
  sum.sent += piece.size();
  ++pieces_ahead_;
  return group_->send_to_all(FrameKind::partial_sum, body_);
}

Status Exchange::receive_piece(Sum& sum) {
  const auto own = piece_of(sum.values, sum.received);
  for (std::uint32_t member = 0; member < group_->members(); ++member)
    if (member != group_->member()) FLOTILLA_TRY_STATUS(receive_summands(member, own.size()));
  for (std::uint32_t member = 0; member < group_->members(); ++member) add(member, own);
  std::copy_n(sums_.begin(), own.size(), own.begin());
  sum.received += own.size();
  --pieces_ahead_;
  return {};
}

Status Exchange::receive_summands(std::uint32_t member, std::size_t count) {
  Frame& frame = frames_[member];
  FLOTILLA_TRY_STATUS(group_->receive(member, FrameKind::partial_sum, frame));
  if (frame.body.size() == count * value_bytes(group_->value_type())) return {};
  return fail(Code::corrupt, "[pipeline] expected {} summands of {} bytes from member {} but got {} bytes", count,
              value_bytes(group_->value_type()), member, frame.body.size());
}

void Exchange::add(std::uint32_t member, std::span<const float> own) {
  std::span<const float> summands = own;
  if (member != group_->member()) {
    take_values(frames_[member].body.data(), std::span(summands_).first(own.size()), group_->value_type());
    summands = std::span<const float>(summands_).first(own.size());
  }
  if (member == 0)
    std::ranges::copy(summands, sums_.begin());
  else
    for (std::size_t i = 0; i < summands.size(); ++i) sums_[i] += summands[i];
}

}  // namespace flotilla
