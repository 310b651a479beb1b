// A model by its published numbers, without a file: what a planner needs to weigh it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/shape.h"

namespace flotilla {

// Lengths in elements. Grouped heads (head_length), or one latent for all heads where latent_length is given
// (DeepSeek's MLA: latent_length of keys and values, rotary_length beside it, query_latent_length where queries have
// one too).
struct ModelDescription {
  std::string name;
  std::uint32_t layers = 0, width = 0, heads = 0, kv_heads = 0, head_length = 0;
  std::uint32_t feed_forward = 0;  // of layers without experts
  std::uint32_t vocabulary = 0, context = 0;
  std::uint32_t experts = 0, experts_used = 0, experts_shared = 0, expert_feed_forward = 0;
  std::uint32_t dense_layers = 0;  // the first so many have no experts
  std::uint32_t latent_length = 0, rotary_length = 0, query_latent_length = 0;
  double bits = 0;  // of a weight, scales counted: 4.5 for four bits in groups
};

// invalid_argument: says which number is missing or contradicts another.
Result<ModelShape> shape_of(const ModelDescription& model);

// Of a weight of that type: ggml's name, or what shape_of() writes ("4.5 bits"). 16 for a name nobody knows.
double bits_per_weight(std::string_view type);

}  // namespace flotilla
