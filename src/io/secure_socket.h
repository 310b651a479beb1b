// A connected socket with the TLS session on it, if there is one: what is handed from who shook hands to who uses it.
//
// The calls here are for the few moments before a Link is made of it: bounded in bytes and in time, blocking.
// Thread: one at a time.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/result.h"
#include "io/tcp_link.h"
#include "trust/tls_session.h"
#include "wire/frame.h"

namespace flotilla {

struct SecureSocket {
  Descriptor socket;
  std::optional<TlsSession> tls;  // none: in the clear, as between a node and its runners
  SecureSocket() = default;
  SecureSocket(Descriptor bare) : socket(std::move(bare)) {}
  SecureSocket(Descriptor bare, std::optional<TlsSession> session) : socket(std::move(bare)), tls(std::move(session)) {}
  explicit operator bool() const { return static_cast<bool>(socket); }
};

// Makes the socket's TLS session and its handshake. timeout, closed, and the session's own errors.
Result<SecureSocket> shake_hands(Descriptor socket, const TlsContext& context, TlsRole role,
                                 std::chrono::steady_clock::time_point until);

// Exactly so many bytes. timeout, closed.
Status receive_exactly(SecureSocket& socket, std::span<std::byte> into, std::chrono::steady_clock::time_point until);
Status send_exactly(SecureSocket& socket, std::span<const std::byte> bytes,
                    std::chrono::steady_clock::time_point until);

// A whole frame. Of a stranger's, which a Link would wait for as long as it takes, and make room for whatever its kind
// may have. timeout, closed, too_large, and what is wrong with the frame (wire/frame.h).
Result<Frame> receive_frame(SecureSocket& socket, std::size_t body_bytes_max,
                            std::chrono::steady_clock::time_point until);
Status send_frame(SecureSocket& socket, const Frame& frame, std::chrono::steady_clock::time_point until);
// Whether a byte to receive is there by then. closed where none will come.
Result<bool> has_begun(SecureSocket& socket, std::chrono::steady_clock::time_point until);

// As make_tcp_link(Descriptor), encrypted where the socket is.
std::unique_ptr<Link> make_tcp_link(SecureSocket socket, TcpLinkOptions options = {});

}  // namespace flotilla
