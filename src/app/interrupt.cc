#include "app/interrupt.h"

#include <atomic>

namespace flotilla {
namespace {

std::atomic<bool> was_interrupted = false;

}  // namespace

InterruptGuard::InterruptGuard() {
  was_interrupted = false;
  struct sigaction action{};
  action.sa_handler = [](int) { was_interrupted = true; };
  ::sigaction(SIGINT, &action, &before_);
}

InterruptGuard::~InterruptGuard() { ::sigaction(SIGINT, &before_, nullptr); }

bool interrupted() { return was_interrupted; }

}  // namespace flotilla
