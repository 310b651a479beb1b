#include "cluster/join_client.h"

#include "base/limits.h"
#include "base/words.h"
#include "cluster/introduction.h"
#include "io/secure_socket.h"
#include "trust/pairing_budget.h"
#include "trust/pairing_code.h"
#include "wire/handshake.h"
#include "wire/joining.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto answer_time_max = 15s;  // the member may ask the one that holds the cluster's key, which may be slow
constexpr auto look_up_interval = 200ms;

// What the connection is known to be, before a word of joining is said.
struct Door {
  SecureSocket socket;
  HandshakePeer peer;
  Digest exporter{};
  DeviceId member;
};

Result<Door> knock(const NodeIdentity& self, const PeerAddress& address, const JoinWish& wish) {
  FLOTILLA_TRY(auto socket, tcp_connect(address.host, address.port, limits::handshake_time_max));
  const auto tls = self.standing->tls();
  FLOTILLA_TRY(auto secure, shake_hands(std::move(socket), tls, TlsRole::initiator, handshake_end()));
  const auto shown = secure.tls->peer();
  if (!shown) return fail(Code::not_found, "[cluster] expected a machine with a certificate at {}", to_string(address));
  // The cluster proves itself before anything of the token is said.
  if (wish.token) {
    const auto judged = Standing::judge_for_token(*shown, secure.tls->peer_issuer(), *wish.token, wall_time());
    if (!judged) return fail(Code::not_found, "{}", judged.error().message);
  }
  Door door{.exporter = secure.tls->exporter(), .member = shown->id()};
  FLOTILLA_TRY(door.peer, introduce(secure, self, ConnectionClass::join));
  door.socket = std::move(secure);
  return door;
}

Status send(Door& door, FrameKind kind, Bytes body) {
  return send_frame(door.socket, make_frame(kind, std::move(body)), handshake_end());
}

// Until a frame has begun, `stop` ends the wait; then it has little time, whoever sends it.
Result<Frame> receive(Door& door, FrameKind expected, std::chrono::nanoseconds patience,
                      const std::atomic<bool>* stop) {
  for (const auto until = Clock::now() + patience;;) {
    if (stop && *stop) return fail(Code::cancelled, "[cluster] joining was given up");
    FLOTILLA_TRY(const bool begun, has_begun(door.socket, Clock::now() + look_up_interval));
    if (begun) break;
    if (Clock::now() >= until)
      return fail(Code::timeout, "[cluster] expected an answer from {} but none came in time", door.peer.name);
  }
  FLOTILLA_TRY(Frame frame, receive_frame(door.socket, body_bytes_max(expected), handshake_end()));
  if (frame.header.kind == FrameKind::refused) return fail(read_refusal(frame));
  if (frame.header.kind == expected) return frame;
  return fail(Code::corrupt, "[cluster] expected {} from {} but got {}", to_string(expected), door.peer.name,
              to_string(frame.header.kind));
}

Status show_code(Door& door, const NodeIdentity& self, const JoinWish& wish) {
  const auto nonce = random_pairing_nonce();
  const JoinRequest request{.by_code = true, .commitment = commitment_to(nonce)};
  FLOTILLA_TRY_STATUS(send(door, FrameKind::join_request, encode(request)));
  FLOTILLA_TRY(const Frame frame, receive(door, FrameKind::join_nonce, answer_time_max, wish.stop));
  FLOTILLA_TRY(const JoinNonce theirs, decode_join_nonce(frame.body));
  FLOTILLA_TRY_STATUS(send(door, FrameKind::join_reveal, encode(JoinNonce{nonce})));
  wish.on_code(pairing_code({.exporter = door.exporter,
                             .newcomer = self.standing->device(),
                             .member = door.member,
                             .newcomer_nonce = nonce,
                             .member_nonce = theirs.nonce}),
               door.peer.name);
  return {};
}

Status show_token(Door& door, const NodeIdentity& self, const JoinToken& token) {
  const TokenProof proof = token.prove(door.exporter, self.standing->device());
  return send(door, FrameKind::join_request, encode(JoinRequest{.token = proof.token, .proof = proof.proof}));
}

// Whoever answers has shown a certificate of the token's cluster, or had one: it may have been put out since, which a
// newcomer cannot know. So it must not take the newcomer into another cluster.
Status check_granted(const JoinGranted& granted, const JoinToken& token, const Door& door) {
  const auto cluster = Certificate::from_der(granted.cluster);
  if (cluster && token.names(cluster->id())) return {};
  return fail(Code::not_found,
              "[cluster] expected {} to let this machine into the token's cluster but it gave a certificate of another",
              door.peer.name);
}

}  // namespace

Result<JoinOutcome> ask_to_join(const NodeIdentity& self, const PeerAddress& address, const JoinWish& wish) {
  // Whatever goes wrong so far says nothing of the token: another address may be better.
  auto known = knock(self, address, wish);
  if (!known) return fail(Code::not_found, "{}", known.error().message);
  Door& door = *known;
  FLOTILLA_TRY_STATUS(wish.token ? show_token(door, self, *wish.token) : show_code(door, self, wish));
  const auto patience = wish.token ? std::chrono::nanoseconds(answer_time_max) : PairingBudget::code_time_max;
  FLOTILLA_TRY(const Frame frame, receive(door, FrameKind::join_granted, patience, wish.stop));
  FLOTILLA_TRY(JoinGranted granted, decode_join_granted(frame.body));
  if (wish.token) FLOTILLA_TRY_STATUS(check_granted(granted, *wish.token, door));
  return JoinOutcome{.machine = door.peer.name,
                     .admission = {.member = std::move(granted.member),
                                   .cluster = std::move(granted.cluster),
                                   .revocations = std::move(granted.revocations)}};
}

}  // namespace flotilla
