#include "io/tcp_link.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>

#include "io/link_check.h"
#include "io/secure_socket.h"
#include "io/socket_calls.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

// A header may announce 256 MiB, and a stranger may write it: memory is taken as the bytes arrive, not before. A link
// in use has had such a frame before, so its body has the room and nothing is copied.
constexpr std::size_t body_step_bytes = 1u << 20;
// TLS: a record's bytes, how many are encrypted before they are sent, and what is read from the system at once.
constexpr std::size_t record_bytes = 16u << 10, records_at_once = 8, wire_step_bytes = 128u << 10;

Error system_error(std::string_view what) {
  const int number = errno;
  return {Code::closed,
          std::format("[io] {} failed: {}; the other end or the network is gone", what, std::strerror(number))};
}

// Who waits for a frame sends nothing, so without this it would never notice that the other machine is gone. The system
// answers for a peer that is merely busy. Fails on a socketpair, whose end is always noticed.
void probe_when_silent(int socket) {
  const auto set = [socket](int level, int option, int value) {
    setsockopt(socket, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
  set(IPPROTO_TCP, TCP_KEEPIDLE, 6);  // seconds
#else
  set(IPPROTO_TCP, TCP_KEEPALIVE, 6);  // macOS
#endif
  set(IPPROTO_TCP, TCP_KEEPINTVL, 3);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

class TcpLink : public Link {
 public:
  TcpLink(SecureSocket secure, TcpLinkOptions options)
      : socket_(std::move(secure.socket)), tls_(std::move(secure.tls)), options_(options), spin_(options.spin) {
    const int one = 1;
    // Fails on a socketpair, which has no such delay.
    setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    probe_when_silent(socket_.get());
#ifdef SO_NOSIGPIPE
    setsockopt(socket_.get(), SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
    const int flags = fcntl(socket_.get(), F_GETFL);
    if (flags < 0 || fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) < 0)
      cause_.set(system_error("adopting a socket"));
  }

  ~TcpLink() override = default;

  Status send(const FrameHeader& header, std::span<const std::byte> body) override {
    if (cause_) return fail(cause_.get());
    FLOTILLA_TRY_STATUS(check_sendable(header, body));
    const FrameHeaderBytes head = encode_header(header, body);
    FLOTILLA_TRY_STATUS(or_close(tls_ ? send_encrypted(head, body) : send_all(head, body)));
    sent_ += {.messages = 1, .bytes = head.size() + body.size()};
    return {};
  }

  Traffic sent() const override { return sent_; }

  Status receive(Frame& frame, std::chrono::nanoseconds patience) override {
    if (cause_) return fail(cause_.get());
    FLOTILLA_TRY(const bool begun, wait_for_begin(patience));
    if (!begun) return fail(Code::timeout, "[io] no frame began in time");
    return or_close(receive_frame(frame));
  }

  void while_sending_waits(Meanwhile meanwhile) override { meanwhile_ = std::move(meanwhile); }

  void sleep_at_once(bool yes) override { spin_ = yes ? std::chrono::microseconds(0) : options_.spin; }

  // Only shuts the socket down: its number is given back when the link is destroyed, never while a call may use it.
  void close(Error cause) override {
    cause_.set(std::move(cause));
    shutdown(socket_.get(), SHUT_RDWR);
  }

 private:
  Status or_close(Status status) {
    if (status) return status;
    close(std::move(status).error());
    return fail(cause_.get());
  }

  Status send_all(std::span<const std::byte> head, std::span<const std::byte> body) {
    std::array<iovec, 2> parts{
        {{const_cast<std::byte*>(head.data()), head.size()}, {const_cast<std::byte*>(body.data()), body.size()}}};
    std::size_t part = 0;
    while (part < parts.size()) {
      msghdr message{};
      message.msg_iov = &parts[part];
      message.msg_iovlen = parts.size() - part;
      const ssize_t sent = sendmsg(socket_.get(), &message, no_signal);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return fail(system_error("sending"));
      if (sent < 0) {
        FLOTILLA_TRY_STATUS(wait_to_send());
        continue;
      }
      auto left = static_cast<std::size_t>(sent);
      while (part < parts.size() && left >= parts[part].iov_len) left -= parts[part++].iov_len;
      if (part < parts.size()) {
        parts[part].iov_base = static_cast<std::byte*>(parts[part].iov_base) + left;
        parts[part].iov_len -= left;
      }
    }
    return {};
  }

  // --- TLS ---
  // Who sends and who receives may be two threads, and a TLS session is one thing: it is locked for as long as OpenSSL
  // computes, never while anything waits.

  // A small frame becomes one record and one call of the system: header and body are put together first. Of a large one
  // some records at a time are encrypted and sent.
  Status send_encrypted(std::span<const std::byte> head, std::span<const std::byte> body) {
    const auto with_head = body.first(std::min(body.size(), record_bytes - head.size()));
    staging_.assign(head.begin(), head.end());
    staging_.insert(staging_.end(), with_head.begin(), with_head.end());
    FLOTILLA_TRY_STATUS(send_records(staging_));
    for (auto rest = body.subspan(with_head.size()); !rest.empty();) {
      const auto some = rest.first(std::min(rest.size(), records_at_once * record_bytes));
      FLOTILLA_TRY_STATUS(send_records(some));
      rest = rest.subspan(some.size());
    }
    return {};
  }

  Status send_records(std::span<const std::byte> bytes) {
    {
      const std::scoped_lock lock(tls_mutex_);
      FLOTILLA_TRY_STATUS(tls_->write(bytes));
    }
    while (true) {
      FLOTILLA_TRY(const bool all, send_what_fits());
      if (all) return {};
      FLOTILLA_TRY_STATUS(wait_to_send());
    }
  }

  Result<bool> send_what_fits() {
    const std::scoped_lock lock(tls_mutex_);
    while (true) {
      const auto bytes = tls_->outgoing();
      if (bytes.empty()) return true;
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), no_signal);
      if (sent >= 0) {
        tls_->sent(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return false;
      } else if (errno != EINTR) {
        return fail(system_error("sending"));
      }
    }
  }

  // What the session makes of what is there: 0 where more has to come, at_end where nothing will.
  Result<std::size_t> receive_encrypted(std::span<std::byte> into) {
    while (true) {
      const std::scoped_lock lock(tls_mutex_);
      const auto count = tls_->read(into);
      if (!count && count.error().code == Code::closed) return at_end;
      if (!count || *count > 0) return count;
      FLOTILLA_TRY(const std::size_t arrived, receive_raw(tls_->room(wire_step_bytes)));
      if (arrived == 0 || arrived == at_end) return arrived;
      tls_->arrived(arrived);
    }
  }

  // Whether a byte of a frame is there; an error where none will come.
  Result<bool> has_begun_encrypted() {
    while (true) {
      const std::scoped_lock lock(tls_mutex_);
      FLOTILLA_TRY(const bool has_something, tls_->has_something());
      if (has_something) return true;
      FLOTILLA_TRY(const std::size_t arrived, receive_raw(tls_->room(wire_step_bytes)));
      if (arrived == 0) return false;
      if (arrived == at_end) return fail(Code::closed, "[io] the other end closed the link");
      tls_->arrived(arrived);
    }
  }

  Result<bool> has_begun() {
    if (tls_) return has_begun_encrypted();
    std::byte byte;
    const ssize_t count = recv(socket_.get(), &byte, 1, MSG_PEEK);
    if (count > 0) return true;
    if (count == 0) return fail(Code::closed, "[io] the other end closed the link");
    if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) return false;
    return fail(system_error("receiving"));
  }

  Status receive_frame(Frame& frame) {
    FrameHeaderBytes head;
    FLOTILLA_TRY_STATUS(receive_all(head, "header"));
    FLOTILLA_TRY(frame.header, decode_header(head));
    const std::size_t total = frame.header.body_bytes;
    for (std::size_t have = 0; have < total || frame.body.size() != total;) {
      const std::size_t granted = std::max(frame.body.capacity(), have + body_step_bytes);
      frame.body.resize(std::min(total, granted));
      FLOTILLA_TRY_STATUS(receive_all(std::span(frame.body).subspan(have), "body"));
      have = frame.body.size();
    }
    return check_body(frame.header, frame.body);
  }

  // The rest of a frame that has begun. Its sender may be slow; one that is gone ends the link, through the network or
  // through close().
  Status receive_all(std::span<std::byte> into, std::string_view what) {
    const std::size_t total = into.size();
    while (!into.empty()) {
      FLOTILLA_TRY(const std::size_t count, receive_some(into));
      if (count == at_end) {
        if (into.size() == total && what == "header") return closed_by_peer();
        return fail(Code::closed, "[io] expected {} bytes of a frame's {} but got {} before the other end closed",
                    total, what, total - into.size());
      }
      into = into.subspan(count);
      if (count == 0) FLOTILLA_TRY_STATUS(wait_in_frame(POLLIN));
    }
    return {};
  }

  static constexpr std::size_t at_end = SIZE_MAX;

  // 0 where nothing is there yet, at_end where nothing will come.
  Result<std::size_t> receive_some(std::span<std::byte> into) {
    return tls_ ? receive_encrypted(into) : receive_raw(into);
  }

  Result<std::size_t> receive_raw(std::span<std::byte> into) {
    while (true) {
      const ssize_t count = recv(socket_.get(), into.data(), into.size(), 0);
      if (count > 0) return static_cast<std::size_t>(count);
      if (count == 0) return at_end;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return std::size_t{0};
      if (errno != EINTR) return fail(system_error("receiving"));
    }
  }

  // Whether a byte (or the end) is there within `patience`. Looks for as long as `spin` says before it sleeps.
  Result<bool> wait_for_begin(std::chrono::nanoseconds patience) {
    const auto start = Clock::now();
    const auto spin = std::min<std::chrono::nanoseconds>(spin_, patience);
    while (true) {
      const auto begun = has_begun();
      if (!begun) return fail_and_close(begun.error());
      if (*begun) return true;
      if (cause_) return fail(cause_.get());
      const auto spent = Clock::now() - start;
      if (spent < spin) continue;
      const auto waited = wait(POLLIN, patience - spent);
      if (waited && tls_) continue;  // what arrived may be less than a record
      if (waited) return true;
      if (waited.error().code == Code::timeout) return false;
      return fail_and_close(waited.error());
    }
  }

  std::unexpected<Error> closed_by_peer() {
    return fail_and_close({Code::closed, "[io] the other end closed the link"});
  }

  std::unexpected<Error> fail_and_close(Error cause) {
    close(std::move(cause));
    return fail(cause_.get());
  }

  Status wait_to_send() {
    if (!meanwhile_) return wait_in_frame(POLLOUT);
    for (const auto until = Clock::now() + std::min<std::chrono::nanoseconds>(options_.rest_max, for_ever);;) {
      const auto status = wait(POLLOUT, meanwhile_interval);
      if (status || status.error().code != Code::timeout) return status;
      FLOTILLA_TRY_STATUS(meanwhile_());
      if (Clock::now() >= until) return wait_in_frame(POLLOUT);
    }
  }

  // Not timeout, which means that no frame began and that the link is as good as before.
  Status wait_in_frame(short events) {
    auto status = wait(events, options_.rest_max);
    if (status || status.error().code != Code::timeout) return status;
    return fail(Code::unavailable,
                "[io] expected the other end to go on with a frame but nothing moved for {} ms; is it asleep?",
                std::chrono::ceil<std::chrono::milliseconds>(options_.rest_max).count());
  }

  // timeout, or the cause where close() ended the wait.
  Status wait(short events, std::chrono::nanoseconds patience) {
    const auto deadline = Clock::now() + std::min<std::chrono::nanoseconds>(patience, for_ever);
    const int ready = poll_until(socket_.get(), events, deadline);
    if (cause_) return fail(cause_.get());
    if (ready > 0) return {};
    if (ready < 0) return fail(system_error("waiting"));
    return fail(Code::timeout, "[io] nothing happened in time");
  }

  Descriptor socket_;
  std::optional<TlsSession> tls_;
  std::mutex tls_mutex_;
  Bytes staging_;
  TcpLinkOptions options_;
  std::chrono::microseconds spin_;  // options_.spin, but for who sleeps at once
  Meanwhile meanwhile_;
  Traffic sent_;
  FirstCause cause_;
};

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

std::unique_ptr<Link> make_tcp_link(Descriptor socket, TcpLinkOptions options) {
  return std::make_unique<TcpLink>(std::move(socket), options);
}

std::unique_ptr<Link> make_tcp_link(SecureSocket socket, TcpLinkOptions options) {
  return std::make_unique<TcpLink>(std::move(socket), options);
}

}  // namespace flotilla
