// One end of a TLS 1.3 connection, without a socket: bytes from the wire are handed in, bytes for the wire are taken
// out, and whoever owns the socket moves them, on whatever thread and in whatever manner it likes. In: what arrived,
// what to say. Out: what to send, what was said. Owns: the connection's keys.
//
// Thread: one at a time. Never: blocks, reads a socket, decides who the peer may be (Standing does).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "base/sha256.h"
#include "trust/certificate.h"
#include "trust/tls_context.h"

namespace flotilla {

enum class TlsRole { initiator, responder };  // who connected, who accepted

class TlsSession {
 public:
  // Of AES-GCM's bound of 2^24.5 full records to a key (RFC 8446, 5.5) a fifth: 64 GiB at least.
  static constexpr std::uint64_t records_per_key_max = std::uint64_t{1} << 22;

  // After so many records what is said goes under a new key; the other end follows by itself.
  TlsSession(const TlsContext& context, TlsRole role, std::uint64_t records_per_key = records_per_key_max);
  TlsSession(TlsSession&&) noexcept;
  TlsSession& operator=(TlsSession&&) noexcept;
  ~TlsSession();

  // --- From the wire ---
  // Room for at least `bytes` more; arrived() says how many of them were filled.
  std::span<std::byte> room(std::size_t bytes);
  void arrived(std::size_t bytes);

  // --- To the wire ---
  std::span<const std::byte> outgoing() const;  // valid until the next call
  void sent(std::size_t bytes);                 // the first of them
  Bytes take_outgoing();                        // all of it, for who sends while other calls go on

  // --- The handshake ---
  // Goes on with it as far as what arrived allows; afterwards there may be something outgoing, an alert too where it
  // fails. unauthorized where the peer showed no usable certificate or has not the shared key, corrupt where it does
  // not speak TLS 1.3.
  Status advance();
  bool established() const { return established_; }

  // --- Once established ---
  Status write(std::span<const std::byte> bytes);  // all of them, into outgoing()
  // Some of what the peer said; 0 where more has to arrive first. closed where the peer has ended the connection,
  // corrupt where someone tampered with it.
  Result<std::size_t> read(std::span<std::byte> into);
  Result<bool> has_something();  // whether read() would give a byte

  // 32 bytes that only the two ends of this connection know and no other connection has (RFC 8446, 7.5).
  Digest exporter() const;
  std::optional<Certificate> peer() const;         // what the other end showed; none with a shared key
  std::optional<Certificate> peer_issuer() const;  // and the certificate that came with it

 private:
  struct State;
  Status failure(int result);
  void renew_key_in_time(std::size_t bytes);
  std::unique_ptr<State> state_;
  bool established_ = false;
  std::uint64_t records_per_key_, records_ = 0;  // written under the present key, rounded up
};

}  // namespace flotilla
