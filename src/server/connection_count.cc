#include "server/connection_count.h"

#include "server/peer_address.h"

namespace flotilla {

ConnectionCount::Verdict ConnectionCount::add(const Caller& caller, const Limits& limits) {
  if (caller.is_near) {
    if (near_ >= limits.near_max) return Verdict::full;
    ++near_;
    return Verdict::welcome;
  }
  const std::string owner = connection_owner(caller.address);
  const auto found = of_.find(owner);
  if (found != of_.end() && found->second >= limits.per_address_max) return Verdict::too_many_of_one;
  if (far_ >= limits.far_max) return Verdict::full;
  ++far_;
  ++of_[owner];
  return Verdict::welcome;
}

void ConnectionCount::forget(const Caller& caller) {
  if (caller.is_near) {
    --near_;
    return;
  }
  --far_;
  const auto found = of_.find(connection_owner(caller.address));
  if (--found->second == 0) of_.erase(found);
}

}  // namespace flotilla
