// A bulk connection's opening, on a helper thread: connect, prove, wait for the go-ahead.
#include "cluster/bulk.h"

#include "base/limits.h"
#include "cluster/cluster.h"
#include "cluster/introduction.h"
#include "io/link.h"

namespace flotilla {

namespace {

Result<HandshakePeer> prove(Link& link, const NodeIdentity& self, ChannelBinding binding) {
  FLOTILLA_TRY(auto peer, introduce(link, self, ConnectionClass::bulk, std::move(binding)));
  Frame frame;
  FLOTILLA_TRY_STATUS(link.receive(frame, limits::handshake_time_max));
  if (frame.header.kind == bulk_go_ahead) return peer;
  return fail(Code::corrupt, "[cluster] expected the go-ahead for a bulk connection but got {}",
              to_string(frame.header.kind));
}

}  // namespace

Result<BulkOpening> introduce_bulk(Descriptor socket, const NodeIdentity& self, TcpLinkOptions options) {
  const auto until = std::chrono::steady_clock::now() + limits::handshake_time_max;
  FLOTILLA_TRY(auto secure, shake_hands(std::move(socket), self.standing->tls(), TlsRole::initiator, until));
  auto binding = self.bind(*secure.tls);
  BulkOpening opening{.link = make_tcp_link(std::move(secure), options)};
  FLOTILLA_TRY(opening.peer, prove(*opening.link, self, std::move(binding)));
  return opening;
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
