#include "engine/embed_graph.h"

#include <utility>

namespace flotilla {
namespace {

class EmbedGraphBuilder {
 public:
  EmbedGraphBuilder(const ModelSpec& spec, const Weights& weights, AttentionOp& attention, std::int64_t rows)
      : spec_(spec), weights_(weights), attention_(attention), rows_(rows) {
    constexpr std::size_t nodes_of_block = 40, others = 32;
    const std::size_t nodes_max = spec.blocks.size() * nodes_of_block + others;
    step_.context.reset(
        ggml_init({nodes_max * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes_max, false), nullptr, true}));
    context_ = step_.context.get();
    step_.graph = ggml_new_graph_custom(context_, nodes_max, false);
  }

  EmbedGraph build() {
    step_.tokens = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, rows_));
    step_.positions = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, rows_));
    step_.kind = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, 1));
    step_.seen = input(AttentionOp::new_rows(context_, rows_));
    ggml_tensor* x = embedded();
    for (std::uint32_t layer = 0; layer < spec_.blocks.size(); ++layer) x = block(layer, x);
    ggml_set_output(x);
    ggml_build_forward_expand(step_.graph, x);
    step_.result = x;
    return std::move(step_);
  }

 private:
  ggml_tensor* embedded() {
    const HeadWeights& head = weights_.head();
    ggml_tensor* x = ggml_get_rows(context_, head.embedding, step_.tokens);
    x = ggml_add(context_, x, ggml_get_rows(context_, head.positions, step_.positions));
    x = ggml_add(context_, x, ggml_get_rows(context_, head.token_kinds, step_.kind));
    return norm(x, head.embedding_norm, head.embedding_norm_bias, spec_.norm_epsilon);
  }

  // Each half is normed together with what it was made from (post-norm).
  ggml_tensor* block(std::uint32_t layer, ggml_tensor* x) {
    const BlockSpec& block = spec_.blocks[layer];
    const LayerWeights& w = weights_.layer(layer);
    ggml_tensor* a = linear(w.attention_output, attend(block, w, x), w.attention_output_bias);
    x = norm(ggml_add(context_, a, x), w.attention_output_norm, w.attention_output_norm_bias, block.norm_epsilon);
    ggml_tensor* f = ggml_gelu(context_, linear(w.up, x, w.up_bias));
    f = linear(w.down, f, w.down_bias);
    return norm(ggml_add(context_, f, x), w.layer_output_norm, w.layer_output_norm_bias, block.norm_epsilon);
  }

  // Keys and values of this step alone stand where a cache would, in its form.
  ggml_tensor* attend(const BlockSpec& block, const LayerWeights& w, ggml_tensor* x) {
    ggml_tensor* q = ggml_reshape_3d(context_, linear(w.query, x, w.query_bias), block.key_length, block.heads, rows_);
    const LayerCache step{.keys = ggml_cast(context_, linear(w.key, x, w.key_bias), GGML_TYPE_F16),
                          .values = ggml_cast(context_, linear(w.value, x, w.value_bias), GGML_TYPE_F16)};
    return attention_.add_to(context_, q, step, step_.seen, block);
  }

  // Ba, Kiros and Hinton 2016.
  ggml_tensor* norm(ggml_tensor* x, ggml_tensor* scale, ggml_tensor* bias, float epsilon) {
    return ggml_add(context_, ggml_mul(context_, ggml_norm(context_, x, epsilon), scale), bias);
  }

  ggml_tensor* linear(ggml_tensor* weight, ggml_tensor* x, ggml_tensor* bias) {
    ggml_tensor* y = ggml_mul_mat(context_, weight, x);
    return bias ? ggml_add(context_, y, bias) : y;
  }

  ggml_tensor* input(ggml_tensor* tensor) {
    ggml_set_input(tensor);
    return tensor;
  }

  const ModelSpec& spec_;
  const Weights& weights_;
  AttentionOp& attention_;
  const std::int64_t rows_;
  EmbedGraph step_;
  ggml_context* context_ = nullptr;
};

}  // namespace

EmbedGraph build_embed_graph(const ModelSpec& spec, const Weights& weights, AttentionOp& attention, std::int64_t rows) {
  return EmbedGraphBuilder(spec, weights, attention, rows).build();
}

}  // namespace flotilla
