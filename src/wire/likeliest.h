// The likeliest token of a row of logits, and how a tensor group's members tell theirs: where an answer takes the
// likeliest token and asks for no probabilities, eight bytes a row travel instead of half a vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace flotilla {

struct LikeliestToken {
  TokenId token = 0;  // the lowest of equals
  float logit = 0;    // minus infinity where no logit is a number
  bool operator==(const LikeliestToken&) const = default;
};

// What a member says of some rows, in order: of each the likeliest of the tokens [first, end), those it computes.
struct LikeliestSlice {
  std::uint32_t first = 0, end = 0;
  std::vector<LikeliestToken> rows;  // at most limits::logits_rows_max
};

// Body of a member's FrameKind::likeliest_slice: first and end, then token and logit of each row.
Bytes encode(const LikeliestSlice& slice);
// corrupt where the body contradicts itself or limits.h, a token is none of the slice or a logit is no number. Reuses
// the vector's memory; after an error it is in no particular state.
Status decode_likeliest(std::span<const std::byte> body, LikeliestSlice& slice);

}  // namespace flotilla
