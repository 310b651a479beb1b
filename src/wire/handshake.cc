#include "wire/handshake.h"

#include <openssl/rand.h>

#include "base/check.h"
#include "wire/fields.h"

namespace flotilla {
namespace {

// Who speaks. Every version of the protocol sends at least node, name and release, so that a mismatch can be explained.
struct Introduction {
  NodeId node;
  std::string name, release;
};

// A hello, and a hello_reply without its proof.
struct Hello {
  HandshakePeer peer;
  std::array<std::byte, 32> nonce{};
};

struct HelloReply {
  Hello hello;
  Digest proof{};
};

struct Proof {
  Digest proof{};
};

struct Refused {
  Error error;
  std::optional<HandshakePeer> peer;
};

// What the proof is keyed with where both sides trust the network: a constant, so it proves nothing.
constexpr std::string_view trust_lan_key = "flotilla trust-lan";

std::string_view flag_of(TrustMode trust) {
  switch (trust) {
    case TrustMode::none:
      return "neither --trust-lan nor --cluster-secret";
    case TrustMode::trust_lan:
      return "--trust-lan";
    case TrustMode::secret:
      return "--cluster-secret";
  }
  return "an unknown kind of trust";
}

// Both machines print the same sentence, so it names both and says "this machine" of neither.
Error distrust(const std::string& a, TrustMode trust_a, const std::string& b, TrustMode trust_b) {
  if (trust_a == TrustMode::none && trust_b == TrustMode::none) {
    return {
        Code::unauthorized,
        std::format("[wire] {} and {} were started without --trust-lan or --cluster-secret, so they merely see each "
                    "other; start both with --trust-lan on a network you trust, or with the same --cluster-secret",
                    a, b)};
  }
  if (trust_a == TrustMode::none || trust_b == TrustMode::none) {
    const bool a_lacks = trust_a == TrustMode::none;
    const std::string& lacking = a_lacks ? a : b;
    return {Code::unauthorized,
            std::format("[wire] {} was started without --trust-lan or --cluster-secret, so {} and {} merely see each "
                        "other; start {} with {} as {} was",
                        lacking, a, b, lacking, flag_of(a_lacks ? trust_b : trust_a), a_lacks ? b : a)};
  }
  return {Code::unauthorized, std::format("[wire] {} was started with {} but {} with {}; start both the same way", a,
                                          flag_of(trust_a), b, flag_of(trust_b))};
}

Error unexpected_frame(std::string_view expected, const Frame& frame) {
  return {Code::corrupt, std::format("[wire] expected a {} frame but got {}; the peer is broken", expected,
                                     to_string(frame.header.kind))};
}

}  // namespace

template <class Map>
void describe(Map& map, Is<Introduction> auto& m) {
  map.field("node", m.node);
  map.field("name", m.name, Text::name);
  map.field("release", m.release, Text::name);
}

template <class Map>
void describe(Map& map, Is<HandshakePeer> auto& m) {
  map.field("node", m.node);
  map.field("name", m.name, Text::name);
  map.field("release", m.release, Text::name);
  map.field("cluster_port", m.cluster_port);
  map.choice("trust", m.trust, TrustMode::secret);
  map.choice("class", m.connection_class, ConnectionClass::bulk);
}

template <class Map>
void describe(Map& map, Is<Hello> auto& m) {
  describe(map, m.peer);
  map.field("nonce", m.nonce);
}

template <class Map>
void describe(Map& map, Is<HelloReply> auto& m) {
  describe(map, m.hello);
  map.field("proof", m.proof);
}

template <class Map>
void describe(Map& map, Is<Proof> auto& m) {
  map.field("proof", m.proof);
}

template <class Map>
void describe(Map& map, Is<Refused> auto& m) {
  map.field("code", m.error.code);
  map.field("message", m.error.message, Text::prose);
  map.optional("peer", m.peer);
}

namespace {

HandshakePeer introduce(const HandshakeIdentity& self, ConnectionClass connection_class) {
  return {.node = self.node,
          .name = self.name,
          .release = self.release,
          .version = protocol_version,
          .cluster_port = self.cluster_port,
          .trust = self.trust,
          .connection_class = connection_class};
}

// A hello of another version is read only as far as every version promises.
HandshakePeer read_stranger(const Frame& frame) {
  HandshakePeer peer{.name = "a machine without a name", .release = "unknown", .version = frame.header.version};
  if (const auto introduction = decode_map<Introduction>("hello", frame.body)) {
    peer.node = introduction->node;
    peer.name = introduction->name;
    peer.release = introduction->release;
  }
  return peer;
}

}  // namespace

Handshake::Handshake(HandshakeIdentity self, bool initiator, ConnectionClass connection_class)
    : self_(std::move(self)), initiator_(initiator), connection_class_(connection_class) {
  check(self_.trust != TrustMode::secret || !self_.secret.empty(), "TrustMode::secret comes with a secret");
  check(RAND_bytes(reinterpret_cast<unsigned char*>(own_nonce_.data()), static_cast<int>(own_nonce_.size())) == 1,
        "the system gives random bytes");
}

Handshake Handshake::initiate(HandshakeIdentity self, ConnectionClass connection_class) {
  Handshake handshake(std::move(self), true, connection_class);
  const Hello hello{introduce(handshake.self_, connection_class), handshake.own_nonce_};
  handshake.outgoing_ = make_frame(FrameKind::hello, encode_map(hello));
  return handshake;
}

Handshake Handshake::respond(HandshakeIdentity self) { return {std::move(self), false, ConnectionClass::control}; }

std::optional<Frame> Handshake::take_outgoing() { return std::exchange(outgoing_, std::nullopt); }

Status Handshake::on_frame(const Frame& frame) {
  if (failed_) return fail(*failed_);
  if (frame.header.kind == FrameKind::refused) return on_refused(frame);
  if (initiator_) return on_hello_reply(frame);
  return peer_ ? on_proof(frame) : on_hello(frame);
}

Status Handshake::on_hello(const Frame& frame) {
  if (frame.header.kind != FrameKind::hello) return refuse(unexpected_frame("hello", frame));
  if (frame.header.version != protocol_version) {
    peer_ = read_stranger(frame);
    return refuse(check_peer(frame).error());
  }
  auto hello = decode_map<Hello>("hello", frame.body);
  if (!hello) return refuse(hello.error());
  peer_ = hello->peer;
  peer_->version = frame.header.version;
  peer_nonce_ = hello->nonce;
  connection_class_ = hello->peer.connection_class;
  if (const auto status = check_peer(frame); !status) return refuse(status.error());
  const HelloReply reply{{introduce(self_, connection_class_), own_nonce_}, proof_of(false)};
  outgoing_ = make_frame(FrameKind::hello_reply, encode_map(reply));
  return {};
}

Status Handshake::on_hello_reply(const Frame& frame) {
  if (frame.header.kind != FrameKind::hello_reply || done_) return refuse(unexpected_frame("hello_reply", frame));
  if (frame.header.version != protocol_version) {
    peer_ = read_stranger(frame);
    return refuse(check_peer(frame).error());
  }
  auto reply = decode_map<HelloReply>("hello_reply", frame.body);
  if (!reply) return refuse(reply.error());
  peer_ = reply->hello.peer;
  peer_->version = frame.header.version;
  peer_nonce_ = reply->hello.nonce;
  if (const auto status = check_peer(frame); !status) return refuse(status.error());
  if (!equal_in_constant_time(reply->proof, proof_of(false))) return refuse(other_secret());
  outgoing_ = make_frame(FrameKind::proof, encode_map(Proof{proof_of(true)}));
  done_ = true;
  return {};
}

Status Handshake::on_proof(const Frame& frame) {
  if (frame.header.kind != FrameKind::proof || done_) return refuse(unexpected_frame("proof", frame));
  const auto proof = decode_map<Proof>("proof", frame.body);
  if (!proof) return refuse(proof.error());
  if (!equal_in_constant_time(proof->proof, proof_of(true))) return refuse(other_secret());
  done_ = true;
  return {};
}

// The peer has the last word: there is nothing to answer.
Status Handshake::on_refused(const Frame& frame) {
  if (const auto refused = decode_map<Refused>("refused", frame.body)) {
    if (refused->peer && !peer_) {
      peer_ = refused->peer;
      peer_->version = frame.header.version;
    }
    failed_ = refused->error;
  } else if (frame.header.version != protocol_version) {
    peer_ = read_stranger(frame);
    failed_ = check_peer(frame).error();
  } else {
    failed_ = refused.error();
  }
  done_ = false;
  return fail(*failed_);
}

Status Handshake::check_peer(const Frame& frame) const {
  if (frame.header.version != protocol_version) {
    const bool ours_is_older = protocol_version < frame.header.version;
    return fail(Code::version_mismatch,
                "[wire] {} runs flotilla {} with protocol version {} but {} runs flotilla {} with protocol version {}; "
                "update flotilla on {}",
                self_.name, self_.release, protocol_version, peer_->name, peer_->release, frame.header.version,
                ours_is_older ? self_.name : peer_->name);
  }
  if (peer_->node == self_.node) {
    return fail(Code::invalid_argument,
                "[wire] expected machines with identities of their own but got two nodes with one identity, {} and {} "
                "({}); a home folder was copied or a node was given its own address as peer: start each node with a "
                "--home of its own",
                self_.name, peer_->name, to_string(self_.node));
  }
  if (peer_->trust != self_.trust || self_.trust == TrustMode::none) {
    return fail(distrust(self_.name, self_.trust, peer_->name, peer_->trust));
  }
  return {};
}

Error Handshake::other_secret() const {
  return {Code::unauthorized,
          std::format("[wire] {} was started with another --cluster-secret than {}; give both the same", peer_->name,
                      self_.name)};
}

Status Handshake::refuse(Error error) {
  failed_ = std::move(error);
  done_ = false;
  outgoing_ = make_frame(FrameKind::refused, encode_map(Refused{*failed_, introduce(self_, connection_class_)}));
  return fail(*failed_);
}

Digest Handshake::proof_of(bool by_initiator) const {
  const auto& initiator_nonce = initiator_ ? own_nonce_ : peer_nonce_;
  const auto& responder_nonce = initiator_ ? peer_nonce_ : own_nonce_;
  const NodeId& initiator_node = initiator_ ? self_.node : peer_->node;
  const NodeId& responder_node = initiator_ ? peer_->node : self_.node;
  Bytes message;
  ByteWriter writer(message);
  writer.text(by_initiator ? "flotilla 1 initiator" : "flotilla 1 responder");
  writer.raw(initiator_nonce);
  writer.raw(responder_nonce);
  writer.raw(std::as_bytes(std::span(initiator_node.bytes)));
  writer.raw(std::as_bytes(std::span(responder_node.bytes)));
  writer.number(static_cast<std::uint8_t>(connection_class_));
  const bool secret = self_.trust == TrustMode::secret;
  return hmac_sha256(bytes_of(secret ? std::string_view(self_.secret) : trust_lan_key), message);
}

}  // namespace flotilla
