// What a step looks like to the graphs: its rows by sequence. Made from
// a batch only after everything in it has been checked against the stage, so nothing below can be led astray by a peer.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv_cache.h"
#include "engine/stage.h"

namespace flotilla {

// Adjacent rows of one sequence, at ascending positions.
struct RowGroup {
  SeqId sequence;
  std::uint32_t first_row = 0, rows = 0, first_position = 0;
};

// The layers a stage computes and what it must know about them besides their specs.
struct StageLayers {
  LayerRange range;
  bool holds_last = false;             // the model's last layer is here: only wanted rows leave
  std::vector<std::uint32_t> windows;  // distinct windows among the layers, in tokens; 0 sees everything
  std::size_t window_kind(std::uint32_t window) const;
};
StageLayers describe_layers(const ModelSpec& spec, LayerRange range);

struct GraphKey {
  std::uint32_t rows = 0, leaving = 0, ggml_cells = 0;
  bool operator==(const GraphKey&) const = default;
};

struct StepShape {
  std::uint32_t rows = 0;
  std::vector<RowGroup> groups;
  bool gathers = false;              // rows are gathered after the last attention: those in `wanted`
  std::vector<std::int32_t> wanted;  // indices of rows that want logits, ascending
  std::uint32_t ggml_cells = 0;      // that ggml's attention looks at; 0: ours looks

  // Two steps with equal keys differ only in numbers that are inputs: their graph is the same.
  GraphKey key() const { return {rows, gathers ? static_cast<std::uint32_t>(wanted.size()) : rows, ggml_cells}; }
};

// invalid_argument, saying which row and why, for rows that do not fit the model, the cache or `rows_max`. Lengths of
// the slots are those after the batch's orders have been carried out.
Result<StepShape> shape_step(const StepBatch& batch, const ModelSpec& spec, const StageLayers& layers,
                             const KvCache& cache, std::uint32_t context_tokens, std::uint32_t rows_max);

// unsupported where the step is not of one sequence, in slot 0.
Status let_ggml_attend(StepShape& shape);

// The largest step there can be, for reserving memory: `rows` rows at the end of one full slot.
StepShape largest_step(const StageLayers& layers, const KvCache& cache, std::uint32_t rows);

}  // namespace flotilla
