#include "model/spec_tensors.h"

#include <ggml.h>

#include <format>
#include <unordered_set>

#include "model/excerpt.h"

namespace flotilla {
namespace {

using Shape = std::vector<std::int64_t>;

std::string to_text(const Shape& shape) {
  std::string out;
  for (const std::int64_t n : shape) out += (out.empty() ? "" : " x ") + std::to_string(n);
  return out;
}

class TensorCheck {
 public:
  explicit TensorCheck(const Gguf& gguf) : gguf_(gguf) {}

  // Norms and biases are added and multiplied element by element in F32.
  Status vector(std::string name, std::int64_t elements) {
    FLOTILLA_TRY(const TensorPlace* place, expect(std::move(name), {elements}));
    if (place->type == GGML_TYPE_F32) return {};
    return wrong_type(*place, "f32");
  }

  Status matrix(std::string name, std::int64_t columns, std::int64_t rows) {
    Shape shape = {columns, rows};
    if (rows == 1) shape.pop_back();  // as Gguf writes shapes
    FLOTILLA_TRY(const TensorPlace* place, expect(std::move(name), std::move(shape)));
    // ggml can multiply with what it can turn into floats; the other types are for indices and intermediate values.
    const ggml_type_traits* traits = ggml_get_type_traits(static_cast<ggml_type>(place->type));
    if (place->type == GGML_TYPE_F32 || traits->to_float != nullptr) return {};
    return wrong_type(*place, "a float or quantized type");
  }

  // Asked first: such a model lacks dense tensors too, but its experts are the better thing to name.
  Status no_experts() const {
    for (const TensorPlace& place : gguf_.tensors()) {
      if (!place.name.contains("_exps") && !place.name.contains("ffn_gate_inp")) continue;
      return fail(Code::unsupported, "[model] expected a dense model but '{}' is a mixture of experts (it holds {})",
                  gguf_.name(), excerpt(place.name));
    }
    return {};
  }

  // Asked last: a tensor that nobody expected would change the result.
  Status nothing_else() const {
    for (const TensorPlace& place : gguf_.tensors()) {
      if (expected_.contains(place.name)) continue;
      return fail(Code::unsupported, "[model] expected only tensors this version computes with but '{}' holds {}",
                  gguf_.name(), excerpt(place.name));
    }
    return {};
  }

 private:
  Result<const TensorPlace*> expect(std::string name, Shape shape) {
    const TensorPlace* place = gguf_.find(name);
    if (place == nullptr) {
      return fail(Code::corrupt, "[model] expected tensor {} [{}] in '{}' but it has none", name, to_text(shape),
                  gguf_.name());
    }
    if (place->shape != shape) {
      return fail(Code::corrupt, "[model] expected tensor {} to be [{}] in '{}' but got [{}]", name, to_text(shape),
                  gguf_.name(), to_text(place->shape));
    }
    expected_.insert(std::move(name));
    return place;
  }

  std::unexpected<Error> wrong_type(const TensorPlace& place, std::string_view expected) const {
    return fail(Code::unsupported, "[model] expected tensor {} to be {} in '{}' but got {}", place.name, expected,
                gguf_.name(), ggml_type_name(static_cast<ggml_type>(place.type)));
  }

  const Gguf& gguf_;
  std::unordered_set<std::string> expected_;
};

Status check_projections(TensorCheck& check, const BlockSpec& block, std::int64_t width, const std::string& layer) {
  const std::int64_t queries = std::int64_t{block.heads} * block.key_length;
  const std::int64_t keys = std::int64_t{block.kv_heads} * block.key_length;
  const std::int64_t values = std::int64_t{block.kv_heads} * block.value_length;
  FLOTILLA_TRY_STATUS(check.matrix(layer + "attn_q.weight", width, queries));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "attn_k.weight", width, keys));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "attn_v.weight", width, values));
  FLOTILLA_TRY_STATUS(
      check.matrix(layer + "attn_output.weight", std::int64_t{block.heads} * block.value_length, width));
  if (block.bias_q) FLOTILLA_TRY_STATUS(check.vector(layer + "attn_q.bias", queries));
  if (block.bias_k) FLOTILLA_TRY_STATUS(check.vector(layer + "attn_k.bias", keys));
  if (block.bias_v) FLOTILLA_TRY_STATUS(check.vector(layer + "attn_v.bias", values));
  if (block.bias_output) FLOTILLA_TRY_STATUS(check.vector(layer + "attn_output.bias", width));
  return {};
}

