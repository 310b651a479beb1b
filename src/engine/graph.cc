#include "engine/graph.h"

#include <ggml-backend.h>

#include <optional>
#include <utility>

#include "base/check.h"

namespace flotilla {
namespace {

// Rows of a step that go through a block one operation after the other.
struct RowPart {
  std::int64_t first = 0, count = 0;
  ggml_tensor* x = nullptr;  // [embedding_length, count]: what the block before gave
  // What is to be added to it next, as far as it is computed, in pieces one below the other; empty where nothing is.
  std::vector<ggml_tensor*> summands;
  ggml_tensor *positions = nullptr, *cells = nullptr;
  std::vector<ggml_tensor*> seen;  // by kind of window
};

class GraphBuilder {
 public:
  GraphBuilder(const GraphParts& parts, const StepShape& shape)
      : parts_(parts), shape_(shape), first_(parts.slices.front()) {
    constexpr std::size_t nodes_of_block = 32, nodes_of_slice = 44, inputs_max = 16, row_parts_max = 2;
    const std::size_t nodes_max =
        row_parts_max * parts.layers->range.count() * (nodes_of_block + nodes_of_slice * parts.slices.size()) + 64;
    const std::size_t tensors_max = nodes_max + inputs_max + 4 * parts.layers->windows.size();
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

    part_rows();
    const LayerRange range = parts_.layers->range;
    for (std::uint32_t layer = range.first; layer < range.end; ++layer) {
      const bool last = shape_.gathers && layer + 1 == range.end;
      if (last) join_rows(layer);
      build_block(layer, last);
    }
    join_rows(range.end);
    if (ggml_tensor* x = row_parts_.front().x) {
      ggml_set_output(x);
      ggml_build_forward_expand(step_.graph, x);
      step_.result = x;
    }
    return std::move(step_);
  }

 private:
  // --- Rows --------------------------------------------------------------------------------------

  // Two parts where others compute slices of these layers too: what one computes hides the exchange of the other. Each
  // begins at a multiple of four, since kernels take rows by fours and give those left over other last bits.
  void part_rows() {
    const std::int64_t rows = shape_.rows, half = (rows / 2 + 3) / 4 * 4;
    if (computes_in_two_parts()) {
      row_parts_ = {part_of(0, half), part_of(half, rows - half)};
    } else {
      row_parts_ = {part_of(0, rows)};
    }
  }

  bool computes_in_two_parts() const {
    return parts_.sum && shape_.ggml_cells == 0 && shape_.rows >= parts_.overlap.rows_in_two_parts_min;
  }

  RowPart part_of(std::int64_t first, std::int64_t count) {
    return {.first = first,
            .count = count,
            .x = rows_of(step_.activations, first, count),
            .positions = rows_of(step_.positions, first, count),
            .cells = rows_of(step_.cells, first, count),
            .seen = std::vector<ggml_tensor*>(step_.seen.size())};
  }

  // Some of the rows of an input, which are its last dimension.
  ggml_tensor* rows_of(ggml_tensor* all, std::int64_t first, std::int64_t count) {
    if (count == shape_.rows) return all;
    const bool is_matrix = ggml_n_dims(all) == 2;
    const std::size_t stride = is_matrix ? all->nb[1] : all->nb[0], offset = static_cast<std::size_t>(first) * stride;
    return is_matrix ? ggml_view_2d(context_, all, all->ne[0], count, stride, offset)
                     : ggml_view_1d(context_, all, count, offset);
  }

  // As all layers before `layer` leave them. Where rows are gathered then, few go on: parts would gain nothing.
  void join_rows(std::uint32_t layer) {
    for (RowPart& part : row_parts_) finish_feed_forward(part, layer - 1);
    if (row_parts_.size() == 1) return;
    ggml_tensor* x = ggml_concat(context_, row_parts_[0].x, row_parts_[1].x, 1);
    row_parts_ = {part_of(0, shape_.rows)};
    row_parts_.front().x = x;
  }

  // --- Blocks ------------------------------------------------------------------------------------

  // One transformer block. The model's last block goes on only with the rows that want logits: no other row's value is
  // used after its key and value are in the cache. x is null where that leaves none.
  void build_block(std::uint32_t layer, bool last) {
    for (RowPart& part : row_parts_) {
      finish_feed_forward(part, layer - 1);
      start_attention(part, layer, last);
    }
    for (RowPart& part : row_parts_) {
      if (!part.x) continue;
      finish_attention(part, layer, last);
      start_feed_forward(part, layer);
    }
  }

  void start_attention(RowPart& part, std::uint32_t layer, bool last) {
    ggml_tensor* h = norm(part.x, first_.weights->layer(layer).attention_norm, block_of(layer));
    std::vector<ggml_tensor*> attended;
    for (const HeldSlice& slice : parts_.slices) attended.push_back(attend(slice, part, layer, h, last));
    if (attended.front())
      part.summands = begun(&LayerWeights::attention_output, layer, attended);
    else
      part.x = nullptr;
  }

