// The request and its answer as tokens: what the entry node asks of the head, and what the head says back.
// The entry node keeps the request with every token that came of it, the request's journal: sent anew, with those tokens
// as `resumed`, it goes on where it broke off.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/constraint_source.h"
#include "base/ids.h"
#include "base/result.h"

namespace flotilla {

// How a token is chosen from logits. Order of the samplers: bias, penalties, then (temperature > 0) top-k, top-p, min-p,
// temperature, draw (engine/sampler.cc: what narrows the choice stands in shortlist() and in narrows()). Randomness is a
// function of (seed, choice, position): no hidden generator state, so that a resumed request goes on as the unbroken one
// would have.
struct SamplingParams {
  float temperature = 1.0f;        // 0: greedy, lowest token id among equals
  std::int32_t top_k = 0;          // 0: off
  float top_p = 1.0f;              // 1: off
  float min_p = 0.0f;              // 0: off; relative to the best token's probability
  float repetition_penalty = 1.0f; // 1: off; divides positive and multiplies negative logits of tokens seen (CTRL paper)
  float presence_penalty = 0.0f, frequency_penalty = 0.0f;  // OpenAI's definition, over the generated tokens
  std::int32_t repetition_window = 64;  // last tokens the repetition penalty looks at, prompt included; -1: all
  std::uint64_t seed = 0;
  std::vector<std::pair<TokenId, float>> logit_bias;  // added to the logits; [-100, 100]
  // Temperature 0 or next to it: below, a logit's last bit decides more than any other token's chance, and
  // 1 / temperature leaves a float's range.
  bool greedy() const { return temperature < 1e-6f; }
  bool operator==(const SamplingParams&) const = default;
};

enum class RequestClass : std::uint8_t { interactive = 0, batch = 1 };

// One choice of one request. `n` choices are n of these with choice = 0..n-1 and one prompt.
struct GenerateRequest {
  RequestId id;
  PlacementId placement;                // which loaded model answers
  std::uint32_t choice = 0;
  std::vector<TokenId> prompt;          // not empty
  std::vector<TokenId> resumed;         // of the answer, made and told before: fewer than tokens_max; the next has index
                                        // resumed.size(), and whatever counts tokens counts the whole answer
  std::uint32_t tokens_max = 0;         // generated tokens at most; > 0
  std::vector<TokenId> stop_tokens;     // end-of-generation set; the stop token itself is not sent as a TokenEvent
  SamplingParams sampling;
  std::int32_t top_logprobs = -1;       // -1: none, 0: only the chosen token's, k: and the k best
  std::uint64_t cache_scope = 0;        // prompts reuse what was computed for others of their scope; 0: for no other
  ConstraintSource constraint;          // what the answer keeps to; then stop_tokens has all ends of the model
  bool speculate = true;                // may guess tokens ahead and check them; the answer is the same up to rounding
  bool prompt_logprobs = false;         // score the prompt's tokens too (teacher-forced), one TokenEvent each
  RequestClass request_class = RequestClass::interactive;
  std::uint64_t deadline_ms = 0;        // milliseconds since 1970; 0: none
  bool operator==(const GenerateRequest&) const = default;
};

// Whether the answer takes the likeliest token as the model has it and asks for no probabilities: then nothing else of
// a row of logits is needed. A constraint may forbid the likeliest, so it wants them all.
bool likeliest_is_enough(const GenerateRequest& request);

enum class FinishReason : std::uint8_t { none = 0, stop = 1, length = 2, cancelled = 3, failed = 4 };

// Of a request that failed: whether it may go on elsewhere, with what was told of it.
enum class GoesOn : std::uint8_t {
  no = 0,         // it would fail there too, or the model was unloaded
  not_begun = 1,  // it came to a placement that was gone
  broken_off = 2, // its placement was lost while it ran, possibly by its doing
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;                    // natural logarithm, of the model's own distribution (after bias, before temperature)
  bool operator==(const TokenLogprob&) const = default;
};

// One token, or the end, of one choice. Events of a choice arrive in order; index counts the generated tokens from 0
// (prompt scores: negative, -1 is the last prompt token). The last event has a finish reason and carries a token only
// where has_token.
struct TokenEvent {
  RequestId id;
  std::int32_t index = 0;
  bool has_token = false;
  TokenId token = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top;        // descending
  std::uint32_t prompt_reused = 0;      // prompt tokens that were in the cache already, in every event
  FinishReason finish = FinishReason::none;
  std::optional<Error> error;           // with FinishReason::failed
  GoesOn goes_on = GoesOn::no;          // the same
};

struct CancelRequest {
  RequestId id;
};

// CBOR, size- and range-checked on the way in: every number finite, counts within limits.h.
Bytes encode(const GenerateRequest& request);
Bytes encode(const TokenEvent& event);
Bytes encode(const CancelRequest& cancel);
Result<GenerateRequest> decode_generate_request(std::span<const std::byte> body);
Result<TokenEvent> decode_token_event(std::span<const std::byte> body);
Result<CancelRequest> decode_cancel(std::span<const std::byte> body);

}  // namespace flotilla
