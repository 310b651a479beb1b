#include "cluster/node_identity.h"

#include <algorithm>

namespace flotilla {

WallTime wall_time() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

HandshakeIdentity NodeIdentity::hello() const {
  HandshakeIdentity said = *this;
  said.clock = static_cast<std::uint64_t>(std::max<std::int64_t>(wall_time().time_since_epoch().count(), 0));
  if (trust != TrustMode::none || !standing) return said;
  // One that has ended is as good as none: its owner may join anew.
  const auto ends = standing->membership_ends();
  if (ends && wall_time() < *ends) said.trust = TrustMode::member;
  return said;
}

ChannelBinding NodeIdentity::bind(const TlsSession& session) const {
  const auto shown = session.peer();
  ChannelBinding binding{.exporter = session.exporter()};
  if (!shown) return binding;  // nobody has the node id of zeros
  binding.peer = node_id_of(shown->id());
  binding.judge = [held = standing, is_lab = trust == TrustMode::trust_lan, shown = *shown](const std::string& called) {
    return is_lab ? held->meet(called, shown.id()) : held->judge(shown, called, wall_time());
  };
  return binding;
}

}  // namespace flotilla
