#include "trust/signing_key.h"

#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "base/bytes.h"
#include "base/check.h"
#include "base/replace_file.h"
#include "base/sha256.h"
#include "trust/openssl_handles.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

// SubjectPublicKeyInfo of every Ed25519 key begins like this (RFC 8410); the key's 32 bytes follow.
constexpr std::array<unsigned char, 12> spki_begin{0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                   0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
constexpr std::size_t key_file_bytes_max = 4096;

const unsigned char* as_chars(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::unexpected<Error> bad_key_file(const fs::path& path) {
  return fail(Code::corrupt,
              "[trust] expected a private key in {} but could not read one; put back the file this machine had, or "
              "delete it for a new identity, with which the machine must join its cluster anew",
              path.string());
}

}  // namespace

DeviceId PublicKey::id() const {
  Bytes spki;
  ByteWriter writer(spki);
  writer.raw(std::as_bytes(std::span(spki_begin)));
  writer.raw(bytes);
  return {sha256(spki)};
}

bool PublicKey::verify(std::span<const std::byte> message, const Signature& signature) const {
  const KeyHandle key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, as_chars(bytes), bytes.size()));
  const DigestContextHandle context(EVP_MD_CTX_new());
  const bool right =
      key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), as_chars(signature), signature.size(), as_chars(message), message.size()) == 1;
  ERR_clear_error();
  return right;
}

SigningKey SigningKey::generate() {
  std::shared_ptr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  check(key != nullptr, "OpenSSL makes Ed25519 keys");
  return SigningKey(std::move(key));
}

Result<SigningKey> SigningKey::from_pem(std::string_view pem) {
  const BioHandle bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  // An encrypted file would make OpenSSL ask on the terminal; an empty password makes it fail instead.
  char none[] = "";
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, none), EVP_PKEY_free);
  ERR_clear_error();
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519)
    return fail(Code::corrupt, "[trust] expected a private Ed25519 key in PEM form but got something else");
  return SigningKey(std::move(key));
}

std::string SigningKey::to_pem() const {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  check(PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
        "a key can be written");
  char* text = nullptr;
  const long count = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(count)};
}

PublicKey SigningKey::public_key() const {
  PublicKey key;
  std::size_t count = key.bytes.size();
  check(EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(key.bytes.data()), &count) == 1,
        "a key has its public half");
  return key;
}

Signature SigningKey::sign(std::span<const std::byte> message) const {
  Signature signature;
  std::size_t count = signature.size();
  const DigestContextHandle context(EVP_MD_CTX_new());
  check(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
            EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &count, as_chars(message),
                           message.size()) == 1,
        "an Ed25519 key signs");
  return signature;
}

Result<SigningKey> read_key_file(const fs::path& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0) return disk_error("read the key", path, errno);
  if (!S_ISREG(found.st_mode)) return bad_key_file(path);
  if (found.st_uid != ::geteuid() || (found.st_mode & 077) != 0)
    return fail(
        Code::permission,
        "[trust] expected that only this user can read the private key {} but others can; look who had it, then "
        "run: chown {} {} && chmod 600 {}",
        path.string(), ::geteuid(), path.string(), path.string());
  std::ifstream file(path, std::ios::binary);
  const std::string pem(std::istreambuf_iterator<char>(file), {});
  if (pem.size() > key_file_bytes_max) return bad_key_file(path);
  auto key = SigningKey::from_pem(pem);
  if (!key) return bad_key_file(path);
  return key;
}

Status write_key_file(const fs::path& path, const SigningKey& key) { return replace_file(path, key.to_pem(), 0600); }

Result<SigningKey> read_or_make_key_file(const fs::path& path) {
  auto key = read_key_file(path);
  if (key || key.error().code != Code::not_found) return key;
  auto made = SigningKey::generate();
  FLOTILLA_TRY_STATUS(write_key_file(path, made));
  return made;
}

}  // namespace flotilla
