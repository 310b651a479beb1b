// An Ed25519 key (RFC 8032): a machine's own, made on its first start, or a cluster's, which signs its members'
// certificates. In: random bits of the system. Out: signatures, PEM text. Owns: the key.
//
// Thread: any; a key does not change. Never: prints or logs the private half; files that hold it are for their owner
// only.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "trust/device_id.h"

using EVP_PKEY = struct evp_pkey_st;

namespace flotilla {

using Signature = std::array<std::byte, 64>;

struct PublicKey {
  std::array<std::byte, 32> bytes{};
  auto operator<=>(const PublicKey&) const = default;

  DeviceId id() const;  // SHA-256 of the key as X.509 writes it (SubjectPublicKeyInfo)
  bool verify(std::span<const std::byte> message, const Signature& signature) const;
};

class SigningKey {
 public:
  static SigningKey generate();
  static Result<SigningKey> from_pem(std::string_view pem);  // corrupt where it is no Ed25519 key
  std::string to_pem() const;

  PublicKey public_key() const;
  DeviceId id() const { return public_key().id(); }
  Signature sign(std::span<const std::byte> message) const;
  EVP_PKEY* handle() const { return key_.get(); }  // for certificate.cc and tls_context.cc; valid as long as this

 private:
  explicit SigningKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}
  std::shared_ptr<EVP_PKEY> key_;
};

// Reads the key, which nobody but this user may be able to read: permission, with what to do, where others can; corrupt
// where it is none; not_found where there is no file.
Result<SigningKey> read_key_file(const std::filesystem::path& path);
Status write_key_file(const std::filesystem::path& path, const SigningKey& key);  // mode 0600
Result<SigningKey> read_or_make_key_file(const std::filesystem::path& path);

}  // namespace flotilla
