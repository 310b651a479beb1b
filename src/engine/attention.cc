#include "engine/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/vector_lanes.h"

namespace flotilla {
namespace {

constexpr std::size_t block_cells = 32;    // converted to F32 together, then used by all queries of a chunk
constexpr std::size_t chunk_queries = 32;  // at most: what fits a core's own caches beside a block
constexpr std::size_t lanes_max = 16;
constexpr std::size_t half_bytes = 2;
constexpr std::size_t cache_line = 16;  // in floats

constexpr std::size_t padded(std::size_t length) { return (length + lanes_max - 1) / lanes_max * lanes_max; }

// One head's part of `count` cells as F32 [length / lanes][block_cells][lanes], so that what is multiplied together
// lies together; zeros behind.
using Convert = void (*)(const std::byte* cells, std::size_t cell_bytes, std::size_t count, std::size_t length,
                         float* to);

template <std::size_t lanes>
FLOTILLA_INLINE float* place_of(float* to, std::size_t cell, std::size_t i) {
  return to + i / lanes * lanes * block_cells + cell * lanes + i % lanes;
}

// A head's part of the same cell of the next block: cells lie too far apart for processors to see where this leads.
FLOTILLA_INLINE void expect_next(const std::byte* cell, std::size_t cell_bytes, std::size_t bytes) {
  constexpr std::size_t line_bytes = 64;
  const std::byte* next = cell + block_cells * cell_bytes;
  for (std::size_t at = 0; at < bytes; at += line_bytes) __builtin_prefetch(next + at);
}

template <std::size_t lanes>
void convert(const std::byte* cells, std::size_t cell_bytes, std::size_t count, std::size_t length, float* to) {
  std::fill_n(to, padded(length) * block_cells, 0.0f);
  for (std::size_t cell = 0; cell < count; ++cell, cells += cell_bytes) {
    expect_next(cells, cell_bytes, length * half_bytes);
    for (std::size_t i = 0; i < length; ++i) {
      _Float16 half;
      std::memcpy(&half, cells + i * sizeof half, sizeof half);
      *place_of<lanes>(to, cell, i) = static_cast<float>(half);
    }
  }
}

#if defined(__x86_64__)
template <std::size_t lanes>
[[gnu::target("arch=x86-64-v3")]] void convert_by_f16c(const std::byte* cells, std::size_t cell_bytes,
                                                       std::size_t count, std::size_t length, float* to) {
  constexpr std::size_t together = 8;
  if (count < block_cells || length % lanes_max != 0) std::fill_n(to, padded(length) * block_cells, 0.0f);
  const std::size_t whole = length / together * together;
  for (std::size_t cell = 0; cell < count; ++cell, cells += cell_bytes) {
    expect_next(cells, cell_bytes, length * half_bytes);
    for (std::size_t i = 0; i < whole; i += together)
      _mm256_storeu_ps(place_of<lanes>(to, cell, i),
                       _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(cells + i * half_bytes))));
    for (std::size_t i = whole; i < length; ++i) {
      std::uint16_t half;
      std::memcpy(&half, cells + i * half_bytes, sizeof half);
      *place_of<lanes>(to, cell, i) = _cvtsh_ss(half);
    }
  }
}
#endif

// scores[block_cells] = query · each cell.
template <std::size_t lanes>
FLOTILLA_INLINE void score(const float* query, const float* cells, std::size_t width, float scale, float* scores) {
  for (std::size_t first = 0; first < block_cells; first += lanes) {
    const float* here = cells + first * lanes;
    Floats<lanes> sums[lanes];
    for (std::size_t cell = 0; cell < lanes; ++cell) sums[cell] = load<lanes>(query) * load<lanes>(here + cell * lanes);
    for (std::size_t i = lanes; i < width; i += lanes) {
      here += block_cells * lanes;
      const Floats<lanes> q = load<lanes>(query + i);
      for (std::size_t cell = 0; cell < lanes; ++cell) sums[cell] += q * load<lanes>(here + cell * lanes);
    }
    store<lanes>(scores + first, lane_sums<lanes>(sums) * scale);
  }
}

