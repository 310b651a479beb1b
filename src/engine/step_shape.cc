#include "engine/step_shape.h"

#include <algorithm>

#include "base/check.h"

namespace flotilla {
namespace {

Status check_row(const StepRow& row, std::size_t index, const ModelSpec& spec, const KvCache& cache,
                 std::uint32_t context_tokens) {
  if (row.sequence.value >= cache.sequences())
    return fail(Code::invalid_argument, "[engine] expected a cache slot below {} but row {} has {}", cache.sequences(),
                index, row.sequence.value);
  if (row.position >= context_tokens)
    return fail(Code::invalid_argument,
                "[engine] expected a position below {} but row {} has {}; load the model with "
                "a longer context",
                context_tokens, index, row.position);
  if (row.token < 0 || static_cast<std::uint32_t>(row.token) >= spec.vocabulary)
    return fail(Code::invalid_argument, "[engine] expected a token below {} but row {} has {}", spec.vocabulary, index,
                row.token);
  return {};
}

// A sequence's rows stand together, continue each other, and leave no hole in its cache.
Status check_group_start(const StepRow& row, std::size_t index, const StepShape& shape, const KvCache& cache) {
  for (const RowGroup& group : shape.groups)
    if (group.sequence == row.sequence)
      return fail(Code::invalid_argument,
                  "[engine] expected the rows of slot {} side by side, at positions that ascend "
                  "by one, but row {} is at {}",
                  row.sequence.value, index, row.position);
  if (row.position > cache.length(row.sequence))
    return fail(Code::invalid_argument,
                "[engine] expected slot {} to go on at position {} or before but row {} is at "
                "{}; start the sequence again",
                row.sequence.value, cache.length(row.sequence), index, row.position);
  return {};
}

}  // namespace

std::size_t StageLayers::window_kind(std::uint32_t window) const {
  const auto found = std::ranges::find(windows, window);
  check(found != windows.end(), "every layer's window is among the stage's windows");
  return static_cast<std::size_t>(found - windows.begin());
}

StageLayers describe_layers(const ModelSpec& spec, LayerRange range) {
  StageLayers layers{.range = range, .holds_last = range.count() > 0 && range.end == spec.blocks.size()};
  for (std::uint32_t layer = range.first; layer < range.end; ++layer)
    if (!std::ranges::contains(layers.windows, spec.blocks[layer].window))
      layers.windows.push_back(spec.blocks[layer].window);
  return layers;
}

Result<StepShape> shape_step(const StepBatch& batch, const ModelSpec& spec, const StageLayers& layers,
                             const KvCache& cache, std::uint32_t context_tokens, std::uint32_t rows_max) {
  if (batch.rows.size() > rows_max)
    return fail(Code::invalid_argument, "[engine] expected at most {} rows in a step but got {}", rows_max,
                batch.rows.size());
  StepShape shape{.rows = static_cast<std::uint32_t>(batch.rows.size()), .gathers = layers.holds_last};
  for (std::uint32_t index = 0; index < shape.rows; ++index) {
    const StepRow& row = batch.rows[index];
    FLOTILLA_TRY_STATUS(check_row(row, index, spec, cache, context_tokens));
    const RowGroup* last = shape.groups.empty() ? nullptr : &shape.groups.back();
    if (last && last->sequence == row.sequence && last->first_position + last->rows == row.position) {
      ++shape.groups.back().rows;
    } else {
      FLOTILLA_TRY_STATUS(check_group_start(row, index, shape, cache));
      shape.groups.push_back({row.sequence, index, 1, row.position});
    }
    if (row.wants_logits) shape.wanted.push_back(static_cast<std::int32_t>(index));
  }
  return shape;
}

Status let_ggml_attend(StepShape& shape) {
  if (shape.groups.size() > 1 || (shape.rows > 0 && shape.groups.front().sequence.value != 0))
    return fail(Code::unsupported, "[engine] expected a step of one sequence in slot 0 for ggml's attention but got {} "
                "sequences", shape.groups.size());
  const auto end = shape.rows == 0 ? 0 : shape.groups.front().first_position + shape.rows;
  shape.ggml_cells = (end + KvCache::cells_unit - 1) / KvCache::cells_unit * KvCache::cells_unit;
  return {};
}

StepShape largest_step(const StageLayers& layers, const KvCache& cache, std::uint32_t rows) {
  rows = std::min(rows, cache.cells_per_sequence());
  StepShape shape{.rows = rows, .gathers = layers.holds_last};
  shape.groups.push_back({SeqId{0}, 0, rows, cache.cells_per_sequence() - rows});
  for (std::uint32_t row = 0; row < rows; ++row) shape.wanted.push_back(static_cast<std::int32_t>(row));
  return shape;
}

}  // namespace flotilla
