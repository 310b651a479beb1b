// The asking side's handshake (wire/handshake.h) on a connection whose TLS is established.
//
// Blocking: for a helper thread.
#pragma once

#include "base/result.h"
#include "cluster/node_identity.h"
#include "io/link.h"
#include "wire/handshake.h"

namespace flotilla {

// Who answers. Where we refuse it, it is told why.
Result<HandshakePeer> introduce(Link& link, const NodeIdentity& self, ConnectionClass wanted, ChannelBinding binding);

}  // namespace flotilla