struct Running {
  float highest = -std::numeric_limits<float>::infinity();  // score so far
  float sum = 0;                                            // of exponentials, relative to `highest`
};

// Turns scores into weights relative to the highest so far; gives what earlier sums must be multiplied by.
template <std::size_t lanes>
FLOTILLA_INLINE float weigh(float* scores, Running& running) {
  const float before = running.highest;
  Floats<lanes> highest = load<lanes>(scores);
  for (std::size_t i = lanes; i < block_cells; i += lanes) highest = larger<lanes>(highest, load<lanes>(scores + i));
  running.highest = std::max(before, largest_of<lanes>(highest));
  Floats<lanes> sums{};
  for (std::size_t i = 0; i < block_cells; i += lanes) {
    const Floats<lanes> weights = exponential<lanes>(load<lanes>(scores + i) - running.highest);
    sums += weights;
    store<lanes>(scores + i, weights);
  }
  const float shrink = before == running.highest ? 1.0f : std::exp(before - running.highest);
  running.sum = running.sum * shrink + sum_of<lanes>(sums);
  return shrink;
}

// Cells [first, end) of a block.
struct CellRange {
  std::size_t first = 0, end = block_cells;
};

// sums[width] = sums × shrink + weights · cells; every other cell apart, so that no sum waits for the one before.
// Others than those in `seen` are not touched: they may be infinite, and nothing of that times zero.
template <std::size_t lanes, std::size_t vectors>
FLOTILLA_INLINE void add_vectors(const float* weights, const float* cells, CellRange seen, float shrink, float* sums) {
  constexpr std::size_t apart = block_cells * lanes;
  Floats<lanes> even[vectors], odd[vectors];
  for (std::size_t i = 0; i < vectors; ++i) {
    even[i] = load<lanes>(sums + i * lanes) * shrink;
    odd[i] = Floats<lanes>{};
  }
  const auto add = [&](Floats<lanes>* to, std::size_t cell) __attribute__((always_inline)) {
    for (std::size_t i = 0; i < vectors; ++i) to[i] += weights[cell] * load<lanes>(cells + i * apart + cell * lanes);
  };
  std::size_t cell = seen.first;
  if (cell % 2 != 0) add(odd, cell++);
  for (; cell + 1 < seen.end; cell += 2) {
    add(even, cell);
    add(odd, cell + 1);
  }
  if (cell < seen.end) add(even, cell);
  for (std::size_t i = 0; i < vectors; ++i) store<lanes>(sums + i * lanes, even[i] + odd[i]);
}
template <std::size_t lanes>
FLOTILLA_INLINE void add_weighed(const float* weights, const float* cells, CellRange seen, std::size_t width,
                                 float shrink, float* sums) {
  std::size_t i = 0;
  for (; i + 4 * lanes <= width; i += 4 * lanes)
    add_vectors<lanes, 4>(weights, cells + i * block_cells, seen, shrink, sums + i);
  for (; i < width; i += lanes) add_vectors<lanes, 1>(weights, cells + i * block_cells, seen, shrink, sums + i);
}

// Queries that use the same keys and values: rows of one sequence, one KV head. Counted row by row: query n of the
// chunk belongs to row first_row + n / shared.
struct Chunk {
  std::uint32_t kv_head = 0, first_row = 0, first = 0, end = 0;  // queries [first, end)
};

// A chunk's work, by the vectors it is compiled for.
template <std::size_t lanes>
struct ChunkWork {
  const AttentionInputs& in;
  const Chunk& chunk;
  const AttentionScratch& scratch;
  const Convert convert;
  const std::uint32_t shared = in.heads / in.kv_heads, count = chunk.end - chunk.first;
  const std::size_t key_width = padded(in.key_length), value_width = padded(in.value_length);

