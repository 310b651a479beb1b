// What a client ordered, in our words, whichever dialect it spoke; and the fields that OpenAI's endpoints share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/json_body.h"
#include "text/tokenizer.h"
#include "wire/generate.h"

namespace flotilla {

struct GenerationOrder {
  std::string model;
  bool stream = false, include_usage = false;
  std::uint32_t choices = 1;                // per prompt
  std::optional<std::uint32_t> tokens_max;  // absent: what the context leaves
  std::vector<std::string> stops;
  SamplingParams sampling;         // seed drawn where the client gave none
  std::int32_t top_logprobs = -1;  // as in GenerateRequest
  bool ignore_eos = false;
  bool speculate = true;     // our extension: guess tokens ahead
  bool cache_prompt = true;  // our extension, llama.cpp's name: reuse what was computed for prompts that begin alike
  std::string cache_salt;    // our extension, vLLM's name: only those with the same salt
  bool echo = false;         // the prompt comes back before the answer
  bool return_token_ids = false;  // our extension: "token_ids" in every choice
  bool parallel_calls = true;     // several tools may be called in one answer
};

// Reads what both dialects share; faults stay in `fields`. max_tokens, logprobs and n's neighbours are the dialects'.
GenerationOrder read_order(JsonFields& fields);

// Parts of it, for dialects that name things otherwise.
std::string read_model(JsonFields& fields, std::string_view advice);
std::vector<std::string> read_stops(JsonFields& fields, std::string_view name);
SamplingParams read_sampling(JsonFields& fields);

// Refuses by name what would change the answer and is not something this version does.
void refuse_unsupported(JsonFields& fields);
// The same for one field, unless its value asks for nothing.
void refuse_field(JsonFields& fields, std::string_view name, std::string_view advice = "leave the field out");

}  // namespace flotilla
