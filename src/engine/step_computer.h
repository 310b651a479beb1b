// Computes steps of a stage's layers: keeps the graphs, writes a step's numbers into the one of its shape, has it computed
// and takes the result out. Which layers and slices is in the parts it is given.
// Thread: one, and ggml's own beneath it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/graph.h"
#include "engine/graph_cache.h"
#include "engine/step_inputs.h"

namespace flotilla {

class StepComputer {
 public:
  // `sum`: where others hold slices of these layers too, else null. What the arguments point at outlives this.
  StepComputer(const StageLayers& layers, std::vector<HeldSlice> slices, std::shared_ptr<Collective> sum,
               const Overlap& overlap, const ComputeBackend& backend);

  // What the largest step of one sequence needs. no_memory.
  Status reserve(std::uint32_t rows_max);

  // [rows, embedding_length] → as many rows as leave. Valid until the next call. Where it fails, the others' waits end.
  Result<std::span<const float>> compute(const StepShape& shape, std::span<const float> activations);

  std::uint64_t buffer_bytes() const { return graphs_.buffer_bytes(); }

 private:
  Status compute_alone(const StepShape& shape, std::span<const float> activations);

  const ComputeBackend& backend_;
  const std::unique_ptr<ShardSum> sum_;
  const GraphParts parts_;
  GraphCache graphs_;
  StepInputs inputs_;
  std::vector<float> result_;
};

}  // namespace flotilla
