#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/likeliest.h"
#include "engine/softmax.h"

namespace flotilla {
namespace {

// Descending; the lower token first among equals, so that the same logits always give the same order.
bool better(const TokenLogprob& a, const TokenLogprob& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
}

// The `count` largest logits, descending. One pass with a heap of the best so far: nearly every value of a large
// vocabulary fails the first comparison. What is not a number, and minus infinity, is never among them.
std::vector<TokenLogprob> best_logits(std::span<const float> logits, std::size_t count) {
  std::vector<TokenLogprob> best;
  if (count == 0) return best;
  count = std::min(count, logits.size());
  best.reserve(count);
  float bar = -std::numeric_limits<float>::infinity();  // the worst of the best, once there are enough
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if (!(logits[token] > bar)) continue;
    if (best.size() == count) {
      std::ranges::pop_heap(best, better);
      best.pop_back();
    }
    best.push_back({static_cast<TokenId>(token), logits[token]});
    std::ranges::push_heap(best, better);
    if (best.size() == count) bar = best.front().logprob;
  }
  std::ranges::sort(best, better);
  return best;
}

void add_bias(std::span<float> logits, const SamplingParams& params) {
  for (const auto& [token, bias] : params.logit_bias)
    if (token >= 0 && static_cast<std::size_t>(token) < logits.size()) logits[static_cast<std::size_t>(token)] += bias;
}

// Calls use(token, times it occurs) for each different token of the vocabulary.
template <class Use>
void count_tokens(std::span<const TokenId> tokens, std::size_t vocabulary, const Use& use) {
  std::vector<TokenId> sorted(tokens.begin(), tokens.end());
  std::ranges::sort(sorted);
  for (auto first = sorted.begin(); first != sorted.end();) {
    const auto end = std::find_if(first, sorted.end(), [&](TokenId token) { return token != *first; });
    if (*first >= 0 && static_cast<std::size_t>(*first) < vocabulary)
      use(static_cast<std::size_t>(*first), static_cast<float>(end - first));
    first = end;
  }
}

void penalize(std::span<float> logits, const SamplingParams& params, const SamplingHistory& history) {
  if (params.repetition_penalty != 1) {
    const std::size_t window = params.repetition_window < 0
                                   ? history.tokens.size()
                                   : std::min<std::size_t>(params.repetition_window, history.tokens.size());
    count_tokens(history.tokens.last(window), logits.size(), [&](std::size_t token, float) {
      float& logit = logits[token];
      logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    });
  }
  if (params.presence_penalty == 0 && params.frequency_penalty == 0) return;
  const std::size_t prompt = std::min(history.prompt_length, history.tokens.size());
  count_tokens(history.tokens.subspan(prompt), logits.size(), [&](std::size_t token, float times) {
    logits[token] -= params.presence_penalty + params.frequency_penalty * times;
  });
}

// How many of the best it takes to hold `share` of `total`; all of them where they hold less.
std::size_t nucleus_size(std::span<const TokenLogprob> best, double share, double total) {
  double held = 0;
  for (std::size_t i = 0; i < best.size(); ++i) {
    held += std::exp(static_cast<double>(best[i].logprob) - best[0].logprob);
    if (held >= share * total) return i + 1;
  }
  return best.size();
}

double weight_of(std::span<const TokenLogprob> best) {
  double sum = 0;
  for (const auto& candidate : best) sum += std::exp(static_cast<double>(candidate.logprob) - best[0].logprob);
  return sum;
}

// Top-p over the whole vocabulary (Holtzman et al. 2020) without sorting it: the nucleus is usually small, so look
// among a few hundred first and widen only where they do not hold enough.
std::vector<TokenLogprob> nucleus(std::span<const float> logits, float top_p) {
  const double total = sum_of_exponentials(logits, largest(logits));
  for (std::size_t count = 256;; count *= 16) {
    auto best = best_logits(logits, count);
    const std::size_t size = nucleus_size(best, top_p, total);
    if (size == best.size() && count < logits.size() && weight_of(best) < top_p * total) continue;
    best.resize(size);
    return best;
  }
}

std::vector<TokenLogprob> above(std::span<const float> logits, float bar) {
  std::vector<TokenLogprob> kept;
  for (std::size_t token = 0; token < logits.size(); ++token)
    if (logits[token] >= bar) kept.push_back({static_cast<TokenId>(token), logits[token]});
  std::ranges::sort(kept, better);
  return kept;
}

bool narrows(const SamplingParams& params, std::size_t vocabulary) {
  return (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < vocabulary) || params.top_p < 1 ||
         params.min_p > 0;
}

// What top-k, top-p and min-p leave, descending.
std::vector<TokenLogprob> shortlist(std::span<const float> logits, const SamplingParams& params) {
  const auto bar_below = [&](float highest) {
    return params.min_p > 0 ? highest + std::log(params.min_p) : -std::numeric_limits<float>::infinity();
  };
  std::vector<TokenLogprob> best;
  if (params.top_k > 0) {
    best = best_logits(logits, static_cast<std::size_t>(params.top_k));
    if (params.top_p < 1 && !best.empty()) best.resize(nucleus_size(best, params.top_p, weight_of(best)));
  } else if (params.top_p < 1) {
    best = nucleus(logits, params.top_p);
  } else {
    return above(logits, bar_below(largest(logits)));
  }
  if (params.min_p > 0 && !best.empty()) {
    const float bar = bar_below(best[0].logprob);
    best.erase(std::ranges::find_if(best, [&](const auto& candidate) { return candidate.logprob < bar; }), best.end());
  }
  return best;
}

TokenId draw_from_list(std::span<const TokenLogprob> best, float temperature, double u) {
  double total = 0;
  std::vector<double> held;  // up to and including each
  for (const auto& candidate : best)
    held.push_back(total += std::exp((static_cast<double>(candidate.logprob) - best[0].logprob) / temperature));
  const auto hit = std::ranges::upper_bound(held, u * total);
  return best[std::min<std::size_t>(hit - held.begin(), best.size() - 1)].token;
}

TokenId draw_from_all(std::span<float> logits, float temperature, double u) {
  const double target = u * exponentiate(logits, largest(logits), temperature);
  double held = 0;
  for (std::size_t token = 0; token < logits.size(); ++token)
    if ((held += logits[token]) > target) return static_cast<TokenId>(token);
  return likeliest(logits).token;  // rounding: the sums differ in their last bits
}

TokenId choose(std::span<float> logits, const SamplingParams& params, double u) {
  if (params.greedy()) return likeliest(logits).token;
  if (!narrows(params, logits.size())) return draw_from_all(logits, params.temperature, u);
  const auto best = shortlist(logits, params);
  return best.empty() ? likeliest(logits).token : draw_from_list(best, params.temperature, u);
}

// Finite, as JSON and the wire want it: a token that cannot be chosen has `logprob_min`, and so has one of no number.
float reported(double logprob) {
  constexpr double logprob_min = -9999;
  return logprob > logprob_min ? static_cast<float>(logprob) : static_cast<float>(logprob_min);
}

std::vector<TokenLogprob> top_of(std::span<const float> logits, std::int32_t count, double log_sum) {
  auto top = best_logits(logits, static_cast<std::size_t>(std::max(count, 0)));
  for (auto& entry : top) entry.logprob = reported(entry.logprob - log_sum);
  return top;
}

void forbid_others(std::span<float> logits, const TokenMask& allowed) {
  for (std::size_t token = 0; token < logits.size();) {
    const std::size_t end = std::min(logits.size(), token + 32);
    const std::uint32_t word = token / 32 < allowed.words.size() ? allowed.words[token / 32] : 0;
    if (word == ~std::uint32_t{0}) token = end;
    for (; token < end; ++token)
      if ((word >> (token % 32) & 1) == 0) logits[token] = -std::numeric_limits<float>::infinity();
  }
}

TokenId first_of(const TokenMask& allowed) {
  for (std::size_t word = 0; word < allowed.words.size(); ++word)
    if (allowed.words[word] != 0) return static_cast<TokenId>(word * 32 + std::countr_zero(allowed.words[word]));
  return 0;
}

// One that has no probability at all (no number, minus infinity) is chosen all the same where it must be.
TokenId choose_allowed(std::span<float> logits, const SamplingParams& params, double u, const TokenMask& allowed) {
  forbid_others(logits, allowed);
  const TokenId chosen = choose(logits, params, u);
  return allowed.contains(chosen) ? chosen : first_of(allowed);
}

std::uint64_t split_mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

SampledToken sample(std::span<float> logits, const SamplingParams& params, const SamplingHistory& history,
                    std::uint32_t choice, std::uint32_t position, std::int32_t top_logprobs,
                    const TokenMask* allowed) {
  SampledToken sampled;
  add_bias(logits, params);
  const bool wants_logprobs = top_logprobs >= 0;
  const double log_sum = wants_logprobs ? log_sum_exp(logits) : 0;
  if (wants_logprobs) sampled.top = top_of(logits, top_logprobs, log_sum);

  // Choosing overwrites the logits, so what it may overwrite and we report is kept.
  const std::vector<float> model(wants_logprobs ? logits.begin() : logits.end(), logits.end());
  penalize(logits, params, history);
  const double u = params.temperature > 0 ? uniform(params.seed, choice, position) : 0;
  sampled.token = allowed ? choose_allowed(logits, params, u, *allowed) : choose(logits, params, u);
  if (wants_logprobs) sampled.logprob = reported(model[static_cast<std::size_t>(sampled.token)] - log_sum);
  return sampled;
}

SampledToken score(std::span<const float> logits, TokenId token, std::int32_t top_logprobs) {
  const double log_sum = log_sum_exp(logits);
  const auto index = static_cast<std::size_t>(token);
  return {token, reported(logits[index] - log_sum), top_of(logits, top_logprobs, log_sum)};
}

double uniform(std::uint64_t seed, std::uint32_t choice, std::uint32_t position) {
  const std::uint64_t place = (std::uint64_t{choice} << 32) | position;
  return static_cast<double>(split_mix(seed ^ split_mix(place)) >> 11) * 0x1p-53;
}

}  // namespace flotilla
