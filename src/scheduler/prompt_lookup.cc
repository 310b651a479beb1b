#include "scheduler/prompt_lookup.h"

#include <algorithm>

namespace flotilla {
namespace {

// How many tokens before `end` (not itself among them) equal those before the text's end.
std::uint32_t match_length(std::span<const TokenId> text, std::size_t end) {
  const auto longest = std::min<std::size_t>(end, match_max);
  std::uint32_t length = 0;
  while (length < longest && text[end - 1 - length] == text[text.size() - 1 - length]) ++length;
  return length;
}

}  // namespace

Draft look_up(std::span<const TokenId> text, std::uint32_t count_max) {
  Draft best;
  if (text.size() <= match_min || count_max == 0) return best;
  for (std::size_t end = text.size() - 1; end >= match_min && best.match < match_max; --end) {
    const auto length = match_length(text, end);
    if (length < match_min || length <= best.match) continue;
    best = {text.subspan(end, std::min<std::size_t>(count_max, text.size() - end)), length};
  }
  return best;
}

}  // namespace flotilla
