#include "engine/step_inputs.h"

#include <algorithm>

#include "engine/input_values.h"

namespace flotilla {

void StepInputs::write(StepGraph& graph, const StepShape& shape, const StageLayers& layers, const KvCache& cache,
                       std::span<const float> activations) {
  set_all(graph.activations, activations);
  write_rows(graph, shape, cache);
  for (std::size_t kind = 0; kind < layers.windows.size(); ++kind)
    if (graph.seen[kind]) write_seen(graph.seen[kind], shape, cache, layers.windows[kind]);
  if (graph.wanted) set_all(graph.wanted, shape.wanted);
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
  if (graph.positions->data) set_all(graph.positions, positions_);  // no RoPE: unused
  set_all(graph.cells, cells_);
}

// A row sees itself and what came before it, through a window only the newest `window` of those.
void StepInputs::write_seen(ggml_tensor* seen, const StepShape& shape, const KvCache& cache, std::uint32_t window) {
  seen_.clear();
  for (const RowGroup& group : shape.groups)
    for (std::uint32_t row = 0; row < group.rows; ++row) {
      const std::uint32_t end = group.first_position + row + 1;
      const std::uint32_t first = window == 0 || end < window ? 0 : end - window;
      seen_.push_back({static_cast<std::int32_t>(group.sequence.value * cache.cells_per_sequence()),
                       static_cast<std::int32_t>(first), static_cast<std::int32_t>(end)});
    }
  if (shape.ggml_cells > 0) return write_mask(seen);
  set_all(seen, seen_);
}

// The same for ggml's attention.
void StepInputs::write_mask(ggml_tensor* mask) {
  constexpr ggml_fp16_t shown = 0, hidden = 0xFC00;  // 0 and minus infinity in F16, added to the scores
  const auto cells = static_cast<std::size_t>(mask->ne[0]);
  mask_.assign(seen_.size() * cells, hidden);
  for (std::size_t row = 0; row < seen_.size(); ++row)
    std::fill(mask_.data() + row * cells + seen_[row].first, mask_.data() + row * cells + seen_[row].end, shown);
  set_all(mask, mask_);
}

}  // namespace flotilla
