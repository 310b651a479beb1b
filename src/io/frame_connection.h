// A framed connection on the event loop: the node's control connections and its pipe to each runner.
//
// Thread: the loop's thread only. Errors stick: on_close is called once, with the first cause, never from inside a call.
// A peer that does not read is closed once limits::send_queue_bytes_max wait for it; frames that come in bursts of our
// own making are offered instead, and leave half of that to all others. Carries control frames only: a body beyond
// limits::control_body_bytes_max closes it when it arrives, and is logged and dropped when it should be sent.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "base/limits.h"
#include "base/result.h"
#include "io/secure_socket.h"
#include "wire/frame.h"

namespace flotilla {

class FrameConnection : public std::enable_shared_from_this<FrameConnection> {
 public:
  using OnFrame = std::function<void(Frame)>;
  using OnClose = std::function<void(Error)>;
  static constexpr std::size_t stranger_body_bytes_max = 16u << 10;  // as a hello's: names, proofs, or a refusal
  static constexpr std::size_t offered_bytes_max = limits::send_queue_bytes_max / 2;

  // Takes a connected stream socket, encrypted where it brings a session. Nothing is read before start().
  static std::shared_ptr<FrameConnection> adopt(boost::asio::any_io_executor executor, SecureSocket socket);
  virtual ~FrameConnection() = default;

  // For an encrypted one, before start(): called once the TLS handshake is done, before any frame. What is sent earlier
  // waits for it. Where a caller begins with a frame in the clear, as releases before protocol version 2 do, it is called
  // then, tls() is null and frames go in the clear: good for nothing but telling it so.
  virtual void when_secured(std::function<void()> on_secured) = 0;
  virtual const TlsSession* tls() const = 0;  // null where nothing is encrypted

  // Frames with longer bodies close it from now on (too_large), whatever their kind: for a peer that has proved
  // nothing, which may write any kind it likes into a header. limits::control_body_bytes_max until this is called.
  virtual void bound_bodies(std::size_t bytes_max) = 0;

  virtual void start(OnFrame on_frame, OnClose on_close) = 0;
  virtual void send(const Frame& frame) = 0;  // queued; silently dropped once closed (on_close has said why)
  // The same for a frame that its sender can keep and answer for: false, and nothing happens, where more than
  // offered_bytes_max would wait or the connection is closed.
  virtual bool offer(const Frame& frame) = 0;
  // Sends what is queued first, and waits for the peer to have read it, together for at most a second; then on_close.
  virtual void close(Error cause) = 0;
  virtual bool is_open() const = 0;
  virtual std::string remote_host() const = 0;  // "192.168.1.7", "fe80::1%eth0"; empty for a socketpair
  // Stops reading and gives the socket back for a blocking Link (a bulk copy after its handshake). Only in on_frame; what
  // the peer has sent behind that frame is still in the socket. on_close is then never called. Empty where frames of ours
  // are still queued: the connection then closes.
  virtual SecureSocket release() = 0;
};

}  // namespace flotilla
