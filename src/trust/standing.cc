#include "trust/standing.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/replace_file.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::unexpected<Error> not_a_signer() {
  return fail(
      Code::unavailable,
      "[trust] expected a machine that holds the cluster's key but this one does not; do it on the machine that "
      "began the cluster (flotilla members shows which)");
}

std::unexpected<Error> bad_file(const fs::path& path, std::string_view what) {
  return fail(
      Code::corrupt,
      "[trust] expected {} in {} but could not read it; put back the file this machine had, or delete it and let "
      "this machine join anew",
      what, path.string());
}

}  // namespace

Standing::Standing(fs::path folder, SigningKey key)
    : folder_(std::move(folder)),
      key_(std::move(key)),
      known_(folder_.empty() ? KnownDevices() : KnownDevices(folder_ / "known.txt")),
      met_(folder_.empty() ? KnownDevices() : KnownDevices(folder_ / "members.txt")) {}

Result<std::shared_ptr<Standing>> Standing::open(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return fail(Code::permission, "[trust] cannot make the folder {} ({}); choose another with --home", folder.string(),
                error.message());
  ::chmod(folder.c_str(), 0700);  // the keys in it guard themselves; where this fails, they are still 0600
  FLOTILLA_TRY(auto key, read_or_make_key_file(folder / "device.key"));
  std::shared_ptr<Standing> standing(new Standing(folder, std::move(key)));
  FLOTILLA_TRY_STATUS(standing->read_files());
  return standing;
}

std::shared_ptr<Standing> Standing::in_memory() {
  return std::shared_ptr<Standing>(new Standing({}, SigningKey::generate()));
}

Status Standing::read_files() {
  if (fs::exists(folder_ / "membership.pem")) FLOTILLA_TRY_STATUS(read_membership());
  if (!cluster_) return {};
  if (fs::exists(folder_ / "cluster.key")) {
    FLOTILLA_TRY(auto cluster_key, read_key_file(folder_ / "cluster.key"));
    if (cluster_key.public_key() != cluster_->public_key())
      return fail(Code::corrupt,
                  "[trust] expected the key of this machine's cluster in {} but got another's; put the right one back, "
                  "or delete it where this machine need not let others in",
                  (folder_ / "cluster.key").string());
    cluster_key_ = std::move(cluster_key);
  }
  if (const fs::path path = folder_ / "tokens.json"; fs::exists(path)) {
    auto book = TokenBook::from_json(nlohmann::json::parse(read_all(path), nullptr, false));
    if (!book)
      return fail(Code::corrupt,
                  "[trust] expected the join tokens in {} but could not read them; delete the file and "
                  "make new ones",
                  path.string());
    tokens_ = *std::move(book);
  }
  if (const fs::path path = folder_ / "revoked.bin"; fs::exists(path)) {
    const std::string bytes = read_all(path);
    auto list = RevocationList::decode(std::as_bytes(std::span(bytes)), cluster_->public_key());
    // Not to be passed over: without it, a machine put out would be believed again.
    if (!list) return bad_file(path, "the signed list of machines put out");
    revocations_ = *std::move(list);
  }
  return {};
}

Status Standing::read_membership() {
  const fs::path path = folder_ / "membership.pem";
  auto both = certificates_from_pem(read_all(path));
  if (!both || both->size() != 2 || (*both)[0].public_key() != key_.public_key() || !(*both)[1].is_authority() ||
      !(*both)[0].is_signed_by((*both)[1].public_key()))
    return bad_file(path, "this machine's certificate and its cluster's");
  member_ = (*both)[0];
  cluster_ = (*both)[1];
  return {};
}

Status Standing::write(std::string_view name, std::string_view text, mode_t mode) const {
  return folder_.empty() ? Status{} : replace_file(folder_ / name, text, mode);
}

TlsContext Standing::tls() const {
  const std::scoped_lock lock(mutex_);
  if (tls_) return *tls_;  // whoever connects has one asked for, before it has said a byte
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  tls_ = TlsContext::of_device(key_, member_ ? *member_ : Certificate::of_device(key_, now), cluster_);
  return *tls_;
}

std::optional<DeviceId> Standing::cluster() const {
  const std::scoped_lock lock(mutex_);
  return cluster_ ? std::optional(cluster_->id()) : std::nullopt;
}

bool Standing::may_sign() const {
  const std::scoped_lock lock(mutex_);
  return cluster_key_.has_value();
}

std::optional<WallTime> Standing::membership_ends() const {
  const std::scoped_lock lock(mutex_);
  return member_ ? std::optional(member_->ends()) : std::nullopt;
}

Bytes Standing::membership() const {
  const std::scoped_lock lock(mutex_);
  return member_ ? member_->der() : Bytes();
}

bool Standing::wants_renewal(WallTime now) const {
  const std::scoped_lock lock(mutex_);
  return member_ && flotilla::wants_renewal(*member_, now);
}

