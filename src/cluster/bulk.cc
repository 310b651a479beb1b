// A bulk connection's opening, on a helper thread: connect, prove, wait for the go-ahead.
#include "cluster/bulk.h"

#include <cerrno>
#include <cstring>

#include "base/limits.h"
#include "cluster/cluster.h"
#include "io/link.h"
#include "io/socket_calls.h"

namespace flotilla {

Result<HandshakePeer> introduce_bulk(Link& link, const HandshakeIdentity& self) {
  auto handshake = Handshake::initiate(self, ConnectionClass::bulk);
  Frame frame;
  while (true) {
    while (auto out = handshake.take_outgoing()) FLOTILLA_TRY_STATUS(link.send(*out));
    if (handshake.done()) break;
    FLOTILLA_TRY_STATUS(link.receive(frame, limits::handshake_time_max));
    const auto status = handshake.on_frame(frame);
    if (status) continue;
    if (auto refusal = handshake.take_outgoing()) (void)link.send(*refusal);  // the first error is the one to tell
    return fail(status.error());
  }
  FLOTILLA_TRY_STATUS(link.receive(frame, limits::handshake_time_max));
  if (frame.header.kind == bulk_go_ahead) return *handshake.peer();
  return fail(Code::corrupt, "[cluster] expected the go-ahead for a bulk connection but got {}",
              to_string(frame.header.kind));
}

Status send_go_ahead(const Descriptor& socket) {
  const auto bytes = encode_header({.kind = bulk_go_ahead}, {});
  // A socket nothing was sent on for a round trip takes 48 bytes at once.
  const auto sent = ::send(socket.get(), bytes.data(), bytes.size(), no_signal);
  if (sent == static_cast<ssize_t>(bytes.size())) return {};
  return fail(Code::closed, "[cluster] expected a bulk connection to take its go-ahead but got: {}",
              std::strerror(errno));
}

Result<std::unique_ptr<Link>> connect_bulk(const HandshakeIdentity& self, const std::string& host,
                                           std::uint16_t cluster_port) {
  FLOTILLA_TRY(auto socket, tcp_connect(host, cluster_port, limits::handshake_time_max));
  auto link = make_tcp_link(std::move(socket), {.rest_max = bulk_rest_max});
  FLOTILLA_TRY_STATUS(introduce_bulk(*link, self));
  return link;
}

}  // namespace flotilla
