// A framed connection on the event loop: the node's control connections and its pipe to each runner.
//
// Thread: the loop's thread only. Errors stick: on_close is called once, with the first cause, never from inside send().
// A peer that does not read is closed once limits::send_queue_bytes_max wait for it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "base/result.h"
#include "io/tcp_link.h"
#include "wire/frame.h"

namespace flotilla {

class FrameConnection : public std::enable_shared_from_this<FrameConnection> {
 public:
  using OnFrame = std::function<void(Frame)>;
  using OnClose = std::function<void(Error)>;

  // Takes a connected stream socket. Nothing is read before start().
  static std::shared_ptr<FrameConnection> adopt(boost::asio::any_io_executor executor, Descriptor socket);
  virtual ~FrameConnection() = default;

  virtual void start(OnFrame on_frame, OnClose on_close) = 0;
  virtual void send(const Frame& frame) = 0;  // queued; silently dropped once closed (on_close has said why)
  virtual void close(Error cause) = 0;        // sends what is queued first, for at most a second
  virtual bool is_open() const = 0;
  virtual std::string remote_host() const = 0;  // "192.168.1.7", "fe80::1%eth0"; empty for a socketpair
  // Stops reading and gives the socket back for a blocking Link (a bulk copy after its handshake). Only in on_frame, and
  // only where the peer has sent nothing further yet.
  virtual Descriptor release() = 0;
};

}  // namespace flotilla
