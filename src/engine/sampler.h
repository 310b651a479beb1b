// From a row of logits to a token. Pure: the same logits, parameters, history and position give the same token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/token_mask.h"
#include "wire/generate.h"

namespace flotilla {

struct SampledToken {
  TokenId token = 0;
  float logprob = 0;              // of the model's distribution after bias, before penalties and temperature;
                                  // sample() leaves it 0 where no logprobs are asked for
  std::vector<TokenLogprob> top;  // descending; `top_logprobs` of them
};

// What the sampler looks back at. `tokens` is prompt and answer so far; the answer begins at `prompt_length`.
struct SamplingHistory {
  std::span<const TokenId> tokens;
  std::size_t prompt_length = 0;
};

// `logits` [vocabulary] is used as scratch. `position` counts the generated tokens from 0. `allowed`, where there is one,
// narrows the choice before all else, at least one token is in it; logprobs stay the model's own.
SampledToken sample(std::span<float> logits, const SamplingParams& params, const SamplingHistory& history,
                    std::uint32_t choice, std::uint32_t position, std::int32_t top_logprobs,
                    const TokenMask* allowed = nullptr);

// Log-probability of `token` and the best `top_logprobs`, without choosing.
SampledToken score(std::span<const float> logits, TokenId token, std::int32_t top_logprobs);

// Uniform in [0, 1), a function of its arguments alone (SplitMix64 over a mix of them; Steele et al. 2014).
double uniform(std::uint64_t seed, std::uint32_t choice, std::uint32_t position);

}  // namespace flotilla
