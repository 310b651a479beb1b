// Decides how the machines that compute one stage together reach each other: a link for each pair, on which steps (from
// the first member), summands and slices of logits or of likeliest tokens follow each other in the order of computing.
// In: frames of the other members.  Out: frames to them.  Owns: the links.
// Thread: the computing thread (where a member has several shards, the first's); close() any.
// Never: takes a frame that is not the one computing has come to; waits to send while others wait for it (what all send
// before anyone reads fits the sockets' buffers, see link_collective.cc).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "io/link.h"
#include "wire/control.h"

namespace flotilla {

class Group {
 public:
  explicit Group(const PrepareStage& plan);

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

  void send_lost(const Error& cause);
  void close(const Error& cause);

 private:
  Status receive_next(std::uint32_t from, Frame& frame, std::chrono::nanoseconds patience);

  const PlacementId placement_;
  const Epoch epoch_;
  const std::uint32_t stage_index_, member_;
  const ActivationType value_type_;
  std::mutex mutex_;  // links_ and closed_, while links are adopted
  std::vector<std::unique_ptr<Link>> links_;  // by member; null at the own place
  std::optional<Error> closed_;
  std::chrono::nanoseconds waited_{0};
};

}  // namespace flotilla
