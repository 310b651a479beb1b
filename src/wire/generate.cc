#include "wire/generate.h"

#include <climits>

#include "base/limits.h"
#include "wire/error_fields.h"
#include "wire/fields.h"

namespace flotilla {
namespace {

constexpr TokenId token_max = static_cast<TokenId>(limits::vocabulary_max) - 1;
constexpr std::size_t stop_tokens_max = 1024;  // end-of-generation sets have a handful
// Wider than any API allows: the server says what is sensible, the wire only what can be computed with.
constexpr float penalty_max = 100.0f, temperature_max = 1000.0f, repetition_penalty_max = 1000.0f, bias_max = 100.0f;

}  // namespace

template <class Map>
void describe(Map& map, Is<std::pair<TokenId, float>> auto& bias) {
  map.field("token", bias.first, Within{0, token_max});
  map.field("bias", bias.second, Within{-bias_max, bias_max});
}

template <class Map>
void describe(Map& map, Is<TokenLogprob> auto& m) {
  map.field("token", m.token, Within{0, token_max});
  map.field("logprob", m.logprob);
}

template <class Map>
void describe(Map& map, Is<SamplingParams> auto& m) {
  map.field("temperature", m.temperature, Within{0.0f, temperature_max});
  map.field("top_k", m.top_k, Within{0, INT32_MAX});
  map.field("top_p", m.top_p, Within{0.0f, 1.0f});
  map.field("min_p", m.min_p, Within{0.0f, 1.0f});
  map.field("repetition_penalty", m.repetition_penalty, Within{FLT_MIN, repetition_penalty_max});  // it divides
  map.field("presence_penalty", m.presence_penalty, Within{-penalty_max, penalty_max});
  map.field("frequency_penalty", m.frequency_penalty, Within{-penalty_max, penalty_max});
  map.field("repetition_window", m.repetition_window, Within{-1, INT32_MAX});
  map.field("seed", m.seed);
  map.list("logit_bias", m.logit_bias, Count{0, limits::logit_bias_max});
}

template <class Map>
void describe(Map& map, Is<ConstraintSource> auto& m) {
  map.choice("kind", m.kind, ConstraintKind::lark);
  map.field("text", m.text, Text::source);
}

template <class Map>
void describe(Map& map, Is<GenerateRequest> auto& m) {
  map.field("id", m.id.value);
  map.field("placement", m.placement.value);
  map.field("choice", m.choice, Within{0u, limits::choices_max - 1});
  map.field("prompt", m.prompt, Packed{});
  map.must(!m.prompt.empty(), "expected at least one token in {}.prompt but got none");
  map.field("tokens_max", m.tokens_max, Within{1, INT32_MAX});  // the scheduler cuts it down to the context
  map.added("resumed", m.resumed, Packed{});
  map.must(m.resumed.size() < m.tokens_max,
           "expected fewer tokens in {}.resumed than in its tokens_max but got as many");
  map.must(m.prompt.size() + m.resumed.size() <= limits::context_tokens_max,
           "expected the tokens of {}.resumed to fit a context with the prompt but got more");
  map.list("stop_tokens", m.stop_tokens, Count{0, stop_tokens_max}, Within{0, token_max});
  map.field("sampling", m.sampling);
  map.field("top_logprobs", m.top_logprobs, Within{-1, limits::top_logprobs_max});
  map.field("prompt_logprobs", m.prompt_logprobs);
  map.must(m.resumed.empty() || !m.prompt_logprobs,
           "expected no wish for the prompt's scores with {}.resumed but got one");
  map.added("cache_scope", m.cache_scope);
  map.added("constraint", m.constraint);
  map.must(!m.constraint.any() || !m.stop_tokens.empty(),
           "expected stop tokens in {} with a constraint but got none");
  map.added("speculate", m.speculate);
  map.choice("request_class", m.request_class, RequestClass::batch);
  map.field("deadline_ms", m.deadline_ms);
}

template <class Map>
void describe(Map& map, Is<TokenEvent> auto& m) {
  map.field("id", m.id.value);
  map.field("index", m.index);
  map.field("has_token", m.has_token);
  map.field("token", m.token, Within{0, token_max});
  map.field("logprob", m.logprob);
  map.list("top", m.top, Count{0, limits::top_logprobs_max});
  map.added("prompt_reused", m.prompt_reused, Within{0u, limits::context_tokens_max});
  map.choice("finish", m.finish, FinishReason::failed);
  map.optional("error", m.error);
  map.added_choice("goes_on", m.goes_on, GoesOn::broken_off);
}

template <class Map>
void describe(Map& map, Is<CancelRequest> auto& m) {
  map.field("id", m.id.value);
}

bool likeliest_is_enough(const GenerateRequest& request) {
  const SamplingParams& sampling = request.sampling;
  const bool penalized = (sampling.repetition_penalty != 1 && sampling.repetition_window != 0) ||
                         sampling.presence_penalty != 0 || sampling.frequency_penalty != 0;
  return sampling.greedy() && !penalized && !request.constraint.any() && sampling.logit_bias.empty() && request.top_logprobs < 0;
}

Bytes encode(const GenerateRequest& request) { return encode_map(request); }
Bytes encode(const TokenEvent& event) { return encode_map(event); }
Bytes encode(const CancelRequest& cancel) { return encode_map(cancel); }
Result<GenerateRequest> decode_generate_request(std::span<const std::byte> body) {
  return decode_map<GenerateRequest>("generate", body);
}
Result<TokenEvent> decode_token_event(std::span<const std::byte> body) {
  return decode_map<TokenEvent>("token_event", body);
}
Result<CancelRequest> decode_cancel(std::span<const std::byte> body) {
  return decode_map<CancelRequest>("cancel", body);
}

}  // namespace flotilla
