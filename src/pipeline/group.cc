#include "pipeline/group.h"

#include "base/check.h"
#include "base/log.h"
#include "pipeline/neighbour_gone.h"

namespace flotilla {

Group::Group(const PrepareStage& plan)
    : placement_(plan.placement),
      epoch_(plan.epoch),
      stage_index_(plan.stage_index),
      member_(plan.member),
      value_type_(plan.activation_type),
      links_(plan.members) {}

void Group::adopt(std::uint32_t member, std::unique_ptr<Link> link) {
  check(member != member_ && member < links_.size(), "a link to another member of the group");
  const std::scoped_lock lock(mutex_);
  if (closed_) link->close(*closed_);
  links_[member] = std::move(link);
}

Status Group::send(std::uint32_t to, FrameKind kind, std::span<const std::byte> body, std::uint64_t step) {
  FrameHeader header;
  header.kind = kind;
  header.epoch = epoch_;
  header.step = step;
  const auto status = links_[to]->send(header, body);
  return status ? status : neighbour_gone(status.error());
}

Status Group::send_to_all(FrameKind kind, std::span<const std::byte> body, std::uint64_t step) {
  for (std::uint32_t to = 0; to < members(); ++to)
    if (to != member_) FLOTILLA_TRY_STATUS(send(to, kind, body, step));
  return {};
}

Status Group::receive_next(std::uint32_t from, Frame& frame, std::chrono::nanoseconds patience) {
  do {
    if (const auto status = links_[from]->receive(frame, patience); !status) return neighbour_gone(status.error());
  } while (frame.header.epoch != epoch_);
  if (frame.header.kind != FrameKind::stage_lost) return {};
  FLOTILLA_TRY(auto lost, decode_stage_failed(frame.body));
  return fail(Error{code_from_string(lost.code), std::move(lost.message)});
}

Status Group::receive(std::uint32_t from, FrameKind expected, Frame& frame) {
  const auto begun = std::chrono::steady_clock::now();
  FLOTILLA_TRY_STATUS(receive_next(from, frame, for_ever));
  waited_ += std::chrono::steady_clock::now() - begun;
  if (frame.header.kind == expected) return {};
  return fail(Code::corrupt, "[pipeline] expected {} from member {} of this stage but got {}; its flotilla is broken",
              to_string(expected), from, to_string(frame.header.kind));
}

Status Group::receive_step_or_rows(Frame& frame, std::chrono::nanoseconds patience) {
  FLOTILLA_TRY_STATUS(receive_next(0, frame, patience));
  const FrameKind kind = frame.header.kind;
  if (kind == FrameKind::step || kind == FrameKind::logits_slice || kind == FrameKind::likeliest_slice) return {};
  return fail(Code::corrupt, "[pipeline] expected a step or rows from the first member of this stage but got {}",
              to_string(kind));
}

Traffic Group::sent() const {
  Traffic all;
  for (const auto& link : links_)
    if (link) all += link->sent();
  return all;
}

void Group::send_lost(const Error& cause) {
  const StageFailed lost{.placement = placement_,
                         .epoch = epoch_,
                         .stage_index = stage_index_,
                         .code = std::string(to_string(cause.code)),
                         .message = cause.message};
  const Bytes body = encode(lost);
  for (std::uint32_t to = 0; to < members(); ++to) {
    if (!links_[to]) continue;
    links_[to]->while_sending_waits(until_given_up());
    if (const auto status = send(to, FrameKind::stage_lost, body); !status)
      log(LogLevel::debug, "pipeline", "member {} cannot be told: {}", to, status.error().message);
  }
}

void Group::close(const Error& cause) {
  const std::scoped_lock lock(mutex_);
  if (!closed_) closed_ = cause;
  for (const auto& link : links_)
    if (link) link->close(cause);
}

}  // namespace flotilla
