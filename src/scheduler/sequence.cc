#include "scheduler/sequence.h"

#include <algorithm>

#include "scheduler/prompt_lookup.h"

namespace flotilla {

void Sequence::guess(const RowCosts& costs, std::uint32_t rows, std::uint32_t room, const AllowedGuesses& allowed) {
  const auto left = request.tokens_max - generated;  // at least 1
  const Draft draft = look_up(tokens, std::min(drafts_max, left - 1));
  lookup.assign(draft.tokens.begin(), draft.tokens.end());
  lookup_match = draft.match;
  auto drafted = static_cast<std::uint32_t>(std::min<std::size_t>(lookup.size(), room));
  if (drafted > 0 && allowed && request.constraint.any())
    drafted = static_cast<std::uint32_t>(allowed(request, answer(), std::span(lookup).first(drafted)));
  guessed = draft_window(costs, record.chance(draft.match), rows, drafted);
  tokens.insert(tokens.end(), lookup.begin(), lookup.begin() + guessed);
  confirmed = computed + 1;
}

void Sequence::compare_with_lookup(std::uint32_t position, TokenId token) {
  confirmed = position + 1;
  const auto ahead = tokens.size() - guessed;  // where guesses begin
  const auto next = std::size_t{position} + 1;
  if (next - ahead < lookup.size()) record.saw(lookup_match, lookup[next - ahead] == token);
}

void Sequence::add(std::uint32_t position, TokenId token) {
  const auto next = std::size_t{position} + 1;
  const bool was_guessed = next < tokens.size();
  went_wrong = was_guessed && tokens[next] != token;
  (was_guessed ? tokens[next] : chosen) = token;
  ++generated;
}

void Sequence::settle() {
  if (guessed > 0) {
    tokens.resize(std::min<std::size_t>(tokens.size(), text_length()));
    cut = computed > confirmed;
    computed = confirmed;
  }
  if (tokens.size() < text_length()) tokens.push_back(chosen);
  guessed = 0;
  went_wrong = false;
  lookup.clear();
  awaits_token = false;
}

std::span<const TokenId> Sequence::certain() const {
  return std::span(tokens).first(std::min<std::size_t>(computed, tokens.size() - guessed));
}

}  // namespace flotilla
