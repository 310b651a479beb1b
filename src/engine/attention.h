// Scaled dot-product attention (Vaswani et al. 2017) of some rows over the cells of one slot, softmax taken as it goes
// (Milakov and Gimelshein 2018), everything added up in F32. Pure.
//
// What a row gets depends on its query and on the cells it sees, never on which or how many rows are computed beside it:
// equal in every bit. ggml's attention is not like that on CPUs: it adds up the values of few rows in F16 and of many in
// F32, reads keys and values anew for every query head, and takes few rows one by one (docs/dependencies.md).
// Thread: any; several may compute parts of one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace flotilla {

// Which cells a row sees: [first, end) of its slot, never none. Rows of one sequence stand together.
struct AttendingRow {
  std::int32_t slot = 0;  // the slot's first cell
  std::int32_t first = 0, end = 0;
};

struct AttentionInputs {
  std::span<const AttendingRow> rows;
  const float* queries = nullptr;     // [rows][heads][key_length], rows and heads at the strides below
  const std::byte* keys = nullptr;    // F16 [cells][kv_heads × key_length], cells at the stride below
  const std::byte* values = nullptr;  // F16 [cells][kv_heads × value_length]
  float* results = nullptr;           // [rows][heads × value_length]
  std::uint32_t heads = 0, kv_heads = 0, key_length = 0, value_length = 0;
  std::size_t query_row_stride = 0, query_head_stride = 0;  // in floats
  std::size_t key_cell_bytes = 0, value_cell_bytes = 0;
  float scale = 1;
  float softcap = 0;  // 0: none; else scores become softcap × tanh(score / softcap) (Gemma 2)
};

// Memory that one thread needs for it; kept from call to call.
struct AttentionScratch {
  void fit(std::uint32_t key_length, std::uint32_t value_length);
  float *queries = nullptr, *cells = nullptr, *scores = nullptr, *sums = nullptr;
  std::vector<float> memory;
};

// The instructions to use; a machine has all up to its widest. Results of two widths differ in their last bits.
enum class VectorWidth : std::uint8_t { any, avx2, avx512 };
VectorWidth widest_vectors();

// Part `part` of `parts` of the work; all parts together give all results, the same however many they are.
void attend(const AttentionInputs& inputs, AttentionScratch& scratch, std::uint32_t part, std::uint32_t parts,
            VectorWidth width);

}  // namespace flotilla
