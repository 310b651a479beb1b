// What goes wrong in a run, when and for how long: drawn from its seed before it begins. All of it is over by
// `healed_at`.
// In: chance.  Out: faults, at their times.  Thread: the one there is.
#pragma once

#include "sim/machine.h"

namespace flotilla::sim {

class Faults {
 public:
  explicit Faults(Fleet& fleet) : fleet_(fleet), world_(fleet.world), network_(fleet.network) {}

  void plan();
  Instant healed_at() const { return healed_at_; }

 private:
  void plan_one(Instant at);
  void cut(Instant at, Duration length, std::size_t from, std::size_t to);
  void isolate(Instant at, Duration length);
  void until(Instant end, std::function<void()> what);

  std::size_t machine() { return world_.below(fleet_.machines.size()); }
  std::size_t another(std::size_t than);

  Fleet& fleet_;
  World& world_;
  Network& network_;
  Instant healed_at_;
};

}  // namespace flotilla::sim
