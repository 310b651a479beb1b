#include "app/bulk_links.h"

#include <algorithm>

namespace flotilla {
namespace {

constexpr std::size_t waiting_max = 64;  // a machine fetches over one connection at a time, rarely two

}  // namespace

bool BulkLinks::wait() {
  const std::scoped_lock lock(mutex_);
  if (waiting_ == waiting_max) return false;
  ++waiting_;
  return true;
}

Status BulkLinks::begin(Link& link, const Asker& asker) {
  const std::scoped_lock lock(mutex_);
  --waiting_;
  if (closing_) return fail(Code::closed, "[app] this machine is stopping");
  FLOTILLA_TRY_STATUS(judge(asker));
  open_.emplace(&link, asker);
  return {};
}

void BulkLinks::end(Link& link) {
  const std::scoped_lock lock(mutex_);
  open_.erase(&link);
}

void BulkLinks::judge() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [link, asker] : open_)
    if (const auto judged = judge(asker); !judged) link->close(judged.error());
}

Status BulkLinks::judge(const Asker& asker) const { return asker.shown ? judge_(*asker.shown) : Status(); }

void BulkLinks::close(const NodeId& asker, const Error& cause) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [link, of] : open_)
    if (of.node == asker) link->close(cause);
}

void BulkLinks::close_for_good(const Error& cause) {
  const std::scoped_lock lock(mutex_);
  closing_ = true;
  for (const auto& [link, asker] : open_) link->close(cause);
}

}  // namespace flotilla
