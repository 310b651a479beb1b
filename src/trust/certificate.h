// What a machine shows in a TLS handshake: an X.509 certificate around its Ed25519 key. Either signed by itself ("this
// is my key") or by a cluster's key ("and this cluster took me in, until then").
//
// Pure but for random serial numbers; time is passed in. Thread: any; a certificate does not change.
// Never: trusts a name in it. A machine is its key.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "trust/signing_key.h"

using X509 = struct x509_st;

namespace flotilla {

using WallTime = std::chrono::sys_seconds;

class Certificate {
 public:
  static constexpr auto membership_lifetime = std::chrono::days(30);
  static constexpr auto clock_slack =
      std::chrono::minutes(10);                       // clocks of two machines differ by minutes, seldom more
  static constexpr std::size_t der_bytes_max = 4096;  // ours have about 400

  // A machine's own; says nothing but which key it has, so it does not end.
  static Certificate of_device(const SigningKey& device, WallTime now);
  // A cluster's: signed by itself, and the only kind that may sign others.
  static Certificate of_cluster(const SigningKey& cluster, WallTime now);
  // A member's, for `lifetime` from now.
  static Certificate of_member(const SigningKey& cluster, const PublicKey& member, WallTime now,
                               std::chrono::seconds lifetime = membership_lifetime);
  // corrupt where it is no certificate or its key is not Ed25519.
  static Result<Certificate> from_der(std::span<const std::byte> der);
  static Result<Certificate> adopt(X509* certificate);  // takes a reference of its own

  Bytes der() const;
  PublicKey public_key() const { return key_; }
  DeviceId id() const { return key_.id(); }
  bool is_signed_by(const PublicKey& issuer) const;
  bool is_authority() const;  // a cluster's
  WallTime begins() const;
  WallTime ends() const;
  X509* handle() const { return certificate_.get(); }  // for tls_context.cc; valid as long as this

 private:
  explicit Certificate(std::shared_ptr<X509> certificate, const PublicKey& key)
      : certificate_(std::move(certificate)), key_(key) {}
  std::shared_ptr<X509> certificate_;
  PublicKey key_;
};

// Whether `certificate` makes its owner a member of the cluster now: signed by its key, no authority itself, not ended.
// unauthorized with a sentence that calls the owner `name`.
Status check_membership(const Certificate& certificate, const PublicKey& cluster, std::string_view name, WallTime now);

// As files hold them, readable by openssl x509: one after the other.
std::string to_pem(std::span<const Certificate> certificates);
Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem);  // corrupt

// Half of its time has passed: the moment to ask for the next.
bool wants_renewal(const Certificate& certificate, WallTime now);

}  // namespace flotilla
