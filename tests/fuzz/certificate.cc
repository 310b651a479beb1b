// Certificates as a stranger shows them and as a member hands them to a newcomer. The first byte chooses the form.
#include "trust/certificate.h"

#include <array>

#include "fuzz.h"
#include "trust/join_token.h"
#include "trust/standing.h"

namespace flotilla::fuzz {
namespace {

constexpr WallTime now{std::chrono::seconds(1'790'000'000)};

// As good as the machine's own, so that nothing the input holds can be signed by it.
const SigningKey& cluster_key() {
  static const SigningKey key = SigningKey::generate();
  return key;
}

void judge(const Certificate& shown) {
  claim(shown.der().size() > 0, "a certificate can be written");
  const auto again = Certificate::from_der(shown.der());
  if (shown.der().size() <= Certificate::der_bytes_max) claim(again && again->id() == shown.id(), "and read again");
  claim(!check_membership(shown, cluster_key().public_key(), "studio", now), "a stranger's certificate lets nobody in");
  // One that says it is signed by whom it names decides nothing; its times are read and told all the same.
  const auto own = check_membership(shown, shown.public_key(), "studio", now);
  claim(!own || !shown.is_authority(), "a cluster is no member of itself");
  wants_renewal(shown, now);
  static const JoinToken token = JoinToken::generate(cluster_key().id());
  claim(!Standing::judge_for_token(shown, shown, token, now), "a token is for its own cluster");
}

void read_der(std::span<const std::byte> der) {
  const auto certificate = Certificate::from_der(der);
  if (!certificate) return claim(certificate.error().code == Code::corrupt, "what is no certificate is corrupt");
  judge(*certificate);
}

void read_pem(std::string_view pem) {
  if (const auto certificates = certificates_from_pem(pem))
    for (const Certificate& each : *certificates) judge(each);
  if (const auto key = SigningKey::from_pem(pem)) claim(SigningKey::from_pem(key->to_pem()).has_value(), "a key stays");
}

// What a machine gets that asked to be let in: two certificates and a list, after their lengths.
void accept(Input input) {
  const auto standing = Standing::in_memory();
  Admission admission;
  for (Bytes* part : {&admission.member, &admission.cluster, &admission.revocations}) {
    const auto bytes = input.bytes(input.number<std::uint16_t>());
    part->assign(bytes.begin(), bytes.end());
  }
  claim(!standing->accept(admission, now), "what is for another key is not accepted");
  claim(!standing->cluster(), "and leaves the machine alone");
}

}  // namespace
}  // namespace flotilla::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flotilla::fuzz;
  Input input(data, size);
  switch (input.number<std::uint8_t>() % 3) {
    case 0:
      read_der(input.rest());
      break;
    case 1:
      read_pem(input.rest_text());
      break;
    default:
      accept(input);
  }
  return 0;
}
