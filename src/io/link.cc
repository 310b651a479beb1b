#include "io/link.h"

#include "io/link_check.h"

namespace flotilla {

Status check_sendable(const FrameHeader& header, std::span<const std::byte> body) {
  if (body.size() <= body_bytes_max(header.kind)) return {};
  return fail(Code::too_large, "[io] expected at most {} bytes in a {} frame but got {} to send; send less at once",
              body_bytes_max(header.kind), to_string(header.kind), body.size());
}

void FirstCause::set(Error cause) {
  const std::scoped_lock lock(mutex_);
  if (cause_) return;
  cause_ = std::move(cause);
  is_set_.store(true, std::memory_order_release);
}

Error FirstCause::get() const {
  const std::scoped_lock lock(mutex_);
  return *cause_;
}

}  // namespace flotilla
