// Of what runners of this node compute: which node it came from, and by which placement it is computed.
// Thread: the loop's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace flotilla {

class RequestRoutes {
 public:
  struct Route {
    NodeId entry;
    PlacementId placement;
  };
  using Taken = std::vector<std::pair<RequestId, Route>>;

  void add(RequestId id, Route route) { routes_[id] = route; }
  void erase(RequestId id) { routes_.erase(id); }
  const Route* find(RequestId id) const {
    const auto found = routes_.find(id);
    return found == routes_.end() ? nullptr : &found->second;
  }
  std::size_t size() const { return routes_.size(); }
  std::size_t count(PlacementId placement) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(routes_, [&](const auto& each) { return each.second.placement == placement; }));
  }

  // What came in at a node, or is computed by a placement: it is known no longer.
  Taken take_from(const NodeId& entry) {
    return take_if([&](const Route& route) { return route.entry == entry; });
  }
  Taken take_of(PlacementId placement) {
    return take_if([&](const Route& route) { return route.placement == placement; });
  }

 private:
  template <class Which>
  Taken take_if(const Which& which) {
    Taken taken;
    for (const auto& each : routes_)
      if (which(each.second)) taken.emplace_back(each);
    for (const auto& [id, route] : taken) routes_.erase(id);
    return taken;
  }

  std::unordered_map<RequestId, Route> routes_;
};

}  // namespace flotilla
