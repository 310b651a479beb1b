#include "cluster/introduction.h"

#include "base/limits.h"
#include "io/frame_connection.h"

namespace flotilla {

std::chrono::steady_clock::time_point handshake_end() {
  return std::chrono::steady_clock::now() + limits::handshake_time_max;
}

Result<HandshakePeer> introduce(SecureSocket& socket, const NodeIdentity& self, ConnectionClass wanted) {
  const auto until = handshake_end();
  auto handshake = Handshake::initiate(self.hello(), wanted, self.bind(*socket.tls));
  while (true) {
    while (auto out = handshake.take_outgoing()) FLOTILLA_TRY_STATUS(send_frame(socket, *out, until));
    if (handshake.done()) return *handshake.peer();
    FLOTILLA_TRY(const Frame frame, receive_frame(socket, FrameConnection::stranger_body_bytes_max, until));
    const auto status = handshake.on_frame(frame);
    if (status) continue;
    // The first error is the one to tell.
    if (auto refusal = handshake.take_outgoing()) (void)send_frame(socket, *refusal, until);
    return fail(status.error());
  }
}

}  // namespace flotilla
