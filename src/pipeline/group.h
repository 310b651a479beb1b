// Decides how the machines that compute one stage together reach each other: a link for each pair, on which steps (from
// the first member), summands and slices of logits or of likeliest tokens follow each other in the order of computing.
// In: frames of the other members.  Out: frames to them.  Owns: the links.
// Thread: one at a time, for which the caller sees: the computing thread (where a member has several shards, the first's), or
// while large sums are under way the one that exchanges them (link_collective.h); close() any.
// Members send before they read, all at once; so while a send waits, what the others sent is taken in, and no circle of
// full sockets stands still.
// Never: takes a frame that is not the one computing has come to.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/link.h"
#include "pipeline/step_clock.h"
#include "wire/control.h"

namespace flotilla {

class Group {
 public:
  // `clock`: told of the time in send() and receive(); may be absent.
  explicit Group(const PrepareStage& plan, StepClock* clock = nullptr);

  std::uint32_t member() const { return member_; }
  std::uint32_t members() const { return static_cast<std::uint32_t>(links_.size()); }
  ActivationType value_type() const { return value_type_; }

  // Before the first step.
  void adopt(std::uint32_t member, std::unique_ptr<Link> link);

  Status send(std::uint32_t to, FrameKind kind, std::span<const std::byte> body, std::uint64_t step = 0);
  Status send_to_all(FrameKind kind, std::span<const std::byte> body, std::uint64_t step = 0);
  // The next frame of this epoch, which must be of one of these kinds; frames of another epoch are dropped. Where the
  // other says why it is lost, that is the error.
  Status receive(std::uint32_t from, FrameKind expected, Frame& frame);
  // From the first member; timeout where none began in time.
  Status receive_step_or_rows(Frame& frame, std::chrono::nanoseconds patience = for_ever);

  Traffic sent() const;                                        // to all others
  std::chrono::nanoseconds waited() const { return waited_; }  // in receive(), for what computing needs to go on

  // For a thread beside those that compute, from whom looking for frames would take a core.
  void sleep_at_once(bool yes);

  void send_lost(const Error& cause);
  void close(const Error& cause);

 private:
  Status receive_next(std::uint32_t from, Frame& frame, std::chrono::nanoseconds patience);
  Status check_not_lost(const Frame& frame) const;
  Status next_frame(std::uint32_t from, Frame& frame, std::chrono::nanoseconds patience);
  Status take_in();

  const PlacementId placement_;
  const Epoch epoch_;
  const std::uint32_t stage_index_, member_;
  const ActivationType value_type_;
  StepClock* const clock_;
  std::mutex mutex_;  // links_ and closed_, while links are adopted
  std::vector<std::unique_ptr<Link>> links_;  // by member; null at the own place
  std::vector<std::deque<Frame>> taken_in_;   // by member, while a send waited
  std::optional<Error> closed_;
  std::chrono::nanoseconds waited_{0};
};

}  // namespace flotilla
