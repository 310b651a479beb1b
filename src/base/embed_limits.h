// Bounds of what becomes vectors, as limits.h has those of everything else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace flotilla::limits {

inline constexpr std::uint32_t vector_length_max = 4096;  // values of one text; BERT's largest has 1,024
inline constexpr std::size_t embed_texts_max = 2048;      // of one request: OpenAI's bound, and what its clients send
// What goes to a machine at once, a step's worth, so that whoever comes waits for few of them. One text may be longer.
inline constexpr std::size_t embed_batch_tokens_max = step_rows_max, embed_batch_texts_max = 128;
inline constexpr std::size_t embed_batches_under_way = 2;  // at one machine from one other: one waits, one is computed
inline constexpr std::size_t embed_tokens_waiting_max = 16u << 20;  // at one node, 64 MiB of them; then 429
static_assert(embed_batch_texts_max * vector_length_max * 4 < control_body_bytes_max);

}  // namespace flotilla::limits