Status check_attention(TensorCheck& check, const BlockSpec& block, std::int64_t width, const std::string& layer) {
  FLOTILLA_TRY_STATUS(check.vector(layer + "attn_norm.weight", width));
  FLOTILLA_TRY_STATUS(check_projections(check, block, width, layer));
  if (block.qk_norm) {
    FLOTILLA_TRY_STATUS(check.vector(layer + "attn_q_norm.weight", block.key_length));
    FLOTILLA_TRY_STATUS(check.vector(layer + "attn_k_norm.weight", block.key_length));
  }
  if (block.post_attention_norm) FLOTILLA_TRY_STATUS(check.vector(layer + "post_attention_norm.weight", width));
  return {};
}

Status check_feed_forward(TensorCheck& check, const BlockSpec& block, std::int64_t width, const std::string& layer) {
  FLOTILLA_TRY_STATUS(check.vector(layer + "ffn_norm.weight", width));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "ffn_gate.weight", width, block.feed_forward_length));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "ffn_up.weight", width, block.feed_forward_length));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "ffn_down.weight", block.feed_forward_length, width));
  if (block.post_feed_forward_norm) FLOTILLA_TRY_STATUS(check.vector(layer + "post_ffw_norm.weight", width));
  return {};
}

// A norm with a bias, which an embedder's are.
Status check_norm(TensorCheck& check, const std::string& name, std::int64_t width) {
  FLOTILLA_TRY_STATUS(check.vector(name + ".weight", width));
  return check.vector(name + ".bias", width);
}

Status check_embedder_block(TensorCheck& check, const BlockSpec& block, std::int64_t width, const std::string& layer) {
  FLOTILLA_TRY_STATUS(check_projections(check, block, width, layer));
  FLOTILLA_TRY_STATUS(check_norm(check, layer + "attn_output_norm", width));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "ffn_up.weight", width, block.feed_forward_length));
  FLOTILLA_TRY_STATUS(check.matrix(layer + "ffn_down.weight", block.feed_forward_length, width));
  if (block.bias_up) FLOTILLA_TRY_STATUS(check.vector(layer + "ffn_up.bias", block.feed_forward_length));
  if (block.bias_down) FLOTILLA_TRY_STATUS(check.vector(layer + "ffn_down.bias", width));
  return check_norm(check, layer + "layer_output_norm", width);
}

Status check_embedder(TensorCheck& check, const ModelSpec& model, std::int64_t positions) {
  const std::int64_t width = model.embedding_length;
  FLOTILLA_TRY_STATUS(check.matrix("token_embd.weight", width, model.vocabulary));
  FLOTILLA_TRY_STATUS(check.matrix("token_types.weight", width, model.token_kinds));
  FLOTILLA_TRY_STATUS(check.matrix("position_embd.weight", width, positions));
  FLOTILLA_TRY_STATUS(check_norm(check, "token_embd_norm", width));
  for (std::size_t i = 0; i < model.blocks.size(); ++i)
    FLOTILLA_TRY_STATUS(check_embedder_block(check, model.blocks[i], width, std::format("blk.{}.", i)));
  return check.nothing_else();
}

}  // namespace

Status check_tensors(const Gguf& gguf, const ModelSpec& model) {
  TensorCheck check(gguf);
  const std::int64_t width = model.embedding_length;
  FLOTILLA_TRY_STATUS(check.no_experts());
  if (model.embeds()) return check_embedder(check, model, gguf.find("position_embd.weight")->shape[1]);
  FLOTILLA_TRY_STATUS(check.matrix("token_embd.weight", width, model.vocabulary));
  FLOTILLA_TRY_STATUS(check.vector("output_norm.weight", width));
  if (!model.tied_output) FLOTILLA_TRY_STATUS(check.matrix("output.weight", width, model.vocabulary));
  if (model.blocks.front().rope.factors) {
    FLOTILLA_TRY_STATUS(check.vector("rope_freqs.weight", model.blocks.front().rope.dimensions / 2));
  }
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    const std::string layer = std::format("blk.{}.", i);
    FLOTILLA_TRY_STATUS(check_attention(check, model.blocks[i], width, layer));
    FLOTILLA_TRY_STATUS(check_feed_forward(check, model.blocks[i], width, layer));
  }
  return check.nothing_else();
}

}  // namespace flotilla
