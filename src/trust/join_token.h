// Tokens that let machines in: made on one, typed or pasted on another.
//
//   flt1-<56 letters>: 16 bytes of the cluster's id, by which the newcomer knows the cluster before it says anything,
//   and a secret of 128 random bits, which it proves for the very TLS connection it has and never sends.
//
// Pure but for random bits; time is passed in. Thread: one. Owns: the book of tokens given out, which holds no secret
// that could be printed again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/sha256.h"
#include "trust/certificate.h"
#include "trust/device_id.h"

namespace flotilla {

// What a newcomer sends instead of its token.
struct TokenProof {
  std::array<std::byte, 8> token{};  // its TokenName
  Digest proof{};                    // HMAC over this connection and the newcomer
  bool operator==(const TokenProof&) const = default;
};

class JoinToken {
 public:
  static JoinToken generate(const DeviceId& cluster);
  static Result<JoinToken> parse(std::string_view text);
  std::string text() const;

  bool names(const DeviceId& cluster) const;  // the cluster it is for; constant time
  // `exporter` as tls_session.h gives it. Only for a peer that has proved to be of the cluster.
  TokenProof prove(const Digest& exporter, const DeviceId& newcomer) const;

 private:
  friend class TokenBook;
  std::array<std::byte, 16> cluster_{}, secret_{};
};

using TokenName = std::array<std::byte, 8>;  // which token: no secret

// What may be told of a token that was given out.
struct TokenFacts {
  TokenName token{};
  WallTime ends;
  std::uint32_t uses = 0, used = 0;
  NodeId maker;  // the member that asked for it; zeros where it is not known
};

class TokenBook {
 public:
  static constexpr std::uint32_t uses_max = 1000;
  static constexpr std::size_t tokens_max = 64;
  static constexpr auto lifetime_min = std::chrono::minutes(1), lifetime_max = std::chrono::minutes(60 * 24 * 30);
  static constexpr auto kept_after_end = std::chrono::days(1);  // so that a late user is told why

  // invalid_argument outside the bounds above; busy where too many are out.
  Result<JoinToken> create(const DeviceId& cluster, std::chrono::seconds lifetime, std::uint32_t uses, WallTime now,
                           const NodeId& maker = {});
  // One use, or none where this newcomer has used it before: its answer may have been lost. unauthorized: no such
  // token, or it does not prove (which of the two is not said); ended; used up; or used by a machine that was put out
  // since, whose owner wants a new one for it.
  struct User {
    DeviceId device;
    bool is_put_out = false;
  };
  Status redeem(const TokenProof& proof, const Digest& exporter, const User& newcomer, WallTime now);
  // Those that still let in.
  std::vector<TokenFacts> list(WallTime now) const;
  bool end(const TokenName& token, WallTime now);  // false where none of this name still lets in
  // Those that this device has used or made: whoever has it may have them, too.
  void end_those_of(const DeviceId& device, WallTime now);

  nlohmann::json to_json() const;
  static Result<TokenBook> from_json(const nlohmann::json& json);  // corrupt

 private:
  struct Given {
    std::array<std::byte, 8> token{};
    Digest key{};  // derived from the secret, which does not follow from it
    WallTime ends;
    std::uint32_t uses = 0;
    NodeId maker;
    std::vector<DeviceId> users;
  };
  std::vector<Given> given_;
};

}  // namespace flotilla
