// Decides how frames cross between two ends of a connection that one thread owns (the ring, a runner's control pipe, a
// bulk copy). In: frames. Out: frames. Owns: its socket or queue. Never: reorders, drops or delivers half a frame.
//
// Thread: one thread sends and one (may be the same) receives; close() from any thread.
// Errors stick: the first cause closes the link, and every later call answers it at once.
// Versions: tcp_link.h (sockets), memory_link.h (two ends in one process), modelled_link.h (either of them, slowed to a
// rate, delay and jitter).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "base/result.h"
#include "wire/frame.h"

namespace flotilla {

// Frames, and their bytes with headers.
struct Traffic {
  std::uint64_t messages = 0, bytes = 0;
  Traffic& operator+=(const Traffic& other) {
    messages += other.messages;
    bytes += other.bytes;
    return *this;
  }
};

class Link {
 public:
  virtual ~Link() = default;

  // Sends header and body as one frame; fills body_bytes and the checksum. Blocks while the peer is slow, without bound
  // but that of the version (TcpLinkOptions::rest_max). The body is not used after the return.
  virtual Status send(const FrameHeader& header, std::span<const std::byte> body) = 0;

  // From now on send() calls `meanwhile` every few milliseconds in which nothing could be sent, and ends with its error
  // where it has one: for who must take in frames lest a circle of peers waits for each other, each with a frame that
  // nobody takes. A version whose send() never waits need not call it.
  using Meanwhile = std::function<Status()>;
  virtual void while_sending_waits(Meanwhile /*meanwhile*/) {}

  // Whether receive() sleeps at once where a version would look for a while first: for a thread beside those that compute,
  // from whom looking would take a core. To be called by the thread that receives.
  virtual void sleep_at_once(bool /*yes*/) {}

  // The next frame, checked, into `frame` (whose body keeps its capacity). timeout where none *began* in time (its
  // rest may take longer, as in send); corrupt, version_mismatch, too_large, closed as in frame.h.
  virtual Status receive(Frame& frame, std::chrono::nanoseconds patience) = 0;

  // What this end has sent to another process; nothing where both ends are in one. For the thread that sends.
  virtual Traffic sent() const { return {}; }

  // Wakes both ends' waiting calls, which answer `cause` (here) or closed (there).
  virtual void close(Error cause) = 0;

  Status send(const Frame& frame) { return send(frame.header, frame.body); }
};

inline constexpr std::chrono::milliseconds meanwhile_interval{2};
inline constexpr std::chrono::nanoseconds for_ever = std::chrono::hours(24 * 365);

}  // namespace flotilla
