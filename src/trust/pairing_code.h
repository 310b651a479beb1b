// Six digits that two screens show for one connection, and that differ where someone stands between them.
//
//   newcomer → member   commitment: HMAC-SHA-256 of its nonce, under a label for a key
//   member → newcomer   its nonce
//   newcomer → member   its nonce, which must fit the commitment
//
// The digits come from the TLS exporter and both nonces. From the exporter alone they would be worth little: who stands
// between could try key shares until the digits of both connections agree, a million tries being seconds of work. The
// commitment fixes one side's nonce before it has seen the other's, so each pair of connections is one try of a
// million. How many connections there may be while a code is shown is pairing_budget.h's.
//
// Pure but for random bits. Thread: any.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/sha256.h"
#include "trust/device_id.h"

namespace flotilla {

using PairingNonce = std::array<std::byte, 32>;

PairingNonce random_pairing_nonce();
Digest commitment_to(const PairingNonce& nonce);

struct PairingSides {
  Digest exporter{};
  DeviceId newcomer, member;
  PairingNonce newcomer_nonce{}, member_nonce{};
};
std::string pairing_code(const PairingSides& sides);  // "042917"

}  // namespace flotilla
