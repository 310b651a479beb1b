#include "io/secure_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "io/socket_calls.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t wire_step_bytes = 16u << 10;

std::unexpected<Error> broken() { return fail(Code::closed, "[io] the connection broke: {}", std::strerror(errno)); }

Status wait(const Descriptor& socket, short events, Clock::time_point until) {
  const int ready = poll_until(socket.get(), events, until);
  if (ready > 0) return {};
  if (ready < 0) return broken();
  return fail(Code::timeout, "[io] expected the other end to go on but it said nothing in time");
}

// At least one byte.
Result<std::size_t> receive_raw(const Descriptor& socket, std::span<std::byte> into, Clock::time_point until) {
  while (true) {
    const ssize_t count = ::recv(socket.get(), into.data(), into.size(), MSG_DONTWAIT);
    if (count > 0) return static_cast<std::size_t>(count);
    if (count == 0) return fail(Code::closed, "[io] the other end closed the connection");
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return broken();
    FLOTILLA_TRY_STATUS(wait(socket, POLLIN, until));
  }
}

Status send_raw(const Descriptor& socket, std::span<const std::byte> bytes, Clock::time_point until) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | no_signal);
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      FLOTILLA_TRY_STATUS(wait(socket, POLLOUT, until));
    } else if (errno != EINTR) {
      return broken();
    }
  }
  return {};
}

Status flush(const Descriptor& socket, TlsSession& tls, Clock::time_point until) {
  if (tls.outgoing().empty()) return {};
  const Bytes bytes = tls.take_outgoing();
  return send_raw(socket, bytes, until);
}

Status take_in(const Descriptor& socket, TlsSession& tls, Clock::time_point until) {
  FLOTILLA_TRY(const std::size_t count, receive_raw(socket, tls.room(wire_step_bytes), until));
  tls.arrived(count);
  return {};
}

}  // namespace

Result<SecureSocket> shake_hands(Descriptor socket, const TlsContext& context, TlsRole role, Clock::time_point until) {
  TlsSession tls(context, role);
  while (true) {
    const auto status = tls.advance();
    const auto told = flush(socket, tls, until);  // an alert, where it failed
    FLOTILLA_TRY_STATUS(status);
    FLOTILLA_TRY_STATUS(told);
    if (tls.established()) return SecureSocket{std::move(socket), std::move(tls)};
    FLOTILLA_TRY_STATUS(take_in(socket, tls, until));
  }
}

Status receive_exactly(SecureSocket& socket, std::span<std::byte> into, Clock::time_point until) {
  while (!into.empty()) {
    std::size_t count = 0;
    if (socket.tls) {
      FLOTILLA_TRY(count, socket.tls->read(into));
      if (count == 0) FLOTILLA_TRY_STATUS(take_in(socket.socket, *socket.tls, until));
    } else {
      FLOTILLA_TRY(count, receive_raw(socket.socket, into, until));
    }
    into = into.subspan(count);
  }
  return {};
}

Status send_exactly(SecureSocket& socket, std::span<const std::byte> bytes, Clock::time_point until) {
  if (!socket.tls) return send_raw(socket.socket, bytes, until);
  FLOTILLA_TRY_STATUS(socket.tls->write(bytes));
  return flush(socket.socket, *socket.tls, until);
}

Result<Frame> receive_frame(SecureSocket& socket, std::size_t body_bytes_max, Clock::time_point until) {
  FrameHeaderBytes head{};
  FLOTILLA_TRY_STATUS(receive_exactly(socket, head, until));
  Frame frame;
  FLOTILLA_TRY(frame.header, decode_header(head));
  if (frame.header.body_bytes > body_bytes_max)
    return fail(Code::too_large, "[io] expected at most {} bytes in a {} frame here but got {}", body_bytes_max,
                to_string(frame.header.kind), frame.header.body_bytes);
  frame.body.resize(frame.header.body_bytes);
  FLOTILLA_TRY_STATUS(receive_exactly(socket, frame.body, until));
  FLOTILLA_TRY_STATUS(check_body(frame.header, frame.body));
  return frame;
}

Status send_frame(SecureSocket& socket, const Frame& frame, Clock::time_point until) {
  FLOTILLA_TRY_STATUS(send_exactly(socket, encode_header(frame.header, frame.body), until));
  return send_exactly(socket, frame.body, until);
}

Result<bool> has_begun(SecureSocket& socket, Clock::time_point until) {
  while (true) {
    if (socket.tls) {
      FLOTILLA_TRY(const bool has_something, socket.tls->has_something());
      if (has_something) return true;
    }
    const auto status = wait(socket.socket, POLLIN, until);
    if (!status && status.error().code == Code::timeout) return false;
    FLOTILLA_TRY_STATUS(status);
    if (!socket.tls) return true;
    FLOTILLA_TRY_STATUS(take_in(socket.socket, *socket.tls, until));
  }
}

}  // namespace flotilla
