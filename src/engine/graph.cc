#include "engine/graph.h"

#include <utility>

#include "base/check.h"

namespace flotilla {
namespace {

class GraphBuilder {
 public:
  GraphBuilder(const GraphParts& parts, const StepShape& shape)
      : parts_(parts), shape_(shape), first_(parts.slices.front()) {
    constexpr std::size_t nodes_of_block = 16, nodes_of_slice = 40, inputs_max = 16;
    const std::size_t nodes_max =
        parts.layers->range.count() * (nodes_of_block + nodes_of_slice * parts.slices.size()) + 64;
    const std::size_t tensors_max = nodes_max + inputs_max + parts.layers->windows.size();
    step_.context.reset(ggml_init(
        {tensors_max * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes_max, false), nullptr, true}));
    context_ = step_.context.get();
    step_.graph = ggml_new_graph_custom(context_, nodes_max, false);
    step_.seen.assign(parts.layers->windows.size(), nullptr);
  }

  StepGraph build() {
    const std::int64_t rows = shape_.rows;
    step_.activations = input(ggml_new_tensor_2d(context_, GGML_TYPE_F32, first_.spec->embedding_length, rows));
    step_.positions = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, rows));
    step_.cells = input(ggml_new_tensor_1d(context_, GGML_TYPE_I64, rows));
    const auto wanted = static_cast<std::int64_t>(shape_.wanted.size());
    if (shape_.gathers && wanted > 0) step_.wanted = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, wanted));

    ggml_tensor* x = step_.activations;
    const LayerRange range = parts_.layers->range;
    for (std::uint32_t layer = range.first; layer < range.end; ++layer) {
      const bool last = shape_.gathers && layer + 1 == range.end;
      x = build_block(x, layer, last);
    }
    if (x) {
      ggml_set_output(x);
      ggml_build_forward_expand(step_.graph, x);
    }
    step_.result = x;
    return std::move(step_);
  }

 private:
  // One transformer block over x [embedding_length, rows]. The model's last block goes on only with the rows that want
  // logits: no other row's value is used after its key and value are in the cache. Null where that leaves none.
  ggml_tensor* build_block(ggml_tensor* x, std::uint32_t layer, bool last) {
    const BlockSpec& block = first_.spec->blocks[layer];  // what is read of it here is the same in every slice
    const LayerWeights& w = first_.weights->layer(layer);
    ggml_tensor* h = norm(x, w.attention_norm, block);
    ggml_tensor* a = nullptr;
    for (const HeldSlice& slice : parts_.slices) a = added(a, attended(slice, layer, h, last));
    if (!a) return nullptr;
    a = summed(a, w.attention_output_bias);
    if (last) x = ggml_get_rows(context_, x, step_.wanted);
    if (block.post_attention_norm) a = norm(a, w.post_attention_norm, block);
    x = ggml_add(context_, a, x);

    h = norm(x, w.feed_forward_norm, block);
    ggml_tensor* f = nullptr;
    for (const HeldSlice& slice : parts_.slices) f = added(f, fed_forward(slice, layer, h));
    f = summed(f);
    if (block.post_feed_forward_norm) f = norm(f, w.post_feed_forward_norm, block);
    return ggml_add(context_, f, x);
  }

  // A slice's summand of the attention; null where no row goes on.
  ggml_tensor* attended(const HeldSlice& slice, std::uint32_t layer, ggml_tensor* h, bool last) {
    const BlockSpec& block = slice.spec->blocks[layer];
    const LayerWeights& w = slice.weights->layer(layer);
    const LayerCache& cache = slice.cache->layer(layer);
    ggml_tensor* q = heads(linear(w.query, h, w.query_bias), block.heads, block.key_length);
    ggml_tensor* k = heads(linear(w.key, h, w.key_bias), block.kv_heads, block.key_length);
    ggml_tensor* v = linear(w.value, h, w.value_bias);
    if (block.qk_norm) {
      q = norm(q, w.query_norm, block);
      k = norm(k, w.key_norm, block);
    }
    q = rope(q, block);
    k = rope(k, block);
    if (block.query_scale != 1) q = ggml_scale(context_, q, block.query_scale);

    remember(cache, k, v);
    if (last && shape_.wanted.empty()) return nullptr;
    ggml_tensor* a = attention(slice, q, block, cache);
    if (last) a = ggml_get_rows(context_, a, step_.wanted);
    return linear(w.attention_output, a);
  }

  ggml_tensor* fed_forward(const HeldSlice& slice, std::uint32_t layer, ggml_tensor* h) {
    const LayerWeights& w = slice.weights->layer(layer);
    return linear(w.down, gated(linear(w.gate, h), linear(w.up, h), slice.spec->blocks[layer].activation));
  }

  ggml_tensor* norm(ggml_tensor* x, ggml_tensor* scale, const BlockSpec& block) {
    return rms_norm(context_, x, scale, block.norm_epsilon);
  }

  ggml_tensor* linear(ggml_tensor* weight, ggml_tensor* x, ggml_tensor* bias = nullptr) {
    ggml_tensor* y = ggml_mul_mat(context_, weight, x);
    return bias ? ggml_add(context_, y, bias) : y;
  }

  ggml_tensor* added(ggml_tensor* sum, ggml_tensor* summand) {
    return sum ? ggml_add(context_, sum, summand) : summand;
  }

  // Where others hold slices too, what ours add up to is a summand.
  ggml_tensor* summed(ggml_tensor* y, ggml_tensor* bias = nullptr) {
    if (parts_.sum) y = parts_.sum->add_to(context_, y);
    return bias ? ggml_add(context_, y, bias) : y;
  }

  // [heads × length, rows] → [length, heads, rows]
  ggml_tensor* heads(ggml_tensor* x, std::int64_t count, std::int64_t length) {
    return ggml_reshape_3d(context_, x, length, count, shape_.rows);
  }

  // SwiGLU, GeGLU (Shazeer 2020).
  ggml_tensor* gated(ggml_tensor* gate, ggml_tensor* up, Activation activation) {
    return activation == Activation::silu ? ggml_swiglu_split(context_, gate, up)
                                          : ggml_geglu_split(context_, gate, up);
  }

  // Rotary positions (Su et al. 2021), YaRN's stretching included (Peng et al. 2023).
  ggml_tensor* rope(ggml_tensor* x, const BlockSpec& block) {
    const RopeSpec& r = block.rope;
    if (r.mode == RopeMode::none) return x;
    const int mode = r.mode == RopeMode::neox ? GGML_ROPE_TYPE_NEOX : GGML_ROPE_TYPE_NORMAL;
    return ggml_rope_ext(context_, x, step_.positions, r.factors ? first_.weights->rope_factors() : nullptr,
                         static_cast<int>(r.dimensions), mode, static_cast<int>(r.original_context), r.base,
                         r.frequency_scale, r.yarn_ext_factor, r.attention_factor, r.beta_fast, r.beta_slow);
  }

  // Writes the rows' keys and values into their cells. Expanded here, so that it stands before every read of the cells:
  // attention reads the cache itself and knows nothing of these writes.
  void remember(const LayerCache& cache, ggml_tensor* k, ggml_tensor* v) {
    k = ggml_reshape_2d(context_, k, cache.keys->ne[0], shape_.rows);
    ggml_build_forward_expand(step_.graph, ggml_set_rows(context_, cache.keys, k, step_.cells));
    ggml_build_forward_expand(step_.graph, ggml_set_rows(context_, cache.values, v, step_.cells));
  }

  // q [key_length, heads, rows] → [heads × value_length, rows].
  ggml_tensor* attention(const HeldSlice& slice, ggml_tensor* q, const BlockSpec& block, const LayerCache& cache) {
    ggml_tensor*& seen = step_.seen[parts_.layers->window_kind(block.window)];
    if (shape_.ggml_cells > 0) return ggml_attention(q, block, cache, seen);
    if (!seen) seen = input(AttentionOp::new_rows(context_, shape_.rows));
    return slice.attention->add_to(context_, q, cache, seen, block);
  }

  ggml_tensor* ggml_attention(ggml_tensor* q, const BlockSpec& block, const LayerCache& cache, ggml_tensor*& mask) {
    if (!mask) mask = input(ggml_new_tensor_2d(context_, GGML_TYPE_F16, shape_.ggml_cells, shape_.rows));
    const auto head_cells = [&](ggml_tensor* cells, std::int64_t length) {
      return ggml_view_3d(context_, cells, length, shape_.ggml_cells, block.kv_heads, cells->nb[1],
                          static_cast<std::size_t>(length) * ggml_element_size(cells), 0);
    };
    ggml_tensor* a =
        ggml_flash_attn_ext(context_, ggml_permute(context_, q, 0, 2, 1, 3), head_cells(cache.keys, block.key_length),
                            head_cells(cache.values, block.value_length), mask, block.attention_scale, 0,
                            block.attention_softcap);
    return ggml_reshape_2d(context_, a, std::int64_t{block.heads} * block.value_length, shape_.rows);
  }

  ggml_tensor* input(ggml_tensor* tensor) {
    ggml_set_input(tensor);
    return tensor;
  }

  const GraphParts& parts_;
  const StepShape& shape_;
  const HeldSlice& first_;
  StepGraph step_;
  ggml_context* context_ = nullptr;
};

}  // namespace

StepGraph build_step_graph(const GraphParts& parts, const StepShape& shape) {
  check(shape.rows > 0 && parts.layers->range.count() > 0, "a graph has rows and layers");
  return GraphBuilder(parts, shape).build();
}

ggml_tensor* rms_norm(ggml_context* context, ggml_tensor* x, ggml_tensor* scale, float epsilon) {
  return ggml_mul(context, ggml_rms_norm(context, x, epsilon), scale);
}

}  // namespace flotilla
