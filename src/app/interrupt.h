// Ctrl-C as a question instead of an end: while a guard lives it is noted, and what runs stops where it asks.
#pragma once

#include <signal.h>

namespace flotilla {

class InterruptGuard {
 public:
  InterruptGuard();   // forgets an earlier Ctrl-C
  ~InterruptGuard();  // what was before
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  struct sigaction before_{};
};

// Whether Ctrl-C was pressed since the last guard began. Thread: any.
bool interrupted();

}  // namespace flotilla
