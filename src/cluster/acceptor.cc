#include "cluster/acceptor.h"

#include <unistd.h>

#include "base/log.h"

namespace flotilla {
namespace {

constexpr int accepted_at_once_max = 16;                     // then others on the loop have their turn
constexpr auto pause_time = std::chrono::milliseconds(200);  // where the system is out of descriptors

}  // namespace

Acceptor::Acceptor(boost::asio::io_context& loop, Descriptor listener, OnSocket on_socket)
    : listener_(std::move(listener)),
      watch_(loop, ::dup(listener_.get())),
      pause_(loop),
      on_socket_(std::move(on_socket)) {
  await();
}

void Acceptor::await() {
  watch_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this, alive = std::weak_ptr(alive_)](boost::system::error_code error) {
                      if (!error && !alive.expired()) accept_all();
                    });
}

void Acceptor::accept_all() {
  const std::weak_ptr alive = alive_;
  for (int accepted = 0;; ++accepted) {
    if (accepted == accepted_at_once_max) return await();
    auto socket = tcp_accept(listener_, std::chrono::milliseconds(0));
    if (!socket && socket.error().code == Code::timeout) return await();
    if (!socket) break;
    on_socket_(*std::move(socket));
    if (alive.expired()) return;
  }
  log(LogLevel::warning, "cluster", "connections cannot be accepted for a moment");
  pause_.expires_after(pause_time);
  pause_.async_wait([this, alive](boost::system::error_code error) {
    if (!error && !alive.expired()) await();
  });
}

}  // namespace flotilla
