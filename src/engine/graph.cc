#include "engine/graph.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/attention_tiles.h"

namespace flotilla {
namespace {

class GraphBuilder {
 public:
  GraphBuilder(const StageParts& parts, const StepShape& shape) : parts_(parts), shape_(shape) {
    // A block takes about 40 nodes and 7 more for each group, 9 more where its heads are folded; tensors are nodes and
    // the inputs.
    const auto wide = static_cast<std::size_t>(
        std::ranges::count_if(shape.groups, [](const RowGroup& group) { return group.rows > 1; }));
    const std::size_t nodes_max = parts.layers->range.count() * (48 + 8 * shape.groups.size() + 10 * wide) + 64;
    const std::size_t tensors_max = nodes_max + shape.groups.size() * parts.layers->windows.size() + 16;
    step_.context.reset(ggml_init(
        {tensors_max * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes_max, false), nullptr, true}));
    context_ = step_.context.get();
    step_.graph = ggml_new_graph_custom(context_, nodes_max, false);
    step_.masks.assign(shape.groups.size(), std::vector<ggml_tensor*>(parts.layers->windows.size()));
  }

  StepGraph build() {
    const std::int64_t rows = shape_.rows;
    step_.activations = input(ggml_new_tensor_2d(context_, GGML_TYPE_F32, parts_.spec->embedding_length, rows));
    step_.positions = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, rows));
    step_.cells = input(ggml_new_tensor_1d(context_, GGML_TYPE_I64, rows));
    const auto wanted = static_cast<std::int64_t>(shape_.wanted.size());
    if (shape_.gathers && wanted > 0) step_.wanted = input(ggml_new_tensor_1d(context_, GGML_TYPE_I32, wanted));

