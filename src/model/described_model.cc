#include "model/described_model.h"

#include <ggml.h>

#include <charconv>
#include <format>

#include "base/limits.h"
#include "base/words.h"

namespace flotilla {
namespace {

constexpr std::uint64_t cache_value_bytes = 2;  // F16

// Weights of the matrices of one layer's attention.
double attention_weights(const ModelDescription& model) {
  const double width = model.width, heads = model.heads, head = model.head_length;
  if (model.latent_length == 0) return width * head * (2 * heads + 2 * model.kv_heads);
  const double latent = model.latent_length, rotary = model.rotary_length;
  const double query = heads * (head + rotary);
  const double queries = model.query_latent_length > 0 ? model.query_latent_length * (width + query) : width * query;
  return queries + width * (latent + rotary) + latent * heads * 2 * head + heads * head * width;
}

double gated(double width, double length) { return 3 * width * length; }  // gate, up and down

Status check_numbers(const ModelDescription& model) {
  const auto missing = [&](const char* what) {
    return fail(Code::invalid_argument, "[model] expected {} of model {} to be more than 0", what, model.name);
  };
  if (model.layers == 0 || model.layers > limits::layers_max) return missing("`layers` (at most 1024)");
  if (model.width == 0 || model.width > limits::embedding_length_max) return missing("`width` (at most 131072)");
  if (model.heads == 0) return missing("`heads`");
  if (model.head_length == 0) return missing("`head_length`");
  if (model.latent_length == 0 && (model.kv_heads == 0 || model.kv_heads > model.heads))
    return missing("`kv_heads` (at most `heads`)");
  if (model.vocabulary == 0 || model.vocabulary > limits::vocabulary_max) return missing("`vocabulary`");
  if (!(model.bits > 0 && model.bits <= 32)) return missing("`bits` (at most 32)");
  if (model.experts > 0 && (model.experts_used == 0 || model.experts_used > model.experts))
    return missing("`experts_used` (at most `experts`)");
  if (model.experts > 0 && model.expert_feed_forward == 0) return missing("`expert_feed_forward`");
  if (model.feed_forward == 0 && (model.experts == 0 || model.dense_layers > 0)) return missing("`feed_forward`");
  if (model.dense_layers > model.layers)
    return fail(Code::invalid_argument, "[model] expected at most {} `dense_layers` of model {} but got {}",
                model.layers, model.name, model.dense_layers);
  return {};
}

}  // namespace

Result<ModelShape> shape_of(const ModelDescription& model) {
  FLOTILLA_TRY_STATUS(check_numbers(model));
  const std::string type = std::format("{} bits", model.bits);
  const auto bytes_of = [&](double weights) { return static_cast<std::uint64_t>(weights * model.bits / 8); };
  ModelShape shape{.name = model.name,
                   .architecture = "described",
                   .context_length = model.context,
                   .embedding_length = model.width,
                   .vocabulary = model.vocabulary,
                   .layers = {}};
  const double width = model.width;
  for (std::uint32_t layer = 0; layer < model.layers; ++layer) {
    LayerShape& out = shape.layers.emplace_back();
    double dense = attention_weights(model);
    const bool has_experts = model.experts > 0 && layer >= model.dense_layers;
    if (has_experts) {
      dense += width * model.experts + gated(width, model.expert_feed_forward) * model.experts_shared;
      out.experts = {{type, bytes_of(gated(width, model.expert_feed_forward) * model.experts)}};
      out.weight_bytes = out.experts.front().bytes;
    } else {
      dense += gated(width, model.feed_forward);
    }
    out.matrices = {{type, bytes_of(dense)}};
    out.weight_bytes += out.matrices.front().bytes;
    out.cache.heads = model.latent_length > 0 ? 1 : model.kv_heads;
    out.cache.bytes_per_token =
        cache_value_bytes * (model.latent_length > 0 ? model.latent_length + model.rotary_length
                                                     : 2 * std::uint64_t{model.kv_heads} * model.head_length);
  }
  shape.embedding_bytes = shape.output_bytes = bytes_of(width * model.vocabulary);
  shape.output_matrix = {type, shape.output_bytes};
  shape.attention_length = model.heads * model.head_length;
  shape.feed_forward_length =
      std::max(model.feed_forward, model.expert_feed_forward * std::max(1u, model.experts_used + model.experts_shared));
  shape.experts = model.experts;
  shape.experts_used = model.experts_used;
  shape.shards_max = model.latent_length > 0 ? model.heads : model.kv_heads;
  return shape;
}

double bits_per_weight(std::string_view type) {
  double bits = 0;
  const auto [rest, error] = std::from_chars(type.data(), type.data() + type.size(), bits);
  if (error == std::errc{} && std::string_view(rest, type.data() + type.size()) == " bits") return bits;
  for (int known = 0; known < GGML_TYPE_COUNT; ++known) {
    const auto id = static_cast<ggml_type>(known);
    const char* name = ggml_type_name(id);
    if (name && ggml_blck_size(id) > 0 && lower_case(name) == lower_case(type))
      return 8.0 * static_cast<double>(ggml_type_size(id)) / static_cast<double>(ggml_blck_size(id));
  }
  return 16;
}

}  // namespace flotilla
