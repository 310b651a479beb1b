#include "wire/embedding.h"

#include <algorithm>

#include "base/embed_limits.h"
#include "base/limits.h"
#include "wire/error_fields.h"
#include "wire/fields.h"

namespace flotilla {
namespace {

constexpr std::size_t value_bytes = 4;

bool have_tokens(const std::vector<TextTokens>& texts) {
  return std::ranges::none_of(
      texts, [](const TextTokens& text) { return text.empty() || text.size() > limits::context_tokens_max; });
}

}  // namespace

template <class Map>
void describe(Map& map, Is<EmbedRequest> auto& m) {
  map.field("id", m.id.value);
  map.field("placement", m.placement.value);
  map.list("texts", m.texts, Count{1, limits::embed_batch_texts_max}, Packed{});
  map.must(have_tokens(m.texts),
           "expected each of {}.texts to have a token at least and to fit a context but one does not");
}

template <class Map>
void describe(Map& map, Is<EmbedResult> auto& m) {
  map.field("id", m.id.value);
  map.field("length", m.length, Within{0u, limits::vector_length_max});
  map.field("vectors", m.vectors, Octets{limits::embed_batch_texts_max * limits::vector_length_max * value_bytes});
  map.optional("error", m.error);
  map.choice("goes_on", m.goes_on, GoesOn::broken_off);
  map.must(m.error.has_value() == m.vectors.empty(), "expected vectors or an error in {} but got both or none");
  map.must(m.error || (m.length > 0 && m.vectors.size() % (value_bytes * m.length) == 0),
           "expected whole vectors in {} but the last is cut off");
}

Bytes encode(const EmbedRequest& request) { return encode_map(request); }
Bytes encode(const EmbedResult& result) { return encode_map(result); }
Result<EmbedRequest> decode_embed_request(std::span<const std::byte> body) {
  return decode_map<EmbedRequest>("embed", body);
}
Result<EmbedResult> decode_embed_result(std::span<const std::byte> body) {
  return decode_map<EmbedResult>("embedding", body);
}

}  // namespace flotilla
