// A bulk connection's opening, on a helper thread: connect, prove, wait for the go-ahead.
#include "cluster/bulk.h"

#include "base/limits.h"
#include "cluster/cluster.h"
#include "cluster/introduction.h"

namespace flotilla {

namespace {

Result<HandshakePeer> prove(SecureSocket& socket, const NodeIdentity& self) {
  FLOTILLA_TRY(auto peer, introduce(socket, self, ConnectionClass::bulk));
  FLOTILLA_TRY(const Frame frame, receive_frame(socket, body_bytes_max(bulk_go_ahead), handshake_end()));
  if (frame.header.kind == bulk_go_ahead) return peer;
  return fail(Code::corrupt, "[cluster] expected the go-ahead for a bulk connection but got {}",
              to_string(frame.header.kind));
}

}  // namespace

Result<BulkOpening> introduce_bulk(Descriptor socket, const NodeIdentity& self, TcpLinkOptions options) {
  const auto tls = self.standing->tls();
  FLOTILLA_TRY(auto secure, shake_hands(std::move(socket), tls, TlsRole::initiator, handshake_end()));
  FLOTILLA_TRY(auto peer, prove(secure, self));
  return BulkOpening{.link = make_tcp_link(std::move(secure), options), .peer = std::move(peer)};
}

Status send_go_ahead(SecureSocket& socket) {
  const auto bytes = encode_header({.kind = bulk_go_ahead}, {});
  // A socket nothing was sent on for a round trip takes these few bytes at once: this is the loop's thread.
  const auto sent = send_exactly(socket, bytes, std::chrono::steady_clock::now());
  if (sent) return {};
  return fail(Code::closed, "[cluster] expected a bulk connection to take its go-ahead but got: {}",
              sent.error().message);
}

Result<std::unique_ptr<Link>> connect_bulk(const NodeIdentity& self, const NodeId& peer, const std::string& host,
                                           std::uint16_t cluster_port) {
  FLOTILLA_TRY(auto socket, tcp_connect(host, cluster_port, limits::handshake_time_max));
  FLOTILLA_TRY(auto opening, introduce_bulk(std::move(socket), self, {.rest_max = bulk_rest_max}));
  if (opening.peer.node == peer) return std::move(opening.link);
  return fail(Code::unauthorized, "[cluster] expected another machine at {} but {} answers there", host,
              opening.peer.name);
}

}  // namespace flotilla