Status Standing::judge(const Certificate& shown, std::string_view name, WallTime now) const {
  const std::scoped_lock lock(mutex_);
  if (!cluster_) return fail(Code::unauthorized, "[trust] this machine belongs to no cluster");
  if (revocations_.contains(shown.id()))
    return fail(
        Code::unauthorized,
        "[trust] {} was put out of this cluster; to come back: flotilla leave there, then flotilla join, by a code "
        "or a new token (flotilla token create)",
        name);
  return check_membership(shown, cluster_->public_key(), name, now);
}

Status Standing::judge_again(const Certificate& shown, std::string_view name, WallTime now) const {
  return judge(shown, name, std::max(now, shown.begins()));
}

Status Standing::judge_for_token(const Certificate& shown, const std::optional<Certificate>& issuer,
                                 const JoinToken& token, WallTime now) {
  if (!issuer || !token.names(issuer->id()))
    return fail(Code::unauthorized, "[trust] expected a machine of the cluster that the token is for but got another");
  return check_membership(shown, issuer->public_key(), "the machine that answered", now);
}

Result<Certificate> Standing::sign(const PublicKey& member, WallTime now) const {
  if (!cluster_key_) return not_a_signer();
  return Certificate::of_member(*cluster_key_, member, now);
}

// The certificates last: they say that the machine is in the cluster, so all else is there by then.
Status Standing::keep_membership(const Certificate& member, const Certificate& cluster) {
  const std::array both{member, cluster};
  FLOTILLA_TRY_STATUS(write("membership.pem", to_pem(both), 0644));
  member_ = member;
  cluster_ = cluster;
  tls_.reset();
  return {};
}

Status Standing::keep_revocations(RevocationList list) {
  FLOTILLA_TRY_STATUS(write(list));
  revocations_ = std::move(list);
  are_revocations_written_ = true;
  return {};
}

Status Standing::write(const RevocationList& list) const {
  const Bytes& bytes = list.encoded();
  return write("revoked.bin", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, 0644);
}

Status Standing::keep_tokens(TokenBook book) {
  FLOTILLA_TRY_STATUS(write("tokens.json", book.to_json().dump(1) + '\n', 0600));
  tokens_ = std::move(book);
  return {};
}

Status Standing::remove(std::string_view name) const {
  std::error_code error;
  if (!folder_.empty()) fs::remove(folder_ / name, error);
  if (!error) return {};
  return fail(Code::permission, "[trust] cannot delete {} ({})", (folder_ / name).string(), error.message());
}

// For a machine that enters a cluster out of none: what a crash while leaving, or an owner who deleted membership.pem
// alone, left of the one before does not fit, and would keep the node from its next start or count as its own. The
// cluster's key is set aside: it may be the only one.
Status Standing::clear_leftovers() const {
  if (folder_.empty() || cluster_) return {};
  for (const char* name : {"tokens.json", "revoked.bin", "members.txt"}) FLOTILLA_TRY_STATUS(remove(name));
  const fs::path key = folder_ / "cluster.key";
  std::error_code error;
  if (fs::exists(key, error)) fs::rename(key, folder_ / "cluster.key.old", error);
  if (!error) return {};
  return fail(Code::permission, "[trust] cannot set aside {} ({})", key.string(), error.message());
}

Status Standing::found_cluster(WallTime now) {
  const std::scoped_lock lock(mutex_);
  if (cluster_) return fail(Code::busy, "[trust] this machine is in a cluster already; flotilla leave comes first");
  FLOTILLA_TRY_STATUS(clear_leftovers());
  auto cluster_key = SigningKey::generate();
  if (!folder_.empty()) FLOTILLA_TRY_STATUS(write_key_file(folder_ / "cluster.key", cluster_key));
  const auto own = Certificate::of_member(cluster_key, key_.public_key(), now);
  FLOTILLA_TRY_STATUS(keep_membership(own, Certificate::of_cluster(cluster_key, now)));
  cluster_key_ = std::move(cluster_key);
  return {};
}

Result<Admission> Standing::admit(const PublicKey& member, bool anew, WallTime now) {
  const std::scoped_lock lock(mutex_);
  FLOTILLA_TRY(const auto certificate, sign(member, now));
  if (revocations_.contains(member.id())) {
    if (!anew) return fail(Code::unauthorized, "[trust] this machine was put out of the cluster");
    FLOTILLA_TRY_STATUS(keep_revocations(revocations_.without(member.id(), *cluster_key_)));
  }
  return Admission{.member = certificate.der(), .cluster = cluster_->der(), .revocations = revocations_.encoded()};
}

