#include "pipeline/group.h"

#include "base/check.h"
#include "base/log.h"
#include "pipeline/neighbour_gone.h"

namespace flotilla {
namespace {

// Per member. No one sends more than the pieces ahead that link_collective.cc allows beyond what it has from us, so at
// most twice that lies between two members, and a step or logits besides.
constexpr std::size_t frames_taken_in_max = 256;

}  // namespace

Group::Group(const PrepareStage& plan, StepClock* clock)
    : placement_(plan.placement),
      epoch_(plan.epoch),
      stage_index_(plan.stage_index),
      member_(plan.member),
      value_type_(plan.activation_type),
      clock_(clock),
      links_(plan.members),
      taken_in_(plan.members) {}

void Group::adopt(std::uint32_t member, std::unique_ptr<Link> link) {
  check(member != member_ && member < links_.size(), "a link to another member of the group");
  const std::scoped_lock lock(mutex_);
  if (closed_) link->close(*closed_);
  link->while_sending_waits([this] { return take_in(); });
  links_[member] = std::move(link);
}

Status Group::send(std::uint32_t to, FrameKind kind, std::span<const std::byte> body, std::uint64_t step) {
  FrameHeader header;
  header.kind = kind;
  header.epoch = epoch_;
  header.step = step;
  if (clock_) clock_->wait_begins(StepClock::Clock::now());  // it may have to, where the other computes
  const auto status = links_[to]->send(header, body);
  if (clock_) clock_->wait_ends(StepClock::Clock::now());
  return status ? status : neighbour_gone(status.error());
}

Status Group::send_to_all(FrameKind kind, std::span<const std::byte> body, std::uint64_t step) {
  for (std::uint32_t to = 0; to < members(); ++to)
    if (to != member_) FLOTILLA_TRY_STATUS(send(to, kind, body, step));
  return {};
}

Status Group::receive_next(std::uint32_t from, Frame& frame, std::chrono::nanoseconds patience) {
  do {
    if (const auto status = next_frame(from, frame, patience); !status) return neighbour_gone(status.error());
  } while (frame.header.epoch != epoch_);
  return check_not_lost(frame);
}

Status Group::check_not_lost(const Frame& frame) const {
  if (frame.header.kind != FrameKind::stage_lost || frame.header.epoch != epoch_) return {};
  FLOTILLA_TRY(auto lost, decode_stage_failed(frame.body));
  return fail(Error{code_from_string(lost.code), std::move(lost.message)});
}

Status Group::next_frame(std::uint32_t from, Frame& frame, std::chrono::nanoseconds patience) {
  auto& waiting = taken_in_[from];
  if (waiting.empty()) return links_[from]->receive(frame, patience);
  std::swap(frame, waiting.front());
  waiting.pop_front();
  return {};
}

// All that is there: where every buffer is full, the others can go on only as we read. One that is lost reads no more.
Status Group::take_in() {
  for (std::uint32_t from = 0; from < members(); ++from)
    while (links_[from]) {
      Frame frame;
      const auto status = links_[from]->receive(frame, {});
      if (!status && status.error().code == Code::timeout) break;
      if (!status) return status;
      FLOTILLA_TRY_STATUS(check_not_lost(frame));
      if (taken_in_[from].size() == frames_taken_in_max)
        return fail(Code::corrupt,
                    "[pipeline] expected at most {} frames from member {} but more came; its flotilla is "
                    "broken",
                    frames_taken_in_max, from);
      taken_in_[from].push_back(std::move(frame));
    }
  return {};
}

void Group::sleep_at_once(bool yes) {
  for (const auto& link : links_)
    if (link) link->sleep_at_once(yes);
}

Status Group::receive(std::uint32_t from, FrameKind expected, Frame& frame) {
  const auto begun = std::chrono::steady_clock::now();
  if (clock_) clock_->wait_begins(begun);
  FLOTILLA_TRY_STATUS(receive_next(from, frame, for_ever));
  const auto received = std::chrono::steady_clock::now();
  if (clock_) clock_->wait_ends(received);
  waited_ += received - begun;
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
