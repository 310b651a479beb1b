#include "trust/tls_context.h"

#include <cstring>

#include "base/check.h"
#include "trust/openssl_handles.h"

namespace flotilla {
namespace {

constexpr unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};  // its suite in TLS 1.3 (RFC 8446, B.4)
constexpr char shared_key_name[] = "flotilla ring";

std::shared_ptr<SSL_CTX> new_context() {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  check(context != nullptr, "OpenSSL offers TLS");
  check(SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) == 1, "OpenSSL offers TLS 1.3");
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  return context;
}

// The peer's certificate need not lead to anyone we know, but must be one that can be judged.
int accept_any_device(X509_STORE_CTX* store, void*) {
  X509* leaf = X509_STORE_CTX_get0_cert(store);
  if (leaf != nullptr && Certificate::adopt(leaf)) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
  return 0;
}

// Who has the shared key shows no certificate.
int accept_nobody(X509_STORE_CTX* store, void*) {
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

// --- The shared key ---
int key_slot() {
  static const int slot = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr,
      [](void*, void* value, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<Digest*>(value); });
  return slot;
}

SSL_SESSION* session_of(SSL* ssl) {
  const auto* key = static_cast<const Digest*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), key_slot()));
  const SSL_CIPHER* suite = SSL_CIPHER_find(ssl, aes_128_gcm_sha256);
  SSL_SESSION* session = SSL_SESSION_new();
  const bool made =
      key && suite && session &&
      SSL_SESSION_set1_master_key(session, reinterpret_cast<const unsigned char*>(key->data()), key->size()) == 1 &&
      SSL_SESSION_set_cipher(session, suite) == 1 && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1 &&
      SSL_SESSION_set1_id_context(session, reinterpret_cast<const unsigned char*>(shared_key_name),
                                  sizeof shared_key_name - 1) == 1;
  if (made) return session;
  SSL_SESSION_free(session);
  return nullptr;
}

int offer_shared_key(SSL* ssl, const EVP_MD* digest, const unsigned char** name, std::size_t* name_bytes,
                     SSL_SESSION** session) {
  *session = nullptr;
  *name = reinterpret_cast<const unsigned char*>(shared_key_name);
  *name_bytes = sizeof shared_key_name - 1;
  if (digest != nullptr && EVP_MD_get_type(digest) != NID_sha256) return 1;  // no key for another hash
  *session = session_of(ssl);
  return *session != nullptr;
}

int find_shared_key(SSL* ssl, const unsigned char* name, std::size_t name_bytes, SSL_SESSION** session) {
  *session = nullptr;
  if (name_bytes != sizeof shared_key_name - 1 || std::memcmp(name, shared_key_name, name_bytes) != 0) return 1;
  *session = session_of(ssl);
  return *session != nullptr;
}

}  // namespace

TlsContext TlsContext::of_device(const SigningKey& key, const Certificate& shown,
                                 const std::optional<Certificate>& issuer) {
  auto context = new_context();
  check(shown.public_key() == key.public_key(), "a certificate is shown with its own key");
  check(SSL_CTX_use_certificate(context.get(), shown.handle()) == 1 &&
            SSL_CTX_use_PrivateKey(context.get(), key.handle()) == 1,
        "a certificate can be shown");
  if (issuer) check(SSL_CTX_add1_chain_cert(context.get(), issuer->handle()) == 1, "an issuer can be shown");
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);  // of idle connections: a full mesh has many
  check(SSL_CTX_set1_sigalgs_list(context.get(), "ed25519") == 1, "OpenSSL offers Ed25519");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), accept_any_device, nullptr);
  return TlsContext(std::move(context));
}

TlsContext TlsContext::of_shared_key(std::span<const std::byte> key) {
  check(key.size() >= 16, "a shared key has at least 128 bits");
  auto context = new_context();
  auto derived = std::make_unique<Digest>(hmac_sha256(key, bytes_of("flotilla shared key for TLS")));
  check(SSL_CTX_set_ex_data(context.get(), key_slot(), derived.get()) == 1, "a context keeps its key");
  (void)derived.release();  // the context's now
  check(SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256") == 1, "OpenSSL offers AES-GCM");
  SSL_CTX_set_psk_use_session_callback(context.get(), offer_shared_key);
  SSL_CTX_set_psk_find_session_callback(context.get(), find_shared_key);
  // A shared key looks like a session taken up again to OpenSSL, which then wants to know whose it is.
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(shared_key_name),
                                 sizeof shared_key_name - 1);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), accept_nobody, nullptr);
  return TlsContext(std::move(context));
}

}  // namespace flotilla
