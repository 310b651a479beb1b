// A TCP connection over loopback between two processes that exchange nothing but bytes: what a hop cannot be quicker
// than.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "io/tcp_link.h"

namespace flotilla {

class BareLink {
 public:
  // Forks: to be called while the program has one thread.
  static Result<BareLink> open();

  // Milliseconds that a message of `bytes` takes one way, the receiver's wake-up included: half of a way to and fro,
  // mean of `count` (not 0), as the clocks of stages give one of their hops. Before each message its sender computes
  // for `pause`, as a stage does, so that the receiver sleeps as deeply as the next stage does.
  Result<double> one_way_ms(std::size_t bytes, std::chrono::nanoseconds pause, std::uint32_t count);

 private:
  explicit BareLink(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;  // the other process ends when it closes
};

}  // namespace flotilla
