// Links over stream sockets (TCP, or a socketpair between a node and its runner), and the few calls to make them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "io/link.h"

namespace flotilla {

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct TcpLinkOptions {
  // Time to poll the socket before sleeping in the kernel. A wake-up costs 20–60 µs, a spin costs a core: a ring that has
  // a core per stage spins, one that shares cores does not.
  std::chrono::microseconds spin{0};
  // A frame under way may rest so long, in either direction; then the link closes with unavailable. For ever in a ring, whose
  // next stage reads nothing while it computes; a machine that is gone is noticed there too (below).
  std::chrono::nanoseconds rest_max = for_ever;
};

// Takes a connected stream socket of either family. Where it is TCP, sets TCP_NODELAY and has the system probe a silent
// peer: one that lost its power or its network ends a waiting receive() with closed within about 15 s.
std::unique_ptr<Link> make_tcp_link(Descriptor socket, TcpLinkOptions options = {});

// host: "192.168.1.7", "fe80::1%eth0", "localhost". unavailable/timeout with the address in the message.
Result<Descriptor> tcp_connect(const std::string& host, std::uint16_t port, std::chrono::milliseconds patience);

// Listens on `host` (empty: every address of both families). port 0: any; ask local_port(). busy where the port is taken.
Result<Descriptor> tcp_listen(const std::string& host, std::uint16_t port);
std::uint16_t local_port(const Descriptor& socket);
// timeout where nobody came.
Result<Descriptor> tcp_accept(const Descriptor& listener, std::chrono::milliseconds patience);

// The numeric address of the other end: "192.168.1.7", "fe80::1%eth0"; empty where it has none (a socketpair).
std::string remote_host(const Descriptor& socket);

// Two connected stream sockets. Neither is inherited by a child unless the caller says so.
Result<std::pair<Descriptor, Descriptor>> socket_pair();

}  // namespace flotilla