  void finish_attention(RowPart& part, std::uint32_t layer, bool last) {
    const LayerWeights& w = first_.weights->layer(layer);
    ggml_tensor* a = summed(part);
    if (w.attention_output_bias) a = ggml_add(context_, a, w.attention_output_bias);
    if (last) part.x = ggml_get_rows(context_, part.x, step_.wanted);
    if (block_of(layer).post_attention_norm) a = norm(a, w.post_attention_norm, block_of(layer));
    part.x = ggml_add(context_, a, part.x);
  }

  void start_feed_forward(RowPart& part, std::uint32_t layer) {
    ggml_tensor* h = norm(part.x, first_.weights->layer(layer).feed_forward_norm, block_of(layer));
    std::vector<ggml_tensor*> hidden;
    for (const HeldSlice& slice : parts_.slices) hidden.push_back(fed_forward(slice, layer, h));
    part.summands = begun(&LayerWeights::down, layer, hidden);
  }

  // Where one was started: before the first layer none was.
  void finish_feed_forward(RowPart& part, std::uint32_t layer) {
    if (part.summands.empty()) return;
    ggml_tensor* f = summed(part);
    if (block_of(layer).post_feed_forward_norm)
      f = norm(f, first_.weights->layer(layer).post_feed_forward_norm, block_of(layer));
    part.x = ggml_add(context_, f, part.x);
  }

  const BlockSpec& block_of(std::uint32_t layer) const { return first_.spec->blocks[layer]; }  // as in every slice

  // --- Sums --------------------------------------------------------------------------------------

  using Projection = ggml_tensor* LayerWeights::*;

  // The products of a projection with what the slices computed, added up. Where others hold slices too, that is a
  // summand, and its sum goes on while what follows in the graph is computed: of two parts, the other part; of one
  // whose exchange takes long, the lower half of the product.
  std::vector<ggml_tensor*> begun(Projection projection, std::uint32_t layer, const std::vector<ggml_tensor*>& inputs) {
    if (!parts_.sum) return {product(projection, layer, inputs)};
    if (row_parts_.size() > 1) return {started(product(projection, layer, inputs))};
    const std::int64_t upper = upper_rows(weight(projection, layer, 0));
    if (parts_.overlap.by_halves && upper > 0) return begun_by_halves(projection, layer, inputs, upper);
    return {parts_.sum->add_to(context_, product(projection, layer, inputs))};
  }

  // Two sums in any case, since the other members make two, whatever they hold and however they multiply.
  std::vector<ggml_tensor*> begun_by_halves(Projection projection, std::uint32_t layer,
                                            const std::vector<ggml_tensor*>& inputs, std::int64_t upper) {
    const auto halves = inputs.size() == 1 ? halves_of(weight(projection, layer, 0), upper) : std::nullopt;
    if (halves) {
      ggml_tensor* first = started(linear(halves->first, inputs[0]));
      return {first, started(linear(halves->second, inputs[0]))};
    }
    ggml_tensor* y = product(projection, layer, inputs);
    const auto half = [&](std::int64_t first, std::int64_t count) {
      return started(ggml_cont(context_, ggml_view_2d(context_, y, count, y->ne[1], y->nb[1],
                                                      static_cast<std::size_t>(first) * sizeof(float))));
    };
    ggml_tensor* first = half(0, upper);
    return {first, half(upper, y->ne[0] - upper)};
  }

  ggml_tensor* weight(Projection projection, std::uint32_t layer, std::size_t slice) {
    return parts_.slices[slice].weights->layer(layer).*projection;
  }

  ggml_tensor* product(Projection projection, std::uint32_t layer, const std::vector<ggml_tensor*>& inputs) {
    ggml_tensor* y = nullptr;
    for (std::size_t i = 0; i < inputs.size(); ++i) y = added(y, linear(weight(projection, layer, i), inputs[i]));
    return y;
  }

  ggml_tensor* started(ggml_tensor* summand) { return in_place(parts_.sum->start(context_, summand)); }

  ggml_tensor* summed(RowPart& part) {
    const auto summands = std::exchange(part.summands, {});
    if (summands.size() == 2) return in_place(parts_.sum->await_both(context_, summands[0], summands[1]));
    return parts_.sum && row_parts_.size() > 1 ? in_place(parts_.sum->await(context_, summands[0])) : summands[0];
  }

  // Rearranged matrices are parted where a group of rows ends, whose number is a power of two.
  static std::int64_t upper_rows(const ggml_tensor* weight) {
    constexpr std::int64_t rows_together_max = 32;
    return weight->ne[1] / 2 / rows_together_max * rows_together_max;
  }

  // Its rows above and below; none where a half would be multiplied in another way than the whole, which might change
  // bits, or where its rows do not begin where ggml's strides say: for some types the AMX unit's arrangement is longer
  // than the file's, and ggml tells nobody by how much a row.
  std::optional<std::pair<ggml_tensor*, ggml_tensor*>> halves_of(ggml_tensor* weight, std::int64_t upper) {
    if (ggml_backend_buffer_get_alloc_size(weight->buffer, weight) != ggml_nbytes(weight)) return std::nullopt;
    const std::int64_t rows = weight->ne[1];
    const auto view = [&](std::int64_t first, std::int64_t count) {
      auto* part = ggml_view_2d(context_, weight, weight->ne[0], count, weight->nb[1],
                                static_cast<std::size_t>(first) * weight->nb[1]);
      return ggml_backend_view_init(part) == GGML_STATUS_SUCCESS && part->extra == weight->extra ? part : nullptr;
    };
    const auto halves = std::pair(view(0, upper), view(upper, rows - upper));
    if (!halves.first || !halves.second) return std::nullopt;
    return halves;
  }

