// The ring's one binary message: one step of the model for a batch of rows, and the rows' activations. The ring's other
// messages are maps, in control.h.
//
// A StepBatch is made by the scheduler on the head, travels with the activations from stage to stage, and says
// everything a stage needs: stages keep a KV cache and infer nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "wire/frame.h"

namespace flotilla {

// One token of one sequence. A sequence may have several rows in a step (prefill, speculation); its rows are adjacent and
// their positions ascend by one.
struct StepRow {
  SeqId sequence;
  std::uint32_t position = 0;  // index in the sequence, from 0
  TokenId token = 0;
  bool wants_logits = false;
  bool likeliest_is_enough = false;  // of them: who asks takes the likeliest token (generate.h)
  bool operator==(const StepRow&) const = default;
};

// Orders to the cache, carried out before the step's rows are computed, in this order: free, truncate, copy.
struct CacheTruncate { SeqId sequence; std::uint32_t keep_positions = 0; bool operator==(const CacheTruncate&) const = default; };
struct CacheCopy { SeqId from, to; std::uint32_t positions = 0; bool operator==(const CacheCopy&) const = default; };

struct StepBatch {
  Epoch epoch;
  std::uint64_t step = 0;
  std::vector<StepRow> rows;             // at most limits::step_rows_max
  std::vector<SeqId> free;
  std::vector<CacheTruncate> truncate;
  std::vector<CacheCopy> copy_prefix;
  std::size_t logits_rows() const;
  bool operator==(const StepBatch&) const = default;
};

// How activations travel. Never F16: Gemma's residuals overflow it (ggml's F16 ends at 65504).
enum class ActivationType : std::uint8_t { f32 = 0, bf16 = 1 };

// Rows of width `width` in row order. Between stages: one row per StepRow. From the last stage to the head: one row per
// StepRow that wants logits.
struct Activations {
  std::uint32_t rows = 0, width = 0;
  std::vector<float> values;  // [rows, width], row-major
};

// A step's body without its values: 32 bytes of counts, 16 a row, 4, 8 and 12 an order to free, truncate and copy.
inline constexpr std::size_t step_orders_bytes_max =
    32 + std::size_t{limits::step_rows_max} * 16 + std::size_t{limits::sequences_max} * (4 + 8 + 12);

// Body of a FrameKind::step frame: the batch, then the activations (values converted to `type`, round to nearest even).
// `scratch` keeps its capacity from step to step. values.size() is a multiple of `width`; batch.epoch and batch.step
// travel in the frame's header, which the caller fills.
void encode_step(const StepBatch& batch, std::span<const float> values, std::uint32_t width, ActivationType type, Bytes& scratch);

// corrupt or too_large where the body contradicts itself or limits.h; then both are in no particular state. There are as
// many rows of activations as rows of the batch, or as such rows that want logits. Reuses the vectors' memory.
Status decode_step(const FrameHeader& header, std::span<const std::byte> body, StepBatch& batch, Activations& activations);

}  // namespace flotilla
