// Keeps this machine awake while it serves (wakefulness.h says when), and says so. In: what stages here do, time.
// Out: the request to the system.  Owns: that request.  Thread: the loop's.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "app/checkup.h"
#include "app/node_context.h"
#include "app/sleep_inhibitor.h"
#include "app/ticker.h"
#include "app/wakefulness.h"

namespace flotilla {

class WakeDesk {
 public:
  // `holds_stage`: part of a model is here.
  WakeDesk(NodeContext& context, std::chrono::seconds idle_after, std::function<bool()> holds_stage);

  void begin() { ticker_.begin(); }
  void stop();  // and takes the request back
  void on_work() { wakefulness_.on_work(Wakefulness::Time::clock::now()); }

  bool keeps_awake() { return inhibitor_.holds(); }
  Finding check();  // for a doctor

 private:
  void look();

  const std::chrono::seconds idle_after_;
  const std::function<bool()> holds_stage_;
  Wakefulness wakefulness_;
  SleepInhibitor inhibitor_;
  Ticker ticker_;
  bool asked_ = false, told_ = false;
};

}  // namespace flotilla
