#include "engine/step_inputs.h"

#include <ggml-backend.h>

#include <algorithm>

#include "base/check.h"

namespace flotilla {
namespace {

constexpr ggml_fp16_t seen = 0, hidden = 0xFC00;  // 0 and minus infinity in F16, added to the scores

template <class T>
void set_all(ggml_tensor* tensor, std::span<const T> values) {
  check(values.size_bytes() == ggml_nbytes(tensor), "an input has the size of its tensor");
  ggml_backend_tensor_set(tensor, values.data(), 0, values.size_bytes());
}

// Where a view lies is a matter of its data pointer alone: its cells are in a buffer that is already allocated.
void point_views(StepGraph& graph, const StepShape& shape, const KvCache& cache) {
  for (const CellView& cell_view : graph.views) {
    const RowGroup& group = shape.groups[cell_view.group];
    const std::size_t first_cell =
        std::size_t{group.sequence.value} * cache.cells_per_sequence() + group.spans[cell_view.kind].first;
    cell_view.view->view_offs = first_cell * cell_view.cells->nb[1];
    cell_view.view->data = static_cast<std::byte*>(cell_view.cells->data) + cell_view.view->view_offs;
  }
}

}  // namespace

void StepInputs::write(StepGraph& graph, const StepShape& shape, const StageLayers& layers, const KvCache& cache,
                       std::span<const float> activations) {
  set_all(graph.activations, activations);
  write_rows(graph, shape, cache);
  for (std::size_t group = 0; group < shape.groups.size(); ++group)
    for (std::size_t kind = 0; kind < layers.windows.size(); ++kind)
      if (ggml_tensor* mask = graph.masks[group][kind])
        write_mask(mask, shape.groups[group], shape.groups[group].spans[kind], layers.windows[kind]);
  if (graph.wanted) set_all(graph.wanted, std::span<const std::int32_t>(shape.wanted));
  point_views(graph, shape, cache);
}

void StepInputs::write_rows(StepGraph& graph, const StepShape& shape, const KvCache& cache) {
  positions_.clear();
  cells_.clear();
  for (const RowGroup& group : shape.groups)
    for (std::uint32_t row = 0; row < group.rows; ++row) {
      const std::uint32_t position = group.first_position + row;
      positions_.push_back(static_cast<std::int32_t>(position));
      cells_.push_back(std::int64_t{group.sequence.value} * cache.cells_per_sequence() + position);
    }
  if (graph.positions->data) set_all(graph.positions, std::span<const std::int32_t>(positions_));  // no RoPE: unused
  set_all(graph.cells, std::span<const std::int64_t>(cells_));
}

// A row sees itself and what came before it, through a window only the newest `window` of those.
void StepInputs::write_mask(ggml_tensor* mask, const RowGroup& group, const CellSpan& span, std::uint32_t window) {
  mask_.assign(std::size_t{group.rows} * span.count, hidden);
  for (std::uint32_t row = 0; row < group.rows; ++row) {
    const std::uint32_t end = group.first_position + row + 1;  // in cells of the slot
    const std::uint32_t oldest = window == 0 || end < window ? 0 : end - window;
    auto* cells = mask_.data() + std::size_t{row} * span.count;
    std::fill(cells + (std::max(oldest, span.first) - span.first), cells + (end - span.first), seen);
  }
  set_all(mask, std::span<const ggml_fp16_t>(mask_));
}

}  // namespace flotilla
