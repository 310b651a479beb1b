// Takes connections off a listening socket, on the loop.
//
// Thread: the loop's; the callback too. It may destroy the acceptor.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "io/tcp_link.h"

namespace flotilla {

class Acceptor {
 public:
  using OnSocket = std::function<void(Descriptor socket)>;
  // `listener` as tcp_listen() gives it.
  Acceptor(boost::asio::io_context& loop, Descriptor listener, OnSocket on_socket);

 private:
  void await();
  void accept_all();

  Descriptor listener_;
  boost::asio::posix::stream_descriptor watch_;  // of a duplicate, so that each closes its own
  boost::asio::steady_timer pause_;
  const OnSocket on_socket_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace flotilla
