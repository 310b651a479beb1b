// Some answers at the same time, and when each of their tokens came: one run of a benchmark against a node's API.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/bench_figures.h"
#include "base/result.h"

namespace flotilla {

struct StreamsOrder {
  std::string api_url, key, model;  // key: the API's; empty where it needs none
  std::uint32_t streams = 1, prompt_tokens = 512, tokens = 128, vocabulary = 0;
  std::uint64_t seed = 1;  // the same seed asks the same prompts
};

// A prompt of token ids that mean nothing, so that nothing of it is known from before and nothing can be guessed.
std::vector<std::uint32_t> random_prompt(const StreamsOrder& order, std::uint32_t stream);

// Greedy, as many tokens as ordered whatever the model says, computed anew and without guessing ahead. Waits for all;
// the first error where one fails; cancelled after Ctrl-C (interrupt.h). Thread: starts one for each stream and joins
// it.
Result<std::vector<AnswerTimes>> run_streams(const StreamsOrder& order);

}  // namespace flotilla
