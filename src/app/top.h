// `flotilla top`: the fleet at work, redrawn until Ctrl-C. Where standard output is no terminal, one text after the
// other. Thread: main.
#pragma once

#include <chrono>

#include "app/verbs.h"

namespace flotilla {

struct TopOptions {
  VerbOptions verb;
  bool once = false;
  std::chrono::milliseconds interval{2000};
};

int watch_fleet(const TopOptions& options);

}  // namespace flotilla
