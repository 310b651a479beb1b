// What stands between a proven bulk handshake and the first request on it: the accepting side takes the socket off the
// event loop and then says so, so that no byte of the asker's first request is read by the loop.
#pragma once

#include <chrono>
#include <memory>

#include "base/result.h"
#include "cluster/node_identity.h"
#include "io/secure_socket.h"
#include "wire/frame.h"
#include "wire/handshake.h"

namespace flotilla {

// Either side may be at a slow disk, but within a frame bytes move.
inline constexpr std::chrono::seconds bulk_rest_max{30};
inline constexpr FrameKind bulk_go_ahead = FrameKind::pong;  // empty; answers the proof

struct BulkOpening {
  std::unique_ptr<Link> link;
  HandshakePeer peer;  // who answers
};

// The asking side on a fresh connection, blocking: TLS, the handshake, and the wait for the go-ahead.
Result<BulkOpening> introduce_bulk(Descriptor socket, const NodeIdentity& self, TcpLinkOptions options);

// The accepting side; closed where the asker is gone.
Status send_go_ahead(SecureSocket& socket);

}  // namespace flotilla
