// Writes the numbers of one step into a graph of its shape: activations, positions, cells, what rows see, wanted rows. The
// scratch keeps its capacity from step to step.
#pragma once

#include <ggml.h>

#include <span>
#include <vector>

#include "engine/graph.h"

namespace flotilla {

class StepInputs {
 public:
  void write(StepGraph& graph, const StepShape& shape, const StageLayers& layers, const KvCache& cache,
             std::span<const float> activations);

 private:
  void write_rows(StepGraph& graph, const StepShape& shape, const KvCache& cache);
  void write_seen(ggml_tensor* seen, const StepShape& shape, const KvCache& cache, std::uint32_t window);
  void write_mask(ggml_tensor* mask);

  std::vector<std::int32_t> positions_;
  std::vector<std::int64_t> cells_;
  std::vector<AttendingRow> seen_;
  std::vector<ggml_fp16_t> mask_;
};

}  // namespace flotilla
