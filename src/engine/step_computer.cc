#include "engine/step_computer.h"

#include <utility>

namespace flotilla {

StepComputer::StepComputer(const StageLayers& layers, std::vector<HeldSlice> slices, std::shared_ptr<Collective> sum,
                           const Overlap& overlap, const ComputeBackend& backend)
    : backend_(backend),
      sum_(sum ? std::make_unique<ShardSum>(std::move(sum)) : nullptr),
      parts_{&layers, std::move(slices), sum_.get(), overlap},
      graphs_(backend_.plain()) {}

// (Many sequences in a step take no more.)
Status StepComputer::reserve(std::uint32_t rows_max) {
  const StageLayers& layers = *parts_.layers;
  if (layers.range.count() == 0) return {};
  return graphs_.reserve(build_step_graph(parts_, largest_step(layers, *parts_.slices.front().cache, rows_max)));
}

Result<std::span<const float>> StepComputer::compute(const StepShape& shape, std::span<const float> activations) {
  if (parts_.layers->range.count() == 0) {
    result_.assign(activations.begin(), activations.end());
  } else if (auto status = compute_alone(shape, activations); !status) {
    if (sum_) sum_->close(status.error());
    return fail(status.error());
  }
  return std::span<const float>(result_);
}

Status StepComputer::compute_alone(const StepShape& shape, std::span<const float> activations) {
  const GraphKey key = shape.key();
  StepGraph* graph = graphs_.find(key);
  if (!graph) {
    FLOTILLA_TRY(graph, graphs_.keep(key, build_step_graph(parts_, shape)));
  }
  inputs_.write(*graph, shape, *parts_.layers, *parts_.slices.front().cache, activations);
  FLOTILLA_TRY_STATUS(backend_.compute(graph->graph));
  if (sum_) FLOTILLA_TRY_STATUS(sum_->status());
  result_.resize(graph->result ? static_cast<std::size_t>(ggml_nelements(graph->result)) : 0);
  if (graph->result) ggml_backend_tensor_get(graph->result, result_.data(), 0, ggml_nbytes(graph->result));
  return {};
}

}  // namespace flotilla
