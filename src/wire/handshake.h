// Who may talk: the first three frames of every connection between nodes, behind the TLS handshake that told both ends
// each other's key. A pure step function; the caller moves frames.
//
//   initiator → hello        {node, name, release, cluster_port, trust, class}
//   responder → hello_reply  {the same of the responder, proof}
//   initiator → proof        {proof}
//
// Either side may answer `refused` {code, message, peer} instead, and closes.
//
// A proof is HMAC-SHA-256(secret, role label | TLS exporter | initiator id | responder id | class): it holds for this very
// connection, so whoever stands between two that have the secret cannot pass it on, and neither side can be made to answer
// its own challenge. Without --cluster-secret the key is a public constant: the exchange still runs and proves nothing,
// because membership was proved by the certificate (TrustMode::member) or nothing is asked (trust_lan). Where the two
// sides differ, the peer is *seen* (its name and version are known) but not *joined*.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/sha256.h"
#include "base/result.h"
#include "wire/frame.h"

namespace flotilla {

enum class ConnectionClass : std::uint8_t { control = 0, bulk = 1, join = 2 };
enum class TrustMode : std::uint8_t { none = 0, trust_lan = 1, secret = 2, member = 3 };

struct HandshakeIdentity {
  NodeId node;
  std::string name, release;     // "studio", "0.1.0"
  std::uint16_t cluster_port = 0;
  TrustMode trust = TrustMode::none;
  std::string secret;            // the shared secret's bytes with TrustMode::secret
  std::uint64_t clock = 0;       // seconds since 1970 as this machine has it; 0: not told
};

struct HandshakePeer {
  NodeId node;
  std::string name, release;
  std::uint16_t version = 0, cluster_port = 0;
  TrustMode trust = TrustMode::none;
  ConnectionClass connection_class = ConnectionClass::control;
  std::uint64_t clock = 0;       // what it said the time was; 0: it did not
};

// What TLS says about the connection.
struct ChannelBinding {
  Digest exporter{};               // that of this connection and no other
  NodeId peer;                     // by the key that the other end has shown
  // Whether that may be believed under the name it gives, once both ends have said that they go by certificates or by
  // --trust-lan. Without it: yes for --trust-lan, no for certificates.
  std::function<Status(const std::string& name)> judge;
};

class Handshake {
 public:
  // Without a binding nothing is encrypted: whoever talks so is told about versions and refused.
  static Handshake initiate(HandshakeIdentity self, ConnectionClass connection_class,
                            std::optional<ChannelBinding> binding);
  static Handshake respond(HandshakeIdentity self, std::optional<ChannelBinding> binding);

  // The frame to send now, once per call; nullopt where it is the peer's turn. After start and after each on_frame.
  std::optional<Frame> take_outgoing();
  // unauthorized (with a sentence that says what to do), version_mismatch (names both versions), invalid_argument (the
  // peer has our identity), corrupt. After an error take_outgoing() may hold a `refused` frame that should be sent before
  // closing, and every later call answers the same error. The sentence is the same on both sides.
  Status on_frame(const Frame& frame);
  bool done() const { return done_; }
  // Known after the peer's hello, even where the handshake then fails: who was seen.
  const std::optional<HandshakePeer>& peer() const { return peer_; }

 private:
  Handshake(HandshakeIdentity self, bool initiator, ConnectionClass connection_class,
            std::optional<ChannelBinding> binding);
  Status on_hello(const Frame& frame);
  Status on_hello_reply(const Frame& frame);
  Status on_proof(const Frame& frame);
  Status on_refused(const Frame& frame);
  Status check_peer(const Frame& frame) const;
  Status check_trust() const;
  Error other_secret() const;
  Status refuse(Error error);
  Digest proof_of(bool by_initiator) const;

  HandshakeIdentity self_;
  bool initiator_;
  ConnectionClass connection_class_;
  std::optional<ChannelBinding> binding_;
  std::optional<HandshakePeer> peer_;
  std::optional<Frame> outgoing_;
  std::optional<Error> failed_;
  bool done_ = false;
};

// `refused` with a cause found after the handshake, as where someone wants to join. And back.
Frame make_refusal(const Error& cause);
Error read_refusal(const Frame& frame);

}  // namespace flotilla
