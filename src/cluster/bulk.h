// What stands between a proven bulk handshake and the first request on it: the accepting side takes the socket off the
// event loop and then says so, so that no byte of the asker's first request is read by the loop.
#pragma once

#include <chrono>

#include "base/result.h"
#include "io/tcp_link.h"
#include "wire/frame.h"
#include "wire/handshake.h"

namespace flotilla {

// Either side may be at a slow disk, but within a frame bytes move.
inline constexpr std::chrono::seconds bulk_rest_max{30};
inline constexpr FrameKind bulk_go_ahead = FrameKind::pong;  // empty; answers the proof

// The asking side on a fresh connection, blocking: proves itself and waits for the go-ahead. Who answers is given.
Result<HandshakePeer> introduce_bulk(Link& link, const HandshakeIdentity& self);

Status send_go_ahead(const Descriptor& socket);  // the accepting side; closed where the asker is gone

}  // namespace flotilla