  ggml_tensor* in_place(ggml_tensor* y) {
    ggml_build_forward_expand(step_.graph, y);
    return y;
  }

  // What a slice's heads see; null where no row goes on.
  ggml_tensor* attend(const HeldSlice& slice, RowPart& part, std::uint32_t layer, ggml_tensor* h, bool last) {
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
    q = rope(q, part, block);
    k = rope(k, part, block);
    if (block.query_scale != 1) q = ggml_scale(context_, q, block.query_scale);

    remember(cache, part, k, v);
    if (last && shape_.wanted.empty()) return nullptr;
    ggml_tensor* a = attention(slice, part, q, block, cache);
    if (last) a = ggml_get_rows(context_, a, step_.wanted);
    return a;
  }

  ggml_tensor* fed_forward(const HeldSlice& slice, std::uint32_t layer, ggml_tensor* h) {
    const LayerWeights& w = slice.weights->layer(layer);
    return gated(linear(w.gate, h), linear(w.up, h), slice.spec->blocks[layer].activation);
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

  // [heads × length, rows] → [length, heads, rows]
  ggml_tensor* heads(ggml_tensor* x, std::int64_t count, std::int64_t length) {
    return ggml_reshape_3d(context_, x, length, count, x->ne[1]);
  }

  // SwiGLU, GeGLU (Shazeer 2020).
  ggml_tensor* gated(ggml_tensor* gate, ggml_tensor* up, Activation activation) {
    return activation == Activation::silu ? ggml_swiglu_split(context_, gate, up)
                                          : ggml_geglu_split(context_, gate, up);
  }

  // Rotary positions (Su et al. 2021), YaRN's stretching included (Peng et al. 2023).
  ggml_tensor* rope(ggml_tensor* x, const RowPart& part, const BlockSpec& block) {
    const RopeSpec& r = block.rope;
    if (r.mode == RopeMode::none) return x;
    const int mode = r.mode == RopeMode::neox ? GGML_ROPE_TYPE_NEOX : GGML_ROPE_TYPE_NORMAL;
    return ggml_rope_ext(context_, x, part.positions, r.factors ? first_.weights->rope_factors() : nullptr,
                         static_cast<int>(r.dimensions), mode, static_cast<int>(r.original_context), r.base,
                         r.frequency_scale, r.yarn_ext_factor, r.attention_factor, r.beta_fast, r.beta_slow);
  }

  // Writes the rows' keys and values into their cells. Expanded here, so that it stands before every read of the cells,
  // also by rows of a later part: attention reads the cache itself and knows nothing of these writes.
  void remember(const LayerCache& cache, const RowPart& part, ggml_tensor* k, ggml_tensor* v) {
    k = ggml_reshape_2d(context_, k, cache.keys->ne[0], part.count);
    ggml_build_forward_expand(step_.graph, ggml_set_rows(context_, cache.keys, k, part.cells));
    ggml_build_forward_expand(step_.graph, ggml_set_rows(context_, cache.values, v, part.cells));
  }

  // q [key_length, heads, rows] → [heads × value_length, rows].
  ggml_tensor* attention(const HeldSlice& slice, RowPart& part, ggml_tensor* q, const BlockSpec& block,
                         const LayerCache& cache) {
    const std::size_t kind = parts_.layers->window_kind(block.window);
    if (shape_.ggml_cells > 0) return ggml_attention(q, block, cache, step_.seen[kind]);
    if (!step_.seen[kind]) step_.seen[kind] = input(AttentionOp::new_rows(context_, shape_.rows));
    if (!part.seen[kind]) part.seen[kind] = rows_of(step_.seen[kind], part.first, part.count);
    return slice.attention->add_to(context_, q, cache, part.seen[kind], block);
  }

  ggml_tensor* ggml_attention(ggml_tensor* q, const BlockSpec& block, const LayerCache& cache, ggml_tensor*& mask) {
    if (!mask) mask = input(ggml_new_tensor_2d(context_, GGML_TYPE_F16, shape_.ggml_cells, shape_.rows));
    const auto head_cells = [&](ggml_tensor* cells, std::int64_t length) {
      return ggml_view_3d(context_, cells, length, shape_.ggml_cells, block.kv_heads, cells->nb[1],
                          static_cast<std::size_t>(length) * ggml_element_size(cells), 0);
    };
    ggml_tensor* a = ggml_flash_attn_ext(
        context_, ggml_permute(context_, q, 0, 2, 1, 3), head_cells(cache.keys, block.key_length),
        head_cells(cache.values, block.value_length), mask, block.attention_scale, 0, block.attention_softcap);
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
  std::vector<RowPart> row_parts_;
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