  FLOTILLA_INLINE std::uint32_t row_of(std::uint32_t n) const { return chunk.first_row + (chunk.first + n) / shared; }
  FLOTILLA_INLINE std::uint32_t head_of(std::uint32_t n) const {
    return chunk.kv_head * shared + (chunk.first + n) % shared;
  }
  FLOTILLA_INLINE bool sees(std::uint32_t n, std::int32_t block) const {
    const AttendingRow& row = in.rows[row_of(n)];
    return row.first < block + static_cast<std::int32_t>(block_cells) && row.end > block;
  }

  FLOTILLA_INLINE void take_queries() const {
    for (std::uint32_t n = 0; n < count; ++n) {
      const float* query = in.queries + row_of(n) * in.query_row_stride + head_of(n) * in.query_head_stride;
      float* taken = scratch.queries + n * key_width;
      std::copy_n(query, in.key_length, taken);
      std::fill(taken + in.key_length, taken + key_width, 0.0f);
    }
  }

  FLOTILLA_INLINE void convert_block(const std::byte* cells, std::size_t cell_bytes, std::size_t length,
                                     std::int32_t block, std::int32_t end) const {
    const std::size_t have = std::min(block_cells, static_cast<std::size_t>(end - block));
    const auto first = static_cast<std::size_t>(in.rows[chunk.first_row].slot) + static_cast<std::size_t>(block);
    convert(cells + first * cell_bytes + chunk.kv_head * length * half_bytes, cell_bytes, have, length, scratch.cells);
  }

  FLOTILLA_INLINE void score_block(std::int32_t block) const {
    for (std::uint32_t n = 0; n < count; ++n)
      if (sees(n, block))
        score<lanes>(scratch.queries + n * key_width, scratch.cells, key_width, in.scale,
                     scratch.scores + n * block_cells);
  }

  FLOTILLA_INLINE void add_block(std::int32_t block, Running* running) const {
    for (std::uint32_t n = 0; n < count; ++n) {
      if (!sees(n, block)) continue;
      float* scores = scratch.scores + n * block_cells;
      if (in.softcap != 0)
        for (std::size_t i = 0; i < block_cells; ++i) scores[i] = in.softcap * std::tanh(scores[i] / in.softcap);
      const CellRange seen = seen_of(in.rows[row_of(n)], block);
      std::fill(scores, scores + seen.first, -std::numeric_limits<float>::infinity());
      std::fill(scores + seen.end, scores + block_cells, -std::numeric_limits<float>::infinity());
      const float shrink = weigh<lanes>(scores, running[n]);
      add_weighed<lanes>(scores, scratch.cells, seen, value_width, shrink, scratch.sums + n * value_width);
    }
  }

  FLOTILLA_INLINE void give_results(const Running* running) const {
    for (std::uint32_t n = 0; n < count; ++n) {
      const float* sums = scratch.sums + n * value_width;
      float* result = in.results + (std::size_t{row_of(n)} * in.heads + head_of(n)) * in.value_length;
      for (std::size_t i = 0; i < in.value_length; ++i) result[i] = sums[i] / running[n].sum;
    }
  }

  static CellRange seen_of(const AttendingRow& row, std::int32_t block) {
    constexpr auto step = static_cast<std::int32_t>(block_cells);
    return {static_cast<std::size_t>(std::clamp(row.first - block, 0, step)),
            static_cast<std::size_t>(std::clamp(row.end - block, 0, step))};
  }
};

// Blocks begin at the same cells of a slot for every row, so that a row's sums do not depend on its neighbours.
template <std::size_t lanes>
FLOTILLA_INLINE void attend_chunk(const AttentionInputs& in, const Chunk& chunk, const AttentionScratch& scratch,
                                  Convert convert) {
  const ChunkWork<lanes> work{in, chunk, scratch, convert};
  std::int32_t first = std::numeric_limits<std::int32_t>::max(), end = 0;
  for (std::uint32_t n = 0; n < work.count; ++n) {
    first = std::min(first, in.rows[work.row_of(n)].first);
    end = std::max(end, in.rows[work.row_of(n)].end);
  }
  work.take_queries();
  std::fill_n(scratch.sums, work.count * work.value_width, 0.0f);
  Running running[chunk_queries];
  constexpr auto step = static_cast<std::int32_t>(block_cells);
  for (std::int32_t block = first / step * step; block < end; block += step) {
    work.convert_block(in.keys, in.key_cell_bytes, in.key_length, block, end);
    work.score_block(block);
    work.convert_block(in.values, in.value_cell_bytes, in.value_length, block, end);
    work.add_block(block, running);
  }
  work.give_results(running);
}

