#include "engine/output_head.h"

#include <algorithm>

#include "base/units.h"
#include "engine/graph.h"

namespace flotilla {
namespace {

constexpr std::size_t slice_bytes_max = 16 * mib;

std::uint32_t slice_rows(std::size_t vocabulary) {
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, slice_bytes_max / (vocabulary * sizeof(float))));
}

}  // namespace

OutputHead::OutputHead(const ModelSpec& spec, const HeadWeights& weights, const ComputeBackend& backend)
    : spec_(spec),
      weights_(weights),
      backend_(backend),
      vocabulary_(static_cast<std::size_t>(weights.output->ne[1])),
      slice_rows_max_(slice_rows(vocabulary_)),
      allocator_(ggml_gallocr_new(backend.plain())) {}

Result<std::span<const float>> OutputHead::logits(std::span<const float> rows) {
  const std::size_t width = spec_.embedding_length, vocabulary = vocabulary_;
  if (rows.empty()) return std::span<const float>();
  if (rows.size() % width != 0)
    return fail(Code::invalid_argument, "[engine] expected rows of {} values but got {} values", width, rows.size());
  const std::size_t count = rows.size() / width;
  const bool sliced = count > slice_rows_max_;
  all_rows_.resize(sliced ? count * vocabulary : 0);
  for (std::size_t first = 0; first < count; first += slice_rows_max_) {
    const std::size_t slice = std::min<std::size_t>(slice_rows_max_, count - first);
    FLOTILLA_TRY_STATUS(prepare(static_cast<std::uint32_t>(slice)));
    ggml_backend_tensor_set(input_, rows.data() + first * width, 0, slice * width * sizeof(float));
    FLOTILLA_TRY_STATUS(backend_.compute(graph_));
    if (!sliced) return std::span(static_cast<const float*>(result_->data), count * vocabulary);
    ggml_backend_tensor_get(result_, all_rows_.data() + first * vocabulary, 0, slice * vocabulary * sizeof(float));
  }
  return std::span<const float>(all_rows_);
}

Status OutputHead::prepare(std::uint32_t rows) {
  if (rows == rows_) return {};
  rows_ = 0;
  constexpr std::size_t nodes_max = 16;
  context_.reset(
      ggml_init({nodes_max * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes_max, false), nullptr, true}));
  ggml_context* context = context_.get();
  graph_ = ggml_new_graph_custom(context, nodes_max, false);
  input_ = ggml_new_tensor_2d(context, GGML_TYPE_F32, spec_.embedding_length, rows);
  ggml_set_input(input_);
  ggml_tensor* y = rms_norm(context, input_, weights_.output_norm, spec_.norm_epsilon);
  y = ggml_mul_mat(context, weights_.output, y);
  if (spec_.logit_scale != 1) y = ggml_scale(context, y, spec_.logit_scale);
  if (spec_.logit_softcap != 0) {
    y = ggml_tanh(context, ggml_scale(context, y, 1 / spec_.logit_softcap));
    y = ggml_scale(context, y, spec_.logit_softcap);
  }
  result_ = y;
  ggml_set_output(result_);
  ggml_build_forward_expand(graph_, result_);
  if (!ggml_gallocr_reserve(allocator_.get(), graph_) || !ggml_gallocr_alloc_graph(allocator_.get(), graph_))
    return fail(Code::no_memory, "[engine] expected memory for {} rows of logits but the system gave none", rows);
  rows_ = rows;
  return {};
}

}  // namespace flotilla
