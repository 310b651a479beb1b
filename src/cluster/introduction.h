// The asking side's handshake (wire/handshake.h) on a connection whose TLS is established.
//
// Whoever answers may be a stranger, told of by a forged beacon: it gets little room and little time.
// Blocking: for a helper thread.
#pragma once

#include <chrono>

#include "base/result.h"
#include "cluster/node_identity.h"
#include "io/secure_socket.h"
#include "wire/handshake.h"

namespace flotilla {

// When a step of a handshake that begins now is over at the latest.
std::chrono::steady_clock::time_point handshake_end();

// Who answers. Where we refuse it, it is told why. timeout where it has not proven itself within
// limits::handshake_time_max, too_large where it says more than a stranger may.
Result<HandshakePeer> introduce(SecureSocket& socket, const NodeIdentity& self, ConnectionClass wanted);

}  // namespace flotilla
