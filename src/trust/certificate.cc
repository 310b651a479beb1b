#include "trust/certificate.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <format>

#include "base/check.h"
#include "trust/openssl_handles.h"

namespace flotilla {
namespace {

constexpr auto for_good = std::chrono::days(365 * 100);

struct Wanted {
  const PublicKey& subject;
  const char* subject_name;
  const char* issuer_name;
  bool is_authority = false;
  WallTime begins, ends;
};

void set_time(ASN1_TIME* field, WallTime time) {
  check(ASN1_TIME_set(field, time.time_since_epoch().count()) != nullptr, "a time can be written");
}

void set_name(X509_NAME* field, const char* name) {
  check(X509_NAME_add_entry_by_txt(field, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name), -1, -1,
                                   0) == 1,
        "a name can be written");
}

void add_extension(X509* certificate, int number, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, number, value);
  check(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "an extension can be written");
  X509_EXTENSION_free(extension);
}

// 126 random bits: no two certificates of a cluster have one serial number.
void set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes;
  check(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "the system gives random bytes");
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3f) | 0x40);  // positive, and of one length
  BIGNUM* number = BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

X509Handle make(const SigningKey& issuer, const Wanted& wanted) {
  X509Handle certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_serial(certificate.get());
  set_time(X509_getm_notBefore(certificate.get()), wanted.begins);
  set_time(X509_getm_notAfter(certificate.get()), wanted.ends);
  set_name(X509_get_subject_name(certificate.get()), wanted.subject_name);
  set_name(X509_get_issuer_name(certificate.get()), wanted.issuer_name);
  const KeyHandle subject(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(wanted.subject.bytes.data()),
      wanted.subject.bytes.size()));
  check(X509_set_pubkey(certificate.get(), subject.get()) == 1, "a certificate takes a key");
  add_extension(certificate.get(), NID_basic_constraints,
                wanted.is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add_extension(certificate.get(), NID_key_usage,
                wanted.is_authority ? "critical,keyCertSign" : "critical,digitalSignature");
  check(X509_sign(certificate.get(), issuer.handle(), nullptr) > 0, "an Ed25519 key signs a certificate");
  return certificate;
}

WallTime read_time(const ASN1_TIME* field) {
  std::tm broken_down{};
  if (ASN1_TIME_to_tm(field, &broken_down) != 1) return {};
  return WallTime(std::chrono::seconds(timegm(&broken_down)));
}

Result<PublicKey> key_of(X509* certificate) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  PublicKey read;
  std::size_t count = read.bytes.size();
  const bool right = key && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 &&
                     EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(read.bytes.data()), &count) == 1;
  ERR_clear_error();
  if (right) return read;
  return fail(Code::corrupt, "[trust] expected a certificate with an Ed25519 key but got another; the peer is broken");
}

}  // namespace

Certificate Certificate::of_device(const SigningKey& device, WallTime now) {
  const PublicKey key = device.public_key();
  return Certificate(make(device, {.subject = key,
                                   .subject_name = "flotilla device",
                                   .issuer_name = "flotilla device",
                                   .begins = now - clock_slack,
                                   .ends = now + for_good}),
                     key);
}

Certificate Certificate::of_cluster(const SigningKey& cluster, WallTime now) {
  const PublicKey key = cluster.public_key();
  return Certificate(make(cluster, {.subject = key,
                                    .subject_name = "flotilla cluster",
                                    .issuer_name = "flotilla cluster",
                                    .is_authority = true,
                                    .begins = now - clock_slack,
                                    .ends = now + for_good}),
                     key);
}

Certificate Certificate::of_member(const SigningKey& cluster, const PublicKey& member, WallTime now,
                                   std::chrono::seconds lifetime) {
  return Certificate(make(cluster, {.subject = member,
                                    .subject_name = "flotilla member",
                                    .issuer_name = "flotilla cluster",
                                    .begins = now - clock_slack,
                                    .ends = now + lifetime}),
                     member);
}

Result<Certificate> Certificate::from_der(std::span<const std::byte> der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  X509Handle read(der.size() <= der_bytes_max ? d2i_X509(nullptr, &at, static_cast<long>(der.size())) : nullptr);
  ERR_clear_error();
  if (!read || at != end)
    return fail(Code::corrupt, "[trust] expected a certificate but got {} other bytes", der.size());
  FLOTILLA_TRY(const auto key, key_of(read.get()));
  return Certificate(std::move(read), key);
}

Result<Certificate> Certificate::adopt(X509* certificate) {
  FLOTILLA_TRY(const auto key, key_of(certificate));
  X509_up_ref(certificate);
  return Certificate(std::shared_ptr<X509>(certificate, X509_free), key);
}

Bytes Certificate::der() const {
  unsigned char* encoded = nullptr;
  const int count = i2d_X509(certificate_.get(), &encoded);
  check(count > 0, "a certificate can be written");
  const auto bytes = std::as_bytes(std::span(encoded, static_cast<std::size_t>(count)));
  Bytes der(bytes.begin(), bytes.end());
  OPENSSL_free(encoded);
  return der;
}

bool Certificate::is_signed_by(const PublicKey& issuer) const {
  const KeyHandle key(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(issuer.bytes.data()), issuer.bytes.size()));
  const bool right = key && X509_verify(certificate_.get(), key.get()) == 1;
  ERR_clear_error();
  return right;
}

bool Certificate::is_authority() const { return X509_check_ca(certificate_.get()) != 0; }
WallTime Certificate::begins() const { return read_time(X509_get0_notBefore(certificate_.get())); }
WallTime Certificate::ends() const { return read_time(X509_get0_notAfter(certificate_.get())); }

Status check_membership(const Certificate& certificate, const PublicKey& cluster, std::string_view name, WallTime now) {
  if (certificate.is_authority() || !certificate.is_signed_by(cluster)) {
    if (certificate.is_signed_by(certificate.public_key()))
      return fail(
          Code::unauthorized,
          "[trust] {} belongs to no cluster; let it in with a token (flotilla token create, then there flotilla "
          "join TOKEN) or with a code (there flotilla join, then here flotilla approve CODE)",
          name);
    return fail(Code::unauthorized, "[trust] {} belongs to another cluster; flotilla leave there, then let it in here",
                name);
  }
  if (now < certificate.begins())
    return fail(
        Code::unauthorized,
        "[trust] the membership of {} begins at {:%F %R} UTC but this clock says {:%F %R}; set the clocks right", name,
        certificate.begins(), now);
  if (now >= certificate.ends())
    return fail(Code::unauthorized,
                "[trust] the membership of {} ended at {:%F %R} UTC; let it in anew (flotilla token create), or set "
                "this clock right, which says {:%F %R}",
                name, certificate.ends(), now);
  return {};
}

std::string to_pem(std::span<const Certificate> certificates) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  for (const Certificate& each : certificates)
    check(PEM_write_bio_X509(bio.get(), each.handle()) == 1, "a certificate can be written");
  char* text = nullptr;
  const long count = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(count)};
}

Result<std::vector<Certificate>> certificates_from_pem(std::string_view pem) {
  const BioHandle bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::vector<Certificate> certificates;
  while (const X509Handle read{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    FLOTILLA_TRY(auto certificate, Certificate::adopt(read.get()));
    certificates.push_back(std::move(certificate));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (at_end && !certificates.empty()) return certificates;
  return fail(Code::corrupt, "[trust] expected certificates in PEM form but got something else");
}

bool wants_renewal(const Certificate& certificate, WallTime now) {
  return now >= certificate.begins() + (certificate.ends() - certificate.begins()) / 2;
}

}  // namespace flotilla
