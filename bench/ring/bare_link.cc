#include "bare_link.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <span>
#include <utility>
#include <vector>

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds patience{5};

// What the other process is told before each series.
struct Series {
  std::uint64_t bytes = 0, count = 0;
  std::int64_t pause_ns = 0;
};

bool send_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool receive_all(int fd, std::span<std::byte> bytes) {
  return bytes.empty() || ::recv(fd, bytes.data(), bytes.size(), MSG_WAITALL) == static_cast<ssize_t>(bytes.size());
}

void compute_for(std::chrono::nanoseconds time) {
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
  }
}

// Messages leave at once, and who receives sleeps until one comes.
void prepare(int fd) {
  const int on = 1;
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void answer_until_closed(int fd) {
  Series series;
  while (receive_all(fd, std::as_writable_bytes(std::span(&series, 1)))) {
    std::vector<std::byte> message(series.bytes);
    for (std::uint64_t i = 0; i < series.count; ++i) {
      if (!receive_all(fd, message)) return;
      compute_for(std::chrono::nanoseconds(series.pause_ns));
      if (!send_all(fd, message)) return;
    }
  }
}

}  // namespace

Result<BareLink> BareLink::open() {
  FLOTILLA_TRY(const auto listener, tcp_listen("127.0.0.1", 0));
  const pid_t child = ::fork();
  if (child < 0) return fail(Code::internal, "[bench] could not start a second process");
  if (child == 0) {
    const auto socket = tcp_connect("127.0.0.1", local_port(listener), patience);
    if (socket) {
      prepare(socket->get());
      answer_until_closed(socket->get());
    }
    ::_exit(0);
  }
  FLOTILLA_TRY(auto socket, tcp_accept(listener, patience));
  prepare(socket.get());
  return BareLink(std::move(socket));
}

Result<double> BareLink::one_way_ms(std::size_t bytes, std::chrono::nanoseconds pause, std::uint32_t count) {
  const Series series{.bytes = bytes, .count = count, .pause_ns = pause.count()};
  std::vector<std::byte> message(bytes);
  Clock::duration taken{};
  bool connected = send_all(socket_.get(), std::as_bytes(std::span(&series, 1)));
  for (std::uint32_t i = 0; i < count && connected; ++i) {
    compute_for(pause);
    const auto begun = Clock::now();
    connected = send_all(socket_.get(), message) && receive_all(socket_.get(), message);
    taken += Clock::now() - begun - pause;
  }
  if (!connected) return fail(Code::internal, "[bench] the bare connection broke");
  return std::chrono::duration<double, std::milli>(taken).count() / 2 / count;
}

}  // namespace flotilla
