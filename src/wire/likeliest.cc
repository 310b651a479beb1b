#include "wire/likeliest.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace flotilla {
namespace {

// Copied as they lie in memory: every field is four bytes, so no compiler pads them.
struct SliceHead {
  std::uint32_t first, end;
};
static_assert(sizeof(SliceHead) == 8 && sizeof(LikeliestToken) == 8);

}  // namespace

Bytes encode(const LikeliestSlice& slice) {
  check(slice.rows.size() <= limits::logits_rows_max, "a slice has as many rows as are computed at once");
  const SliceHead head{slice.first, slice.end};
  Bytes body(sizeof head + slice.rows.size() * sizeof(LikeliestToken));
  std::memcpy(body.data(), &head, sizeof head);
  std::ranges::copy(std::as_bytes(std::span(slice.rows)), body.begin() + sizeof head);
  return body;
}

Status decode_likeliest(std::span<const std::byte> body, LikeliestSlice& slice) {
  const std::size_t rows_bytes = body.size() - std::min(body.size(), sizeof(SliceHead));
  const std::size_t rows = rows_bytes / sizeof(LikeliestToken);
  if (body.size() < sizeof(SliceHead) || rows_bytes % sizeof(LikeliestToken) != 0 || rows > limits::logits_rows_max)
    return fail(
        Code::corrupt,
        "[wire] expected the likeliest tokens of at most {} rows but got {} bytes; the group's member is broken",
        limits::logits_rows_max, body.size());
  SliceHead head;
  std::memcpy(&head, body.data(), sizeof head);
  if (head.first >= head.end || head.end > limits::vocabulary_max)
    return fail(Code::corrupt,
                "[wire] expected some of at most {} tokens but got [{}, {}); the group's member is broken",
                limits::vocabulary_max, head.first, head.end);
  slice.first = head.first;
  slice.end = head.end;
  slice.rows.resize(rows);
  if (rows > 0) std::memcpy(slice.rows.data(), body.data() + sizeof head, rows_bytes);
  for (const auto& [token, logit] : slice.rows)
    if (token < static_cast<TokenId>(head.first) || token >= static_cast<TokenId>(head.end) || std::isnan(logit))
      return fail(Code::corrupt,
                  "[wire] expected one of the tokens [{}, {}) and its logit but got {} and {}; the group's member is "
                  "broken",
                  head.first, head.end, token, logit);
  return {};
}

}  // namespace flotilla
