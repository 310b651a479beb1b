// Who this node is to the others: what it says of itself, and what it can prove.
//
// Copies share the standing. Thread: any.
#pragma once

#include <memory>

#include "trust/standing.h"
#include "trust/tls_session.h"
#include "wire/handshake.h"

namespace flotilla {

// HandshakeIdentity::trust is what the flags say: trust_lan, secret, or none. Without flags a node goes by its
// cluster's certificate, once it has one.
struct NodeIdentity : HandshakeIdentity {
  std::shared_ptr<Standing> standing;

  HandshakeIdentity hello() const;                       // as things stand now
  ChannelBinding bind(const TlsSession& session) const;  // of an established session with a device's certificate
};

WallTime wall_time();

}  // namespace flotilla
