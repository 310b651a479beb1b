// Activations to logits, on the head: output norm and head matrix.
// Thread: the stage's.
#pragma once

#include <ggml-cpp.h>

#include <cstdint>
#include <span>
#include <vector>

#include "engine/backend.h"
#include "engine/weights.h"
#include "wire/step.h"

namespace flotilla {

// Output norm, head matrix, scale, soft cap.
class OutputHead {
 public:
  OutputHead(const ModelSpec& spec, const HeadWeights& weights, const ComputeBackend& backend);

  // [rows, embedding_length] → [rows, vocabulary], valid until the next call. Rows are taken in slices, so that what is
  // computed at a time stays within a few MiB however large the vocabulary; the result has all rows.
  Result<std::span<const float>> logits(std::span<const float> rows);

  Status reserve() { return prepare(slice_rows_max_); }  // memory for as many rows as are ever taken at a time

  std::size_t buffer_bytes() const { return ggml_gallocr_get_buffer_size(allocator_.get(), 0); }

 private:
  Status prepare(std::uint32_t rows);

  const ModelSpec& spec_;
  const HeadWeights& weights_;
  const ComputeBackend& backend_;
  const std::size_t vocabulary_;  // rows of the head matrix: a shard holds some of them
  const std::uint32_t slice_rows_max_;
  ggml_gallocr_ptr allocator_;
  ggml_context_ptr context_;  // the graph for rows_ rows, kept while that number stays
  ggml_cgraph* graph_ = nullptr;
  ggml_tensor *input_ = nullptr, *result_ = nullptr;
  std::uint32_t rows_ = 0;
  std::vector<float> all_rows_;  // filled only where one slice is not enough
};

}  // namespace flotilla
