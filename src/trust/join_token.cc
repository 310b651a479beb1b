#include "trust/join_token.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hex.h"
#include "trust/checked_text.h"

namespace flotilla {
namespace {

using nlohmann::json;

constexpr std::string_view prefix = "flt1-";
constexpr std::chrono::seconds ends_max{253402300799};  // the last second of the year 9999: later ones cannot be added to

Digest key_from(std::span<const std::byte> secret) { return hmac_sha256(secret, bytes_of("flotilla token key")); }

std::array<std::byte, 8> name_from(std::span<const std::byte> secret) {
  const Digest whole = hmac_sha256(secret, bytes_of("flotilla token name"));
  std::array<std::byte, 8> name;
  std::memcpy(name.data(), whole.data(), name.size());
  return name;
}

// Bound to the connection, so that nobody can pass it on, and to the newcomer's key, so that a member through which it
// is sent cannot have another machine let in by it.
Digest proof_from(const Digest& key, const Digest& exporter, const DeviceId& newcomer) {
  Bytes message;
  ByteWriter writer(message);
  writer.text("flotilla token newcomer");
  writer.raw(exporter);
  writer.raw(newcomer.bytes);
  return hmac_sha256(key, message);
}

std::unexpected<Error> bad_book() {
  return fail(Code::corrupt, "[trust] expected the list of join tokens but could not read it");
}

template <std::size_t count>
bool read_bytes(const json& entry, const char* field, std::array<std::byte, count>& into) {
  if (!entry.is_object() || !entry.contains(field) || !entry[field].is_string()) return false;
  const auto bytes = from_hex(entry[field].get<std::string>());
  if (!bytes || bytes->size() != count) return false;
  std::ranges::copy(*bytes, into.begin());
  return true;
}

}  // namespace

JoinToken JoinToken::generate(const DeviceId& cluster) {
  JoinToken token;
  std::memcpy(token.cluster_.data(), cluster.bytes.data(), token.cluster_.size());
  check(RAND_bytes(reinterpret_cast<unsigned char*>(token.secret_.data()), static_cast<int>(token.secret_.size())) == 1,
        "the system gives random bytes");
  return token;
}

Result<JoinToken> JoinToken::parse(std::string_view text) {
  if (!text.starts_with(prefix))
    return fail(Code::invalid_argument,
                "[trust] expected a join token, which begins with {}, but got another text; flotilla token create on a "
                "machine of the cluster prints one",
                prefix);
  FLOTILLA_TRY(const auto bytes, from_checked_text(text.substr(prefix.size()), "a join token"));
  JoinToken token;
  std::ranges::copy(std::span(bytes).first<16>(), token.cluster_.begin());
  std::ranges::copy(std::span(bytes).last<16>(), token.secret_.begin());
  return token;
}

std::string JoinToken::text() const {
  std::array<std::byte, 32> bytes;
  std::ranges::copy(cluster_, bytes.begin());
  std::ranges::copy(secret_, bytes.begin() + 16);
  return std::string(prefix) + to_checked_text(bytes);
}

bool JoinToken::names(const DeviceId& cluster) const {
  return equal_in_constant_time(cluster_, std::span(cluster.bytes).first(cluster_.size()));
}

TokenProof JoinToken::prove(const Digest& exporter, const DeviceId& newcomer) const {
  return {.token = name_from(secret_), .proof = proof_from(key_from(secret_), exporter, newcomer)};
}

Result<JoinToken> TokenBook::create(const DeviceId& cluster, std::chrono::seconds lifetime, std::uint32_t uses,
                                    WallTime now, const NodeId& maker) {
  if (lifetime < lifetime_min || lifetime > lifetime_max)
    return fail(Code::invalid_argument, "[trust] expected a token to live from 1 minute to 30 days but got {} s",
                lifetime.count());
  if (uses < 1 || uses > uses_max)
    return fail(Code::invalid_argument, "[trust] expected a token for 1 to {} machines but got {}", uses_max, uses);
  std::erase_if(given_, [&](const Given& each) { return now >= each.ends + kept_after_end; });
  if (given_.size() >= tokens_max)
    return fail(Code::busy,
                "[trust] expected at most {} join tokens at a time; use one of those given out, or wait until a day "
                "after some have ended (flotilla token list)",
                tokens_max);
  const auto token = JoinToken::generate(cluster);
  given_.push_back({.token = name_from(token.secret_),
                    .key = key_from(token.secret_),
                    .ends = now + lifetime,
                    .uses = uses,
                    .maker = maker,
                    .users = {}});
  return token;
}

Status TokenBook::redeem(const TokenProof& proof, const Digest& exporter, const User& newcomer, WallTime now) {
  Given* found = nullptr;
  for (Given& each : given_)  // all of them, so that no answer is quicker than another
    if (equal_in_constant_time(each.token, proof.token) &&
        equal_in_constant_time(proof_from(each.key, exporter, newcomer.device), proof.proof))
      found = &each;
  if (found == nullptr)
    return fail(Code::unauthorized,
                "[trust] expected a token of this cluster but got another; flotilla token create "
                "prints a new one");
  if (now >= found->ends)
    return fail(Code::unauthorized, "[trust] this token ended at {:%F %R} UTC; flotilla token create prints a new one",
                found->ends);
  const bool has_used_it = std::ranges::contains(found->users, newcomer.device);
  if (has_used_it && newcomer.is_put_out)
    return fail(Code::unauthorized,
                "[trust] this machine was put out of the cluster after this token had let it in; whoever wants it back "
                "makes a new one (flotilla token create)");
  if (has_used_it) return {};
  if (found->users.size() >= found->uses)
    return fail(
        Code::unauthorized,
        "[trust] this token has let in the {} machine{} it was made for; flotilla token create prints a new one",
        found->uses, found->uses == 1 ? "" : "s");
  found->users.push_back(newcomer.device);
  return {};
}

std::vector<TokenFacts> TokenBook::list(WallTime now) const {
  std::vector<TokenFacts> list;
  for (const Given& each : given_)
    if (now < each.ends && each.users.size() < each.uses)
      list.push_back({.token = each.token,
                      .ends = each.ends,
                      .uses = each.uses,
                      .used = static_cast<std::uint32_t>(each.users.size()),
                      .maker = each.maker});
  return list;
}

bool TokenBook::end(const TokenName& token, WallTime now) {
  const auto found =
      std::ranges::find_if(given_, [&](const Given& each) { return each.token == token && now < each.ends; });
  if (found == given_.end()) return false;
  found->ends = now;
  return true;
}

void TokenBook::end_those_of(const DeviceId& device, WallTime now) {
  for (Given& each : given_)
    if (each.maker == node_id_of(device) || std::ranges::contains(each.users, device))
      each.ends = std::min(each.ends, now);
}

json TokenBook::to_json() const {
  json list = json::array();
  for (const Given& each : given_) {
    json users = json::array();
    for (const DeviceId& user : each.users) users.push_back(to_string(user));
    list.push_back({{"token", to_hex(each.token)},
                    {"key", to_hex(each.key)},
                    {"ends", each.ends.time_since_epoch().count()},
                    {"uses", each.uses},
                    {"maker", to_hex(std::as_bytes(std::span(each.maker.bytes)))},
                    {"users", users}});
  }
  return list;
}

Result<TokenBook> TokenBook::from_json(const json& list) {
  if (!list.is_array() || list.size() > tokens_max) return bad_book();
  TokenBook book;
  for (const json& each : list) {
    Given given;
    if (!read_bytes(each, "token", given.token) || !read_bytes(each, "key", given.key)) return bad_book();
    if (!each.contains("ends") || !each["ends"].is_number_integer() || !each.contains("uses") ||
        !each["uses"].is_number_unsigned() || !each.contains("users") || !each["users"].is_array())
      return bad_book();
    const auto ends = each["ends"].get<std::int64_t>();
    if (ends < 0 || ends > ends_max.count()) return bad_book();
    given.ends = WallTime(std::chrono::seconds(ends));
    given.uses = static_cast<std::uint32_t>(std::min<std::uint64_t>(each["uses"].get<std::uint64_t>(), uses_max));
    if (std::array<std::byte, 16> maker{}; read_bytes(each, "maker", maker))  // older files do not say
      std::memcpy(given.maker.bytes.data(), maker.data(), maker.size());
    for (const json& user : each["users"]) {
      const auto id = user.is_string() ? device_id_from_string(user.get<std::string>()) : bad_book();
      if (!id) return bad_book();
      given.users.push_back(*id);
    }
    book.given_.push_back(std::move(given));
  }
  return book;
}

}  // namespace flotilla
