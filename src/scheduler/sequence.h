// One request as it runs: its text, how far the caches hold it, and what a step under way is to tell.
//
// Its prompt may be in several steps at once, one piece after the other; of its answer one step at most is under way,
// since each token waits for the one before it. In: rows' places, sampled tokens.   Out: the next text.   Thread: the
// scheduler's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "scheduler/chunk_size.h"
#include "scheduler/draft_window.h"
#include "scheduler/scheduler.h"
#include "wire/generate.h"

namespace flotilla {

struct Sequence {
  using Now = std::chrono::steady_clock::time_point;

  GenerateRequest request;
  std::vector<TokenId> tokens;  // prompt and answer; in a step with guesses, those too
  SeqId slot;
  std::uint32_t reused = 0;     // positions that were in the cache on admission
  std::uint32_t computed = 0;   // positions in the cache once the steps under way are done
  std::uint32_t generated = 0;  // those that were resumed with it included
  bool awaits_token = false;    // a step under way chooses its next token; until then it is in no other
  bool ended = false;           // its last event is out; the struct lives on until its steps are over

  // While the prompt is read, and what was resumed after it.
  ReadingPace pace;
  std::optional<Now> overtaken_at;  // when rows of a later prompt were last read instead

  // Of the step that is to choose the next token, where it has only answers' rows.
  std::uint32_t guessed = 0;    // tokens at the end of `tokens` that are checked
  std::uint32_t confirmed = 0;  // positions whose tokens were right
  TokenId chosen = 0;           // the token that follows them all, where none was wrong
  bool went_wrong = false;      // a guess was: what came after it counts for nothing
  std::vector<TokenId> lookup;  // what the text itself says comes next; the guesses are its beginning
  std::uint32_t lookup_match = 0;

  bool cut = false;  // the caches hold positions of wrong guesses, from `computed` on
  DraftRecord record;

  std::uint32_t prompt_length() const { return static_cast<std::uint32_t>(request.prompt.size()); }
  std::uint32_t text_length() const { return prompt_length() + generated; }  // without guesses
  // What is read before the first new token: the prompt, and of a resumed answer what was made of it elsewhere.
  std::uint32_t reading_length() const { return prompt_length() + static_cast<std::uint32_t>(request.resumed.size()); }
  std::span<const TokenId> answer() const { return std::span(tokens).subspan(prompt_length(), generated); }
  std::span<const TokenId> reading() const { return std::span(tokens).first(reading_length()); }
  std::uint32_t prompt_reused() const { return std::min(reused, prompt_length()); }
  bool answering() const { return computed >= reading_length(); }
  std::uint32_t reading_left() const { return answering() ? 0 : reading_length() - computed; }
  // Positions that need not be computed: the last token always is, for its logits; of a scored prompt every token.
  std::uint32_t reuse_max() const { return request.prompt_logprobs ? 0 : reading_length() - 1; }

  // Looks up what may come next and guesses as much of it as pays in a step that has `rows` rows, its own among them,
  // and room for `room` more. `allowed`, where the request has a constraint, says how much of it that lets pass.
  void guess(const RowCosts& costs, std::uint32_t rows, std::uint32_t room, const AllowedGuesses& allowed);
  // What the row at `position` chose; not after a guess that was wrong. A token that ends the text is not added to it.
  void compare_with_lookup(std::uint32_t position, TokenId token);
  void add(std::uint32_t position, TokenId token);
  // After the last row of the step: what was right stays.
  void settle();
  // Positions that the caches hold for certain once the steps under way are done: all but guesses.
  std::span<const TokenId> certain() const;
};

}  // namespace flotilla
