#include "trust/pairing_code.h"

#include <openssl/rand.h>

#include <cstdint>
#include <cstring>
#include <format>

#include "base/bytes.h"
#include "base/check.h"

namespace flotilla {

PairingNonce random_pairing_nonce() {
  PairingNonce nonce;
  check(RAND_bytes(reinterpret_cast<unsigned char*>(nonce.data()), static_cast<int>(nonce.size())) == 1,
        "the system gives random bytes");
  return nonce;
}

Digest commitment_to(const PairingNonce& nonce) { return hmac_sha256(bytes_of("flotilla pairing commitment"), nonce); }

std::string pairing_code(const PairingSides& sides) {
  Bytes message;
  ByteWriter writer(message);
  writer.text("flotilla pairing code");
  writer.raw(sides.newcomer.bytes);
  writer.raw(sides.member.bytes);
  writer.raw(sides.newcomer_nonce);
  writer.raw(sides.member_nonce);
  const Digest digest = hmac_sha256(sides.exporter, message);
  std::uint64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  return std::format("{:06}", number % 1'000'000);
}

}  // namespace flotilla
