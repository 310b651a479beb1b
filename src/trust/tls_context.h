// What a TLS 1.3 connection is made with: the keys and certificates shown, and whom the other end may be.
//
// Thread: any; a context does not change. Nothing older than TLS 1.3, no tickets, no resumption.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/sha256.h"
#include "trust/certificate.h"
#include "trust/signing_key.h"

using SSL_CTX = struct ssl_ctx_st;

namespace flotilla {

class TlsContext {
 public:
  // Both ends show a certificate around an Ed25519 key and prove that they have it. Any such key may connect: who its
  // owner is, and what it may do, is decided behind the handshake (Standing::judge), where it can be told why.
  // `issuer`: the cluster's certificate, shown with a member's.
  static TlsContext of_device(const SigningKey& key, const Certificate& shown,
                              const std::optional<Certificate>& issuer);
  // Both ends prove that they have the same key, of at least 128 bits, by it alone; nobody else gets through the
  // handshake. Certificates are neither shown nor taken.
  static TlsContext of_shared_key(std::span<const std::byte> key);

  SSL_CTX* handle() const { return context_.get(); }  // for tls_session.cc; valid as long as this

 private:
  explicit TlsContext(std::shared_ptr<SSL_CTX> context) : context_(std::move(context)) {}
  std::shared_ptr<SSL_CTX> context_;
};

}  // namespace flotilla
