// Tells how far a pull is: a bar on a terminal, a plain line now and then elsewhere, or JSON lines for scripts.
// Thread: one.
#pragma once

#include <chrono>
#include <string>

#include "app/rate_meter.h"
#include "app/terminal.h"
#include "hub/hub_client.h"

namespace flotilla {

class HubProgress {
 public:
  HubProgress(std::string text, bool json);  // before the bar: "pulling qwen3-4b"
  PullWatch watch();                         // valid while this is; stops on Ctrl-C (interrupt.h)
  void end() { bar_.clear(); }

 private:
  void show(std::uint64_t done, std::uint64_t total);
  void note(const std::string& sentence);

  const std::string text_;
  const bool json_, on_terminal_;
  ProgressBar bar_;
  RateMeter rate_;
  std::chrono::steady_clock::time_point sampled_{}, told_{};
};

}  // namespace flotilla
