#include "wire/handshake.h"

#include "base/check.h"
#include "wire/fields.h"

namespace flotilla {
namespace {

// Who speaks. Every version of the protocol sends at least node, name and release, so that a mismatch can be explained.
struct Introduction {
  NodeId node;
  std::string name, release;
};

struct HelloReply {
  HandshakePeer peer;
  Digest proof{};
};

struct Proof {
  Digest proof{};
};

struct Refused {
  Error error;
  std::optional<HandshakePeer> peer;
};

// What the proof is keyed with where there is no secret: a constant, so it proves nothing.
constexpr std::string_view public_key = "flotilla no secret";

std::string_view state_of(TrustMode trust) {
  switch (trust) {
    case TrustMode::none:
      return "belongs to no cluster";
    case TrustMode::trust_lan:
      return "was started with --trust-lan";
    case TrustMode::secret:
      return "was started with --cluster-secret";
    case TrustMode::member:
      return "belongs to a cluster";
  }
  return "has an unknown kind of trust";
}

// Both machines print the same sentence, so it says "this machine" of neither, and nothing depends on who called whom:
// a sentence with the names turned round would be news each time.
Error distrust(const std::string& a, TrustMode trust_a, const std::string& b, TrustMode trust_b) {
  const auto unauthorized = [](std::string sentence) { return Error{Code::unauthorized, std::move(sentence)}; };
  if (trust_a == TrustMode::none && trust_b == TrustMode::none)
    return unauthorized(std::format(
        "[wire] {} and {} belong to no cluster, so they merely see each other; on either one run flotilla join, then "
        "on "
        "the other flotilla approve CODE{}, or start both with --trust-lan on a network you trust, or with the same "
        "--cluster-secret",
        std::min(a, b), std::max(a, b), a == b ? " (and give one another --name)" : ""));
  if (trust_a != TrustMode::none && trust_b != TrustMode::none)
    return unauthorized(
        std::format("[wire] {} {} but {} {}; start both the same way", a, state_of(trust_a), b, state_of(trust_b)));
  const bool a_lacks = trust_a == TrustMode::none;
  const std::string& lacking = a_lacks ? a : b;
  const std::string& other = a_lacks ? b : a;
  const TrustMode wanted = a_lacks ? trust_b : trust_a;
  if (wanted == TrustMode::member)
    return unauthorized(std::format(
        "[wire] {} belongs to no cluster, so {} and it merely see each other; on {} run flotilla join, then "
        "on {} flotilla approve CODE (or use a token: flotilla token create)",
        lacking, other, lacking, other));
  return unauthorized(
      std::format("[wire] {} was started without --trust-lan or --cluster-secret, so {} and it merely see each other; "
                  "start {} {} as {}",
                  lacking, other, lacking,
                  wanted == TrustMode::trust_lan ? "with --trust-lan" : "with --cluster-secret", other + " was"));
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
  map.choice("trust", m.trust, TrustMode::member);
  map.choice("class", m.connection_class, ConnectionClass::join);
  map.added("clock", m.clock);
}

template <class Map>
void describe(Map& map, Is<HelloReply> auto& m) {
  describe(map, m.peer);
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
          .connection_class = connection_class,
          .clock = self.clock};
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

Handshake::Handshake(HandshakeIdentity self, bool initiator, ConnectionClass connection_class,
                     std::optional<ChannelBinding> binding)
    : self_(std::move(self)), initiator_(initiator), connection_class_(connection_class), binding_(std::move(binding)) {
  check(self_.trust != TrustMode::secret || !self_.secret.empty(), "TrustMode::secret comes with a secret");
}

Handshake Handshake::initiate(HandshakeIdentity self, ConnectionClass connection_class,
                              std::optional<ChannelBinding> binding) {
  Handshake handshake(std::move(self), true, connection_class, std::move(binding));
  handshake.outgoing_ = make_frame(FrameKind::hello, encode_map(introduce(handshake.self_, connection_class)));
  return handshake;
}

Handshake Handshake::respond(HandshakeIdentity self, std::optional<ChannelBinding> binding) {
  return {std::move(self), false, ConnectionClass::control, std::move(binding)};
}

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
  auto hello = decode_map<HandshakePeer>("hello", frame.body);
  if (!hello) return refuse(hello.error());
  peer_ = *std::move(hello);
  peer_->version = frame.header.version;
  connection_class_ = peer_->connection_class;
  if (const auto status = check_peer(frame); !status) return refuse(status.error());
  const HelloReply reply{introduce(self_, connection_class_), proof_of(false)};
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
  peer_ = reply->peer;
  peer_->version = frame.header.version;
  // What it is for is the caller's to say: else a member could have this end take it for a guest's, or for a copy.
  if (peer_->connection_class != connection_class_)
    return refuse({Code::corrupt, std::format("[wire] expected {} to answer for a connection of class {} but it answers "
                                              "for class {}; it is broken",
                                              peer_->name, static_cast<int>(connection_class_),
                                              static_cast<int>(peer_->connection_class))});
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
  if (!binding_)
    return fail(Code::unauthorized,
                "[wire] expected an encrypted connection but {} talks in the clear; is that another program?",
                peer_->name);
  if (peer_->node != binding_->peer)
    return fail(Code::unauthorized, "[wire] expected {} to show the key of its identity {} but it has that of {}",
                peer_->name, to_string(peer_->node), to_string(binding_->peer));
  return check_trust();
}

Status Handshake::check_trust() const {
  const auto may_join = [](TrustMode trust) { return trust == TrustMode::none || trust == TrustMode::member; };
  if (connection_class_ == ConnectionClass::join && may_join(self_.trust) && may_join(peer_->trust)) return {};
  if (peer_->trust != self_.trust || self_.trust == TrustMode::none)
    return fail(distrust(self_.name, self_.trust, peer_->name, peer_->trust));
  if (self_.trust == TrustMode::secret) return {};  // its proof follows
  if (binding_->judge) return binding_->judge(peer_->name);
  if (self_.trust == TrustMode::trust_lan) return {};
  return fail(Code::unauthorized, "[wire] expected a certificate from {} but got none", peer_->name);
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
  const NodeId& initiator_node = initiator_ ? self_.node : peer_->node;
  const NodeId& responder_node = initiator_ ? peer_->node : self_.node;
  Bytes message;
  ByteWriter writer(message);
  writer.text(by_initiator ? "flotilla 2 initiator" : "flotilla 2 responder");
  writer.raw(binding_->exporter);
  writer.raw(std::as_bytes(std::span(initiator_node.bytes)));
  writer.raw(std::as_bytes(std::span(responder_node.bytes)));
  writer.number(static_cast<std::uint8_t>(connection_class_));
  const bool secret = self_.trust == TrustMode::secret;
  return hmac_sha256(bytes_of(secret ? std::string_view(self_.secret) : public_key), message);
}

Frame make_refusal(const Error& cause) { return make_frame(FrameKind::refused, encode_map(Refused{cause, {}})); }

Error read_refusal(const Frame& frame) {
  const auto refused = decode_map<Refused>("refused", frame.body);
  return refused ? refused->error : refused.error();
}

}  // namespace flotilla
