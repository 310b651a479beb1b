// Inside trust only: OpenSSL's objects with owners, and its error queue as words.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <memory>
#include <string>

namespace flotilla {

template <auto free_it>
struct OpenSslFree {
  template <class T>
  void operator()(T* object) const {
    free_it(object);
  }
};

using BioHandle = std::unique_ptr<BIO, OpenSslFree<BIO_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;
using X509Handle = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using SslHandle = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;
using DigestContextHandle = std::unique_ptr<EVP_MD_CTX, OpenSslFree<EVP_MD_CTX_free>>;

// The newest cause in this thread's queue, which is emptied: an old one would be blamed for the next failure.
inline std::string openssl_words() {
  const unsigned long cause = ERR_peek_last_error();
  ERR_clear_error();
  if (cause == 0) return "no cause given";
  const char* reason = ERR_reason_error_string(cause);
  return reason ? reason : "an unknown cause";
}

}  // namespace flotilla
