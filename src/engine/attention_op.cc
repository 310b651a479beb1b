#include "engine/attention_op.h"

#include <algorithm>
#include <array>

namespace flotilla {
namespace {

constexpr std::int64_t row_numbers = sizeof(AttendingRow) / sizeof(std::int32_t);

}  // namespace

ggml_tensor* AttentionOp::new_rows(ggml_context* context, std::int64_t rows) {
  return ggml_new_tensor_2d(context, GGML_TYPE_I32, row_numbers, rows);
}

ggml_tensor* AttentionOp::add_to(ggml_context* context, ggml_tensor* queries, const LayerCache& cache,
                                 ggml_tensor* rows, const BlockSpec& block) {
  std::array<ggml_tensor*, 4> sources{queries, cache.keys, cache.values, rows};
  const std::int64_t width = std::int64_t{block.heads} * block.value_length;
  return ggml_custom_4d(context, GGML_TYPE_F32, width, queries->ne[2], 1, 1, sources.data(), sources.size(), compute,
                        GGML_N_TASKS_MAX, kind_of(block));
}

AttentionOp::Kind* AttentionOp::kind_of(const BlockSpec& block) {
  const Kind kind{this, block.kv_heads, block.attention_scale, block.attention_softcap};
  const auto found = std::ranges::find(kinds_, kind);
  return found != kinds_.end() ? &*found : &kinds_.emplace_back(kind);
}

void AttentionOp::compute(ggml_tensor* results, int thread, int threads, void* made_for) {
  const Kind& kind = *static_cast<const Kind*>(made_for);
  const ggml_tensor &queries = *results->src[0], &keys = *results->src[1], &values = *results->src[2],
                    &rows = *results->src[3];
  const auto heads = static_cast<std::uint32_t>(queries.ne[1]);
  const AttentionInputs inputs{
      .rows = {static_cast<const AttendingRow*>(rows.data), static_cast<std::size_t>(rows.ne[1])},
      .queries = static_cast<const float*>(queries.data),
      .keys = static_cast<const std::byte*>(keys.data),
      .values = static_cast<const std::byte*>(values.data),
      .results = static_cast<float*>(results->data),
      .heads = heads,
      .kv_heads = kind.kv_heads,
      .key_length = static_cast<std::uint32_t>(queries.ne[0]),
      .value_length = static_cast<std::uint32_t>(values.ne[0]) / kind.kv_heads,
      .query_row_stride = queries.nb[2] / sizeof(float),
      .query_head_stride = queries.nb[1] / sizeof(float),
      .key_cell_bytes = keys.nb[1],
      .value_cell_bytes = values.nb[1],
      .scale = kind.scale,
      .softcap = kind.softcap};
  const auto part = static_cast<std::uint32_t>(thread);
  attend(inputs, kind.op->scratch_[part], part, static_cast<std::uint32_t>(threads), kind.op->width_);
}

}  // namespace flotilla
