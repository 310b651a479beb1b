#include "engine/likeliest.h"

#include <algorithm>
#include <limits>

#include "engine/softmax.h"

namespace flotilla {
namespace {

constexpr std::size_t block = 1024;  // looked through a second time, in the first-level cache, to find where it was

}  // namespace

LikeliestToken likeliest(std::span<const float> logits, std::uint32_t first) {
  float best = -std::numeric_limits<float>::infinity();
  std::size_t best_at = 0;  // where its block begins
  for (std::size_t at = 0; at < logits.size(); at += block) {
    const float of_block = largest(logits.subspan(at, std::min(block, logits.size() - at)));
    if (!(of_block > best)) continue;
    best = of_block;
    best_at = at;
  }
  const auto found = std::ranges::find(logits.subspan(best_at), best);
  const auto index = found == logits.end() ? std::ptrdiff_t{0} : found - logits.begin();
  return {static_cast<TokenId>(first + static_cast<std::size_t>(index)), best};
}

void likeliest_of_rows(std::span<const float> logits, std::size_t tokens, std::uint32_t first,
                       std::vector<LikeliestToken>& rows) {
  rows.clear();
  for (std::size_t at = 0; at < logits.size(); at += tokens)
    rows.push_back(likeliest(logits.subspan(at, tokens), first));
}

void keep_likeliest(std::span<LikeliestToken> rows, std::span<const LikeliestToken> later) {
  for (std::size_t row = 0; row < rows.size(); ++row)
    if (later[row].logit > rows[row].logit) rows[row] = later[row];
}

}  // namespace flotilla
