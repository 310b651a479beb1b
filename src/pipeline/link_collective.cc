#include "pipeline/link_collective.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "wire/values.h"

namespace flotilla {
namespace {

// 32 KiB a piece. Two of them lie in a connection's buffers without anyone reading (a receiver opens a window of 64 KiB
// before it has measured anything, and a sender keeps 16), so that all may send first and read then.
constexpr std::size_t piece_values = 8192, pieces_ahead = 2;

class LinkCollective final : public Collective {
 public:
  explicit LinkCollective(std::shared_ptr<Group> group)
      : group_(std::move(group)), frames_(group_->members()), sums_(piece_values), summands_(piece_values) {}

  void start(std::span<float> values) override {
    values_ = values;
    sent_ = received_ = 0;
    round_values(values_, group_->value_type());
    send_ahead();
  }

  Status wait() override {
    while (health_ && received_ < values_.size()) {
      health_ = receive_piece();
      send_ahead();
    }
    return health_;
  }

  void close(const Error& cause) override { group_->close(cause); }

 private:
  std::span<float> piece_at(std::size_t first) const {
    return values_.subspan(first, std::min(piece_values, values_.size() - first));
  }

  void send_ahead() {
    while (health_ && sent_ < values_.size() && sent_ < received_ + pieces_ahead * piece_values) {
      const auto piece = piece_at(sent_);
      body_.resize(piece.size() * value_bytes(group_->value_type()));
      put_values(body_.data(), piece, group_->value_type());
      health_ = group_->send_to_all(FrameKind::partial_sum, body_);
      sent_ += piece.size();
    }
  }

  Status receive_piece() {
    const auto own = piece_at(received_);
    for (std::uint32_t member = 0; member < group_->members(); ++member)
      if (member != group_->member()) FLOTILLA_TRY_STATUS(receive_summands(member, own.size()));
    for (std::uint32_t member = 0; member < group_->members(); ++member) add(member, own);
    std::copy_n(sums_.begin(), own.size(), own.begin());
    received_ += own.size();
    return {};
  }

  Status receive_summands(std::uint32_t member, std::size_t count) {
    Frame& frame = frames_[member];
    FLOTILLA_TRY_STATUS(group_->receive(member, FrameKind::partial_sum, frame));
    if (frame.body.size() == count * value_bytes(group_->value_type())) return {};
    return fail(Code::corrupt, "[pipeline] expected {} summands of {} bytes from member {} but got {} bytes", count,
                value_bytes(group_->value_type()), member, frame.body.size());
  }

  void add(std::uint32_t member, std::span<const float> own) {
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

  const std::shared_ptr<Group> group_;
  std::span<float> values_;
  std::size_t sent_ = 0, received_ = 0;  // of values_
  std::vector<Frame> frames_;            // by member, kept for their memory
  std::vector<float> sums_, summands_;
  Bytes body_;
  Status health_;
};

}  // namespace

std::unique_ptr<Collective> make_link_collective(std::shared_ptr<Group> group) {
  return std::make_unique<LinkCollective>(std::move(group));
}

}  // namespace flotilla
