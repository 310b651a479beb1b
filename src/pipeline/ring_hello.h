// Decides who may stand behind a new ring connection: only who has the ring's key gets through the TLS handshake, and the
// first frame says which neighbour it is.
//
// The door is open to the whole network for as long as the ring forms, so it believes nothing: a stranger gets one
// second and a few hundred bytes, then the connection is closed and the next one heard.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "base/result.h"
#include "io/secure_socket.h"
#include "wire/control.h"

namespace flotilla {

struct RingDoor {
  TlsContext tls;                                   // ring_tls()
  std::vector<RingHello> expected;                  // what each neighbour will say, in any order of coming
  std::chrono::milliseconds patience{30'000};       // for all of them to come
  std::chrono::milliseconds hello_patience{1'000};  // for one caller to shake hands and say who it is
  std::function<bool()> given_up;                   // asked several times a second; true ends the wait
};

// Both ends of every link of a ring prove that they have its key, and encrypt with keys made for that link alone.
TlsContext ring_tls(const PrepareStage& plan);

RingHello hello_of(const PrepareStage& plan);           // what this stage says to the next, a member to the others
RingHello hello_expected_by(const PrepareStage& plan);  // what the stage before says to this one
RingHello hello_of_member(const PrepareStage& plan, std::uint32_t member);  // of the same stage

// The connections of the callers whose hello is right, in the order of door.expected; everyone else is turned away.
// timeout, or closed where given_up.
Result<std::vector<SecureSocket>> accept_neighbours(const Descriptor& listener, const RingDoor& door);

// One frame, unauthorized where placement, epoch, stage or key differ (which of them is not said: it may be a
// stranger).
Status check_hello(const RingHello& hello, const RingHello& expected);

}  // namespace flotilla
