// What a newcomer and a member say to each other, behind a handshake of class join; and what members ask the one that
// holds the cluster's key. Bodies are CBOR maps; certificates and lists are octets that trust/ reads.
//
//   with a token   join_request → join_granted
//   with a code    join_request → join_nonce → join_reveal; then, once a person has compared the codes, join_granted
//   either way     refused {code, message} instead, and the connection ends
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/sha256.h"
#include "wire/frame.h"

namespace flotilla {

struct JoinRequest {
  bool by_code = false;
  Digest commitment{};               // by code: to the newcomer's nonce (trust/pairing_code.h)
  std::array<std::byte, 8> token{};  // by token (trust/join_token.h)
  Digest proof{};
};
struct JoinNonce { std::array<std::byte, 32> nonce{}; };   // join_nonce, join_reveal
struct JoinGranted { Bytes member, cluster, revocations; };  // trust's Admission

enum class TrustWish : std::uint8_t {
  admit,         // name, key: a person has compared the codes
  redeem,        // name, key, token, proof, exporter: let in whoever has this key, if the token is good
  renew,         // the asking member's own certificate
  approve,       // code: whoever waits with it
  revoke,        // device
  create_token,  // seconds, uses
  list_tokens,
  end_token,  // token
};
struct TrustOrder {
  std::uint64_t ticket = 0;  // the asker's number; comes back
  TrustWish wish = TrustWish::admit;
  std::string name;          // of the newcomer, for people
  std::array<std::byte, 32> key{}, device{};
  std::array<std::byte, 8> token{};
  Digest proof{}, exporter{};
  std::string code;
  std::uint32_t seconds = 0, uses = 0;
};
struct TokenGiven {  // trust's TokenFacts
  std::array<std::byte, 8> token{};
  std::int64_t ends = 0;  // seconds since 1970
  std::uint32_t uses = 0, used = 0;
  NodeId maker;
};
struct TrustAnswer {
  std::uint64_t ticket = 0;
  bool ok = false;
  std::string text;          // a token; the name of who was let in
  JoinGranted granted;
  std::string code, message;  // where not ok
  std::vector<TokenGiven> tokens;  // of list_tokens
};
// What a member tells each other one of who belongs: the signed list of machines put out, where there is one, and its
// own certificate, which may have been renewed since the connection began.
struct Revocations { Bytes list, membership; };

#define FLOTILLA_JOINING_MESSAGE(Type, name)  \
  Bytes encode(const Type& message);          \
  Result<Type> decode_##name(std::span<const std::byte> body);
FLOTILLA_JOINING_MESSAGE(JoinRequest, join_request)
FLOTILLA_JOINING_MESSAGE(JoinNonce, join_nonce)
FLOTILLA_JOINING_MESSAGE(JoinGranted, join_granted)
FLOTILLA_JOINING_MESSAGE(TrustOrder, trust_order)
FLOTILLA_JOINING_MESSAGE(TrustAnswer, trust_answer)
FLOTILLA_JOINING_MESSAGE(Revocations, revocations)
#undef FLOTILLA_JOINING_MESSAGE

}  // namespace flotilla
