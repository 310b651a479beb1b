// Watches where this machine's power comes from and tells the node what it offers by it. In: the system, time, the
// owner's rules.  Out: what is offered; a call where that or the charge has changed.  Thread: the loop's.
#pragma once

#include <cstdint>
#include <functional>

#include "app/node_context.h"
#include "app/power.h"
#include "app/ticker.h"

namespace flotilla {

class PowerDesk {
 public:
  using Read = std::function<Power()>;

  PowerDesk(NodeContext& context, const BatteryRules& rules, Read read = [] { return read_power(); });

  void begin() { ticker_.begin(); }
  void stop() { ticker_.stop(); }
  void look();  // once

  const Power& power() const { return power_; }
  std::uint64_t offered(std::uint64_t on_mains) const { return offered_bytes(power_, rules_, on_mains); }

 private:
  NodeContext& context_;
  const BatteryRules rules_;
  const Read read_;
  Power power_;
  Ticker ticker_;
};

}  // namespace flotilla
