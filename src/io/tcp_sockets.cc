#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "io/socket_calls.h"
#include "io/tcp_link.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int backlog = 128;

struct AddressListDeleter {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using AddressList = std::unique_ptr<addrinfo, AddressListDeleter>;

Result<AddressList> resolve(const std::string& host, std::uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failed == 0) return AddressList(list);
  return fail(Code::unavailable, "[io] expected the address or name of a machine but got '{}' ({}); check its spelling",
              host, gai_strerror(failed));
}

// No child inherits it: where the system can say so at once, so that a fork in another thread cannot slip between.
Descriptor new_socket(int family) {
#ifdef SOCK_CLOEXEC
  return Descriptor(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
#else
  Descriptor made(socket(family, SOCK_STREAM, 0));
  if (made) fcntl(made.get(), F_SETFD, FD_CLOEXEC);
  return made;
#endif
}

bool set_blocking(const Descriptor& socket, bool blocking) {
  const int flags = fcntl(socket.get(), F_GETFL);
  return flags >= 0 && fcntl(socket.get(), F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) == 0;
}

std::string readable(const std::string& host, std::uint16_t port) {
  return host.contains(':') ? std::format("[{}]:{}", host, port) : std::format("{}:{}", host, port);
}

std::unexpected<Error> connect_error(const std::string& host, std::uint16_t port, int number) {
  const std::string address = readable(host, port);
  if (number == ETIMEDOUT) {
    return fail(Code::timeout,
                "[io] no answer from {}; is that machine on, and does its firewall let flotilla through?", address);
  }
  if (number == ECONNREFUSED) {
    return fail(Code::unavailable, "[io] nothing listens on {}; is flotilla running there?", address);
  }
  return fail(Code::unavailable, "[io] could not connect to {}: {}; check that both machines are on one network",
              address, std::strerror(number));
}

// 0 where connected, else errno's number.
int connect_one(const Descriptor& socket, const addrinfo& address, Clock::time_point deadline) {
  if (connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS && errno != EINTR) return errno;
  const int ready = poll_until(socket.get(), POLLOUT, deadline);
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  int number = 0;
  socklen_t bytes = sizeof number;
  getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &number, &bytes);
  return number;
}

// 0 where listening, else errno's number. An IPv6 wildcard takes IPv4 callers too.
int listen_one(Descriptor& socket, const sockaddr* address, socklen_t address_bytes, int family, bool both_families) {
  socket = new_socket(family);
  if (!socket) return errno;
  const int one = 1, v6_only = both_families ? 0 : 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (family == AF_INET6) setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  if (bind(socket.get(), address, address_bytes) != 0 || listen(socket.get(), backlog) != 0) return errno;
  return set_blocking(socket, false) ? 0 : errno;
}

std::unexpected<Error> listen_error(const std::string& host, std::uint16_t port, int number) {
  switch (number) {
    case EADDRINUSE:
      return fail(Code::busy, "[io] port {} is taken by another program; stop that program or choose another port",
                  port);
    case EACCES:
      return fail(Code::permission, "[io] the system does not let us listen on port {}; choose one above 1023", port);
    case EADDRNOTAVAIL:
      return fail(Code::invalid_argument, "[io] expected an address of this machine to listen on but got '{}'", host);
    default:
      return fail(Code::unavailable, "[io] could not listen on port {}: {}", port, std::strerror(number));
  }
}

}  // namespace

Result<Descriptor> tcp_connect(const std::string& host, std::uint16_t port, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  FLOTILLA_TRY(const auto list, resolve(host, port, 0));
  int number = EHOSTUNREACH;
  for (const addrinfo* address = list.get(); address != nullptr; address = address->ai_next) {
    Descriptor socket = new_socket(address->ai_family);
    if (!socket || !set_blocking(socket, false)) {
      number = errno;
      continue;
    }
    number = connect_one(socket, *address, deadline);
    if (number == 0) return socket;
  }
  return connect_error(host, port, number);
}

Result<Descriptor> tcp_listen(const std::string& host, std::uint16_t port) {
  Descriptor socket;
  if (host.empty()) {
    sockaddr_in6 any6{};
    any6.sin6_family = AF_INET6;
    any6.sin6_port = htons(port);
    int number = listen_one(socket, reinterpret_cast<sockaddr*>(&any6), sizeof any6, AF_INET6, true);
    if (number == EAFNOSUPPORT || number == EADDRNOTAVAIL) {  // a system without IPv6
      sockaddr_in any4{};
      any4.sin_family = AF_INET;
      any4.sin_port = htons(port);
      number = listen_one(socket, reinterpret_cast<sockaddr*>(&any4), sizeof any4, AF_INET, false);
    }
    if (number == 0) return socket;
    return listen_error(host, port, number);
  }
  FLOTILLA_TRY(const auto list, resolve(host, port, AI_PASSIVE));
  const int number = listen_one(socket, list->ai_addr, list->ai_addrlen, list->ai_family, false);
  if (number == 0) return socket;
  return listen_error(host, port, number);
}

std::uint16_t local_port(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

Result<Descriptor> tcp_accept(const Descriptor& listener, std::chrono::milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  while (true) {
    const int ready = poll_until(listener.get(), POLLIN, deadline);
    if (ready == 0) return fail(Code::timeout, "[io] nobody connected in time");
#ifdef SOCK_CLOEXEC
    Descriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
#else
    Descriptor socket(accept(listener.get(), nullptr, nullptr));
    if (socket) fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
#endif
    if (socket) return socket;
    // A caller that gave up between poll and accept is not our failure.
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED) continue;
    return fail(Code::unavailable, "[io] could not accept a connection: {}", std::strerror(errno));
  }
}

std::string remote_host(const Descriptor& socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return {};
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return {};
  char host[NI_MAXHOST];
  if (getnameinfo(reinterpret_cast<sockaddr*>(&address), bytes, host, sizeof host, nullptr, 0, NI_NUMERICHOST) != 0)
    return {};
  // An IPv4 caller of a listener for both families.
  std::string_view text(host);
  if (text.starts_with("::ffff:")) text.remove_prefix(7);
  return std::string(text);
}

Result<std::pair<Descriptor, Descriptor>> socket_pair() {
  int both[2];
#ifdef SOCK_CLOEXEC
  const int failed = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both);
#else
  const int failed = socketpair(AF_UNIX, SOCK_STREAM, 0, both);
#endif
  if (failed != 0) {
    return fail(Code::unavailable, "[io] could not make a pair of sockets: {}; are too many files open?",
                std::strerror(errno));
  }
#ifndef SOCK_CLOEXEC
  for (const int fd : both) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
  return std::pair(Descriptor(both[0]), Descriptor(both[1]));
}

}  // namespace flotilla
