#include "trust/copy_watch.h"

#include <format>
#include <utility>

namespace flotilla {

std::optional<std::string> CopyWatch::on_seen(const NodeId& node, const std::string& name, std::uint64_t incarnation,
                                              const std::string& host) {
  if (!latest_.contains(node) && latest_.size() >= nodes_max) latest_.clear();
  auto& latest = latest_[node];
  if (incarnation >= latest.incarnation) {
    if (incarnation > latest.incarnation) latest = {.incarnation = incarnation, .host = host};
    return {};
  }
  if (host == latest.host || std::exchange(latest.told_of, incarnation) == incarnation) return {};
  return std::format(
      "two machines show one identity, {} at {} and at {}: a home folder was copied. The one started last stays; on "
      "the "
      "other, delete HOME/trust and let it join anew",
      name, latest.host, host);
}

}  // namespace flotilla
