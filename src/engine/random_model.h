// Writes models of a given shape with random weights, so that any size can be timed without a download. The family is
// llama. What such a model says is noise; what it costs is real: the kernels, bytes and shapes of a trained one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

struct gguf_context;

namespace flotilla {

struct RandomShape {
  std::int64_t layers = 0, width = 0, heads = 0, kv_heads = 0, feed_forward = 0, vocabulary = 0;
  bool tied = true;  // the output head is the embedding table
};

// True for "Q4_K_M" (the mixture: embedding and half of the sensitive matrices in Q6_K) and for names of one type.
bool is_quantization(std::string_view name);

// `donor` lends tokenizer and chat template; null: the model has none and serves nobody but a stopwatch.
// no_space, permission; invalid_argument for a quantization that is none.
Status write_random_model(const std::filesystem::path& path, const RandomShape& shape, const std::string& quantization,
                          const std::string& name, const gguf_context* donor);

}  // namespace flotilla