using AttendChunk = void (*)(const AttentionInputs&, const Chunk&, const AttentionScratch&);

void attend_chunk_any(const AttentionInputs& in, const Chunk& chunk, const AttentionScratch& scratch) {
  attend_chunk<4>(in, chunk, scratch, convert<4>);
}
#if defined(__x86_64__)
[[gnu::target("arch=x86-64-v3")]] void attend_chunk_avx2(const AttentionInputs& in, const Chunk& chunk,
                                                         const AttentionScratch& scratch) {
  attend_chunk<8>(in, chunk, scratch, convert_by_f16c<8>);
}
[[gnu::target("arch=x86-64-v4")]] void attend_chunk_avx512(const AttentionInputs& in, const Chunk& chunk,
                                                           const AttentionScratch& scratch) {
  attend_chunk<16>(in, chunk, scratch, convert_by_f16c<16>);
}
#endif

AttendChunk compiled_for([[maybe_unused]] VectorWidth width) {
#if defined(__x86_64__)
  if (width == VectorWidth::avx512) return attend_chunk_avx512;
  if (width == VectorWidth::avx2) return attend_chunk_avx2;
#endif
  return attend_chunk_any;
}

// Rows [first, result) are of one sequence.
std::uint32_t end_of_sequence(std::span<const AttendingRow> rows, std::uint32_t first) {
  std::uint32_t end = first + 1;
  while (end < rows.size() && rows[end].slot == rows[first].slot) ++end;
  return end;
}

}  // namespace

void AttentionScratch::fit(std::uint32_t key_length, std::uint32_t value_length) {
  const std::size_t key_width = padded(key_length), value_width = padded(value_length);
  const std::size_t query_floats = chunk_queries * key_width, sum_floats = chunk_queries * value_width;
  const std::size_t cell_floats = block_cells * std::max(key_width, value_width);
  const std::size_t floats = query_floats + sum_floats + cell_floats + chunk_queries * block_cells;
  if (memory.size() < floats + cache_line) memory.resize(floats + cache_line);
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data()) / sizeof(float);
  queries = memory.data() + (cache_line - address % cache_line) % cache_line;
  sums = queries + query_floats;
  cells = sums + sum_floats;
  scores = cells + cell_floats;
}

VectorWidth widest_vectors() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("x86-64-v4")) return VectorWidth::avx512;
  if (__builtin_cpu_supports("x86-64-v3")) return VectorWidth::avx2;
#endif
  return VectorWidth::any;
}

void attend(const AttentionInputs& inputs, AttentionScratch& scratch, std::uint32_t part, std::uint32_t parts,
            VectorWidth width) {
  scratch.fit(inputs.key_length, inputs.value_length);
  const AttendChunk attend_chunk = compiled_for(width);
  const auto rows = static_cast<std::uint32_t>(inputs.rows.size());
  const std::uint32_t shared = inputs.heads / inputs.kv_heads;
  const std::uint32_t fair = (rows * inputs.heads + parts - 1) / parts;
  std::uint32_t turn = 0;
  for (std::uint32_t row = 0; row < rows;) {
    const std::uint32_t row_end = end_of_sequence(inputs.rows, row), queries = (row_end - row) * shared;
    const std::uint32_t take = std::min({fair, queries, static_cast<std::uint32_t>(chunk_queries)});
    for (std::uint32_t kv_head = 0; kv_head < inputs.kv_heads; ++kv_head)
      for (std::uint32_t first = 0; first < queries; first += take, ++turn)
        if (turn % parts == part) attend_chunk(inputs, {kv_head, row, first, std::min(first + take, queries)}, scratch);
    row = row_end;
  }
}

}  // namespace flotilla
