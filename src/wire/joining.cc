#include "wire/joining.h"

#include "wire/fields.h"

namespace flotilla {
namespace {

constexpr std::size_t certificate_bytes_max = 4096, revocations_bytes_max = 256u << 10;
constexpr std::int64_t seconds_max = std::int64_t{1} << 36;  // the year 4147: what calendars can print
constexpr std::size_t tokens_listed_max = 64;  // TokenBook::tokens_max

}  // namespace

template <class Map>
void describe(Map& map, Is<JoinRequest> auto& m) {
  map.field("by_code", m.by_code);
  map.field("commitment", m.commitment);
  map.field("token", m.token);
  map.field("proof", m.proof);
}

template <class Map>
void describe(Map& map, Is<JoinNonce> auto& m) {
  map.field("nonce", m.nonce);
}

template <class Map>
void describe(Map& map, Is<JoinGranted> auto& m) {
  map.field("member", m.member, Octets{certificate_bytes_max});
  map.field("cluster", m.cluster, Octets{certificate_bytes_max});
  map.field("revocations", m.revocations, Octets{revocations_bytes_max});
}

template <class Map>
void describe(Map& map, Is<TrustOrder> auto& m) {
  map.field("ticket", m.ticket);
  map.choice("wish", m.wish, TrustWish::end_token);
  map.field("name", m.name, Text::name);
  map.field("key", m.key);
  map.field("device", m.device);
  map.field("token", m.token);
  map.field("proof", m.proof);
  map.field("exporter", m.exporter);
  map.field("code", m.code, Text::name);
  map.field("seconds", m.seconds);
  map.field("uses", m.uses);
}

template <class Map>
void describe(Map& map, Is<TokenGiven> auto& m) {
  map.field("token", m.token);
  map.field("ends", m.ends, Within{std::int64_t{0}, seconds_max});
  map.field("uses", m.uses);
  map.field("used", m.used);
  map.field("maker", m.maker);
}

template <class Map>
void describe(Map& map, Is<TrustAnswer> auto& m) {
  map.field("ticket", m.ticket);
  map.field("ok", m.ok);
  map.field("text", m.text, Text::name);
  map.field("granted", m.granted);
  map.field("code", m.code, Text::name);
  map.field("message", m.message, Text::prose);
  map.added_list("tokens", m.tokens, Count{0, tokens_listed_max});
}

template <class Map>
void describe(Map& map, Is<Revocations> auto& m) {
  map.field("list", m.list, Octets{revocations_bytes_max});
  map.added("membership", m.membership, Octets{certificate_bytes_max});
}

#define FLOTILLA_JOINING_MESSAGE(Type, name)                        \
  Bytes encode(const Type& message) { return encode_map(message); } \
  Result<Type> decode_##name(std::span<const std::byte> body) { return decode_map<Type>(#name, body); }
FLOTILLA_JOINING_MESSAGE(JoinRequest, join_request)
FLOTILLA_JOINING_MESSAGE(JoinNonce, join_nonce)
FLOTILLA_JOINING_MESSAGE(JoinGranted, join_granted)
FLOTILLA_JOINING_MESSAGE(TrustOrder, trust_order)
FLOTILLA_JOINING_MESSAGE(TrustAnswer, trust_answer)
FLOTILLA_JOINING_MESSAGE(Revocations, revocations)
#undef FLOTILLA_JOINING_MESSAGE

}  // namespace flotilla