Status Standing::accept(const Admission& admission, WallTime now) {
  const std::scoped_lock lock(mutex_);
  FLOTILLA_TRY(const auto member, Certificate::from_der(admission.member));
  FLOTILLA_TRY(const auto cluster, Certificate::from_der(admission.cluster));
  if (cluster_ && cluster_->id() != cluster.id())
    return fail(Code::busy, "[trust] this machine is in another cluster already; flotilla leave comes first");
  if (member.public_key() != key_.public_key() || !cluster.is_authority())
    return fail(Code::unauthorized, "[trust] expected a certificate for this machine but got another's");
  FLOTILLA_TRY_STATUS(check_membership(member, cluster.public_key(), "this machine", now));
  RevocationList list;
  if (!admission.revocations.empty()) {
    FLOTILLA_TRY(list, RevocationList::decode(admission.revocations, cluster.public_key()));
  }
  FLOTILLA_TRY_STATUS(clear_leftovers());
  if (list.number() > revocations_.number()) FLOTILLA_TRY_STATUS(keep_revocations(std::move(list)));
  return keep_membership(member, cluster);
}

Status Standing::leave_cluster() {
  const std::scoped_lock lock(mutex_);
  // The certificates first: what is left behind by a crash is then read by nobody, and cleared by who enters the next.
  for (const char* name : {"membership.pem", "cluster.key", "tokens.json", "revoked.bin", "members.txt"})
    FLOTILLA_TRY_STATUS(remove(name));
  member_.reset();
  cluster_.reset();
  cluster_key_.reset();
  tokens_ = {};
  revocations_ = {};
  are_revocations_written_ = true;
  tls_.reset();
  return {};
}

// What is on the disk counts first: a change that cannot be written has not happened.
Result<std::string> Standing::create_token(std::chrono::seconds lifetime, std::uint32_t uses, WallTime now,
                                           const std::optional<NodeId>& maker) {
  const std::scoped_lock lock(mutex_);
  if (!cluster_key_) return not_a_signer();
  TokenBook book = tokens_;
  FLOTILLA_TRY(const auto token, book.create(cluster_->id(), lifetime, uses, now, maker.value_or(node())));
  FLOTILLA_TRY_STATUS(keep_tokens(std::move(book)));
  return token.text();
}

Status Standing::redeem(const TokenProof& proof, const Digest& exporter, const DeviceId& newcomer, WallTime now) {
  const std::scoped_lock lock(mutex_);
  if (!cluster_key_) return not_a_signer();
  TokenBook book = tokens_;
  const TokenBook::User user{.device = newcomer, .is_put_out = revocations_.contains(newcomer)};
  FLOTILLA_TRY_STATUS(book.redeem(proof, exporter, user, now));
  return keep_tokens(std::move(book));
}

Result<std::vector<TokenFacts>> Standing::tokens(WallTime now) const {
  const std::scoped_lock lock(mutex_);
  if (!cluster_key_) return not_a_signer();
  return tokens_.list(now);
}

Status Standing::end_token(const TokenName& token, WallTime now) {
  const std::scoped_lock lock(mutex_);
  if (!cluster_key_) return not_a_signer();
  TokenBook book = tokens_;
  if (!book.end(token, now))
    return fail(Code::not_found, "[trust] expected the id of a token that still lets in; flotilla token list has them");
  return keep_tokens(std::move(book));
}

// The tokens first: where only the second file can be written no more, the machine is not out, and its owner is told.
Status Standing::revoke(const DeviceId& device, WallTime now) {
  const std::scoped_lock lock(mutex_);
  if (!cluster_key_) return not_a_signer();
  if (device == key_.id())
    return fail(
        Code::invalid_argument,
        "[trust] expected another machine than this one, which signs for the cluster; flotilla leave takes it out");
  FLOTILLA_TRY(auto list, revocations_.with(device, *cluster_key_));
  TokenBook book = tokens_;
  book.end_those_of(device, now);
  FLOTILLA_TRY_STATUS(keep_tokens(std::move(book)));
  return keep_revocations(std::move(list));
}

bool Standing::is_revoked(const DeviceId& device) const {
  const std::scoped_lock lock(mutex_);
  return revocations_.contains(device);
}

Bytes Standing::revocations() const {
  const std::scoped_lock lock(mutex_);
  return revocations_.encoded();
}

Result<bool> Standing::adopt_revocations(std::span<const std::byte> bytes) {
  const std::scoped_lock lock(mutex_);
  if (!cluster_ || bytes.empty()) return false;
  FLOTILLA_TRY(auto list, RevocationList::decode(bytes, cluster_->public_key()));
  if (list.number() <= revocations_.number()) return false;
  revocations_ = std::move(list);
  are_revocations_written_ = false;
  return true;
}

Status Standing::write_revocations() {
  const std::scoped_lock lock(mutex_);
  if (are_revocations_written_) return {};
  FLOTILLA_TRY_STATUS(write(revocations_));
  are_revocations_written_ = true;
  return {};
}

void Standing::note_member(const std::string& name, const DeviceId& device) {
  const std::scoped_lock lock(mutex_);
  met_.note(name, device);
}

std::vector<KnownDevice> Standing::members_met() const {
  const std::scoped_lock lock(mutex_);
  return met_.all();
}

Status Standing::meet(const std::string& name, const DeviceId& device) {
  const std::scoped_lock lock(mutex_);
  return known_.meet(name, device);
}

}  // namespace flotilla
