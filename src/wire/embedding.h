// Texts to be made into vectors, as tokens, and the vectors: what the entry node asks of a machine that holds the
// model, and what that one says back. The entry node parts a request into batches, which carry numbers of their own,
// and keeps each until it is answered: one that is lost goes elsewhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "wire/generate.h"

namespace flotilla {

using TextTokens = std::vector<TokenId>;

struct EmbedRequest {
  RequestId id;
  PlacementId placement;          // which loaded model makes them
  std::vector<TextTokens> texts;  // at least one; each of at least one token, what stands at its ends included
  bool operator==(const EmbedRequest&) const = default;
};

// All of a batch, or why there is none of it.
struct EmbedResult {
  RequestId id;
  std::uint32_t length = 0;     // of a vector, in values
  Bytes vectors;                // F32, little-endian, one behind another in the order of the texts; each has length 1
  std::optional<Error> error;   // then there are no vectors
  GoesOn goes_on = GoesOn::no;  // with an error: whether another machine may do it
};

// Of a request's texts, in their order.
struct TextVectors {
  std::uint32_t length = 0;   // of each, in values
  std::vector<float> values;  // [texts, length]
};

// CBOR, size- and range-checked on the way in.
Bytes encode(const EmbedRequest& request);
Bytes encode(const EmbedResult& result);
Result<EmbedRequest> decode_embed_request(std::span<const std::byte> body);
Result<EmbedResult> decode_embed_result(std::span<const std::byte> body);

}  // namespace flotilla
