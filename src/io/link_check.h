// Inside io only: what every link does alike, refusing a frame too large to send and keeping the first cause.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <span>

#include "base/result.h"
#include "wire/frame.h"

namespace flotilla {

// too_large before a byte is sent: the peer would have to close the link over it.
Status check_sendable(const FrameHeader& header, std::span<const std::byte> body);

// Why a link is closed. Any thread may set it, only the first counts.
class FirstCause {
 public:
  explicit operator bool() const { return is_set_.load(std::memory_order_acquire); }
  void set(Error cause);
  Error get() const;  // only where set

 private:
  std::atomic<bool> is_set_{false};
  mutable std::mutex mutex_;
  std::optional<Error> cause_;
};

}  // namespace flotilla
