#include "engine/step_shape.h"

#include <algorithm>

#include "base/check.h"

namespace flotilla {
namespace {

constexpr std::uint32_t unit = KvCache::cells_unit;

// From the first cell the group's first row sees to the last cell its last row sees, widened to whole units. Through a
// window the rows see only the newest cells, so local layers cost the same at any depth.
CellSpan span_of(const RowGroup& group, std::uint32_t window) {
  const std::uint32_t end = group.first_position + group.rows;
  const std::uint32_t oldest = window == 0 || group.first_position < window ? 0 : group.first_position - window + 1;
  const std::uint32_t first = oldest / unit * unit;
  return {first, (end + unit - 1) / unit * unit - first};
}

void add_spans(RowGroup& group, const StageLayers& layers) {
  for (const std::uint32_t window : layers.windows) group.spans.push_back(span_of(group, window));
}

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

std::vector<std::uint32_t> StepShape::key() const {
  std::vector<std::uint32_t> key{gathers ? static_cast<std::uint32_t>(wanted.size()) : UINT32_MAX};
  for (const RowGroup& group : groups) {
    key.push_back(group.rows);
    for (const CellSpan& span : group.spans) key.push_back(span.count);
  }
  return key;
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
      shape.groups.push_back({row.sequence, index, 1, row.position, {}});
    }
    if (row.wants_logits) shape.wanted.push_back(static_cast<std::int32_t>(index));
  }
  for (RowGroup& group : shape.groups) add_spans(group, layers);
  return shape;
}

StepShape largest_step(const StageLayers& layers, const KvCache& cache, std::uint32_t rows) {
  rows = std::min(rows, cache.cells_per_sequence());
  StepShape shape{.rows = rows, .gathers = layers.holds_last};
  shape.groups.push_back({SeqId{0}, 0, rows, cache.cells_per_sequence() - rows, {}});
  add_spans(shape.groups.back(), layers);
  for (std::uint32_t row = 0; row < rows; ++row) shape.wanted.push_back(static_cast<std::int32_t>(row));
  return shape;
}

}  // namespace flotilla