    ggml_tensor* x = step_.activations;
    const LayerRange range = parts_.layers->range;
    for (std::uint32_t layer = range.first; layer < range.end; ++layer) {
      const bool last = shape_.gathers && layer + 1 == range.end;
      x = build_block(x, parts_.spec->blocks[layer], parts_.weights->layer(layer), parts_.cache->layer(layer), last);
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
  ggml_tensor* build_block(ggml_tensor* x, const BlockSpec& block, const LayerWeights& w, const LayerCache& cache,
                           bool last) {
    ggml_tensor* h = norm(x, w.attention_norm, block);
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
    ggml_tensor* a = attention(q, block, cache);
    if (last) {
      a = ggml_get_rows(context_, a, step_.wanted);
      x = ggml_get_rows(context_, x, step_.wanted);
    }
    a = projected(w.attention_output, a, w.attention_output_bias);
    if (block.post_attention_norm) a = norm(a, w.post_attention_norm, block);
    x = ggml_add(context_, a, x);

    h = norm(x, w.feed_forward_norm, block);
    ggml_tensor* f = projected(w.down, gated(linear(w.gate, h), linear(w.up, h), block.activation));
    if (block.post_feed_forward_norm) f = norm(f, w.post_feed_forward_norm, block);
    return ggml_add(context_, f, x);
  }

  ggml_tensor* norm(ggml_tensor* x, ggml_tensor* scale, const BlockSpec& block) {
    return rms_norm(context_, x, scale, block.norm_epsilon);
  }

  ggml_tensor* linear(ggml_tensor* weight, ggml_tensor* x, ggml_tensor* bias = nullptr) {
    ggml_tensor* y = ggml_mul_mat(context_, weight, x);
    return bias ? ggml_add(context_, y, bias) : y;
  }

  // Back from heads or hidden values to the width between blocks: where shards hold slices of them, a summand.
  ggml_tensor* projected(ggml_tensor* weight, ggml_tensor* x, ggml_tensor* bias = nullptr) {
    ggml_tensor* y = ggml_mul_mat(context_, weight, x);
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
    return ggml_rope_ext(context_, x, step_.positions, r.factors ? parts_.weights->rope_factors() : nullptr,
                         static_cast<int>(r.dimensions), mode, static_cast<int>(r.original_context), r.base,
                         r.frequency_scale, r.yarn_ext_factor, r.attention_factor, r.beta_fast, r.beta_slow);
  }

  // Writes the rows' keys and values into their cells. Expanded here, so that it stands before every read of the cells:
  // the views that attention reads through know nothing of these writes.
  void remember(const LayerCache& cache, ggml_tensor* k, ggml_tensor* v) {
    k = ggml_reshape_2d(context_, k, cache.keys->ne[0], shape_.rows);
    ggml_build_forward_expand(step_.graph, ggml_set_rows(context_, cache.keys, k, step_.cells));
    ggml_build_forward_expand(step_.graph, ggml_set_rows(context_, cache.values, v, step_.cells));
  }

  // Each group of rows attends to its own slot and to nothing else, so a step of many sequences costs the sum of their
  // lengths. q [key_length, heads, rows] → [heads × value_length, rows].
  ggml_tensor* attention(ggml_tensor* q, const BlockSpec& block, const LayerCache& cache) {
    const std::size_t kind = parts_.layers->window_kind(block.window);
    const std::int64_t width = std::int64_t{block.heads} * block.value_length;
    if (shape_.groups.size() == 1) return ggml_reshape_2d(context_, attend(q, block, cache, 0, kind), width, q->ne[2]);

    // The groups' results are written side by side into one tensor; concatenating pair by pair would copy the first
    // group's rows once per group.
    ggml_tensor* joined = joined_attention(width);
    for (std::size_t group = 0; group < shape_.groups.size(); ++group) {
      const RowGroup& rows = shape_.groups[group];
      ggml_tensor* part =
          ggml_view_3d(context_, q, q->ne[0], q->ne[1], rows.rows, q->nb[1], q->nb[2], rows.first_row * q->nb[2]);
      part = ggml_reshape_2d(context_, attend(part, block, cache, group, kind), width, rows.rows);
      joined = ggml_set_2d_inplace(context_, joined, part, joined->nb[1], rows.first_row * joined->nb[1]);
    }
    return joined;
  }

  ggml_tensor* attend(ggml_tensor* q, const BlockSpec& block, const LayerCache& cache, std::size_t group,
                      std::size_t kind) {
    ggml_tensor* k = view_cells(cache.keys, block.key_length, block.kv_heads, group, kind);
    ggml_tensor* v = view_cells(cache.values, block.value_length, block.kv_heads, group, kind);
    if (folds(block, q->ne[2], k->ne[1])) return attend_folded(q, block, k, v, mask(group, kind));
    return ggml_flash_attn_ext(context_, ggml_permute(context_, q, 0, 2, 1, 3), k, v, mask(group, kind),
                               block.attention_scale, 0, block.attention_softcap);
  }

  // Each KV head with the rows of the first of its query heads, then those of the second, and so on; and with rows of
  // nothing where they do not fill one tile. Gives what attend() gives, in the same order.
  ggml_tensor* attend_folded(ggml_tensor* q, const BlockSpec& block, ggml_tensor* k, ggml_tensor* v,
                             ggml_tensor* mask) {
    const std::int64_t rows = q->ne[2], kv_heads = block.kv_heads, shared = block.heads / kv_heads;
    const std::int64_t folded = rows * shared, taken = std::max(folded, tile_rows);
    q = ggml_view_4d(context_, q, q->ne[0], shared, kv_heads, rows, q->nb[1],
                     q->nb[1] * static_cast<std::size_t>(shared), q->nb[2], 0);
    q = ggml_cont(context_, ggml_permute(context_, q, 0, 2, 3, 1));
    q = ggml_reshape_3d(context_, q, q->ne[0], folded, kv_heads);
    if (taken > folded) q = ggml_pad(context_, q, 0, static_cast<int>(taken - folded), 0, 0);
    ggml_tensor* a = ggml_flash_attn_ext(context_, q, k, v, repeated(mask, taken), block.attention_scale, 0,
                                         block.attention_softcap);  // [value_length, kv_heads, taken]
    const std::size_t row_bytes = a->nb[2];
    a = ggml_view_4d(context_, a, a->ne[0], kv_heads, rows, shared, a->nb[1], row_bytes,
                     row_bytes * static_cast<std::size_t>(rows), 0);
    return ggml_cont(context_, ggml_permute(context_, a, 0, 2, 3, 1));
  }

  // A group's mask over and over, down to `rows`. One for all layers that want it so.
  ggml_tensor* repeated(ggml_tensor* mask, std::int64_t rows) {
    for (const auto& [of, made] : repeated_)
      if (of == mask && made->ne[1] == rows) return made;
    const std::int64_t times = (rows + mask->ne[1] - 1) / mask->ne[1];
    ggml_tensor* made = ggml_repeat_4d(context_, mask, mask->ne[0], mask->ne[1] * times, 1, 1);
    made = ggml_view_2d(context_, made, mask->ne[0], rows, made->nb[1], 0);
    repeated_.emplace_back(mask, made);
    return made;
  }

  // [length, cells of the span, kv_heads]
  ggml_tensor* view_cells(ggml_tensor* cells, std::int64_t length, std::int64_t kv_heads, std::size_t group,
                          std::size_t kind) {
    const CellSpan span = shape_.groups[group].spans[kind];
    ggml_tensor* view = ggml_view_3d(context_, cells, length, span.count, kv_heads, cells->nb[1],
                                     static_cast<std::size_t>(length) * ggml_element_size(cells), 0);
    step_.views.push_back({view, cells, group, kind});
    return view;
  }

  ggml_tensor* mask(std::size_t group, std::size_t kind) {
    ggml_tensor*& mask = step_.masks[group][kind];
    const RowGroup& rows = shape_.groups[group];
    if (!mask) mask = input(ggml_new_tensor_2d(context_, GGML_TYPE_F16, rows.spans[kind].count, rows.rows));
    return mask;
  }

  // One for all layers of a width: each layer is done with it before the next begins.
  ggml_tensor* joined_attention(std::int64_t width) {
    if (!joined_ || joined_->ne[0] != width)
      joined_ = input(ggml_new_tensor_2d(context_, GGML_TYPE_F32, width, shape_.rows));
    return joined_;
  }

  ggml_tensor* input(ggml_tensor* tensor) {
    ggml_set_input(tensor);
    return tensor;
  }

  const StageParts& parts_;
  const StepShape& shape_;
  StepGraph step_;
  ggml_context* context_ = nullptr;
  ggml_tensor* joined_ = nullptr;
  std::vector<std::pair<ggml_tensor*, ggml_tensor*>> repeated_;
};

}  // namespace

StepGraph build_step_graph(const StageParts& parts, const StepShape& shape) {
  check(shape.rows > 0 && parts.layers->range.count() > 0, "a graph has rows and layers");
  return GraphBuilder(parts, shape).build();
}

ggml_tensor* rms_norm(ggml_context* context, ggml_tensor* x, ggml_tensor* scale, float epsilon) {
  return ggml_mul(context, ggml_rms_norm(context, x, epsilon), scale);
}

}  // namespace flotilla
