// Decides who may stand behind a new ring connection: the first frame proves that the caller belongs to this ring.
//
// The door is open to the whole network for as long as the ring forms, so it believes nothing: a stranger gets one
// second and a few hundred bytes, then the connection is closed and the next one heard.
#pragma once

#include <chrono>
#include <functional>

#include "base/result.h"
#include "io/tcp_link.h"
#include "wire/control.h"

namespace flotilla {

struct RingDoor {
  RingHello expected;                               // what the upstream neighbour will say
  std::chrono::milliseconds patience{30'000};       // for the neighbour to come
  std::chrono::milliseconds hello_patience{1'000};  // for one caller to say who it is
  std::function<bool()> given_up;                   // asked several times a second; true ends the wait
};

RingHello hello_of(const PrepareStage& plan);           // what this stage says to the next
RingHello hello_expected_by(const PrepareStage& plan);  // what the stage before says to this one

// The connection of the first caller whose hello is right; everyone else is turned away. timeout, or closed where
// given_up.
Result<Descriptor> accept_upstream(const Descriptor& listener, const RingDoor& door);

// One frame, unauthorized where placement, epoch, stage or key differ (which of them is not said: it may be a
// stranger).
Status check_hello(const RingHello& hello, const RingHello& expected);

}  // namespace flotilla
