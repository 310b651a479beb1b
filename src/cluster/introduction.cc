#include "cluster/introduction.h"

#include "base/limits.h"

namespace flotilla {

Result<HandshakePeer> introduce(Link& link, const NodeIdentity& self, ConnectionClass wanted, ChannelBinding binding) {
  auto handshake = Handshake::initiate(self.hello(), wanted, std::move(binding));
  Frame frame;
  while (true) {
    while (auto out = handshake.take_outgoing()) FLOTILLA_TRY_STATUS(link.send(*out));
    if (handshake.done()) return *handshake.peer();
    FLOTILLA_TRY_STATUS(link.receive(frame, limits::handshake_time_max));
    const auto status = handshake.on_frame(frame);
    if (status) continue;
    if (auto refusal = handshake.take_outgoing()) (void)link.send(*refusal);  // the first error is the one to tell
    return fail(status.error());
  }
}

}  // namespace flotilla
