#include "cluster/rate_gate.h"

namespace flotilla {

void RateGate::set_open(bool open) {
  const std::scoped_lock lock(mutex_);
  open_ = open;
}

Status RateGate::admit(const Link& link, std::uint64_t bytes, Instant now) {
  const std::scoped_lock lock(mutex_);
  if (session_ && session_->link != &link) end_overdue_session(now);
  if (!open_ || asking_ || (session_ && session_->link != &link))
    return fail(Code::busy, "[cluster] this machine computes or measures another link; measure this one later");
  if (!session_) session_ = Session{&link, now};
  session_->bytes += bytes;
  session_->requests += 1;
  if (session_->bytes <= session_bytes_max && session_->requests <= session_requests_max &&
      now - session_->since <= session_time_max)
    return {};
  return fail(Code::too_large, "[cluster] expected at most {} requests for {} bytes within {} s to measure a link by",
              session_requests_max, session_bytes_max, session_time_max.count());
}

void RateGate::leave(const Link& link) {
  const std::scoped_lock lock(mutex_);
  if (session_ && session_->link == &link) session_.reset();
}

// One that keeps its connection open and still has not ended gives way.
void RateGate::end_overdue_session(Instant now) {
  if (session_ && now - session_->since > session_time_max) session_.reset();
}

bool RateGate::begin_asking(Instant now) {
  const std::scoped_lock lock(mutex_);
  end_overdue_session(now);
  if (!open_ || asking_ || session_) return false;
  return asking_ = true;
}

void RateGate::end_asking() {
  const std::scoped_lock lock(mutex_);
  asking_ = false;
}

}  // namespace flotilla
