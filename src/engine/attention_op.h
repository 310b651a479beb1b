// Attention (attention.h) as an operation of a ggml graph: all rows of a step at once, each over its own slot.
// Thread: one builds and computes graphs; ggml's threads beneath it share the work.
#pragma once

#include <ggml.h>

#include <deque>
#include <vector>

#include "engine/attention.h"
#include "engine/kv_cache.h"
#include "model/spec.h"

namespace flotilla {

class AttentionOp {
 public:
  explicit AttentionOp(std::uint32_t threads) : scratch_(threads), width_(widest_vectors()) {}
  AttentionOp(const AttentionOp&) = delete;
  AttentionOp& operator=(const AttentionOp&) = delete;

  // What step inputs hold for it: an AttendingRow for each row.
  static ggml_tensor* new_rows(ggml_context* context, std::int64_t rows);

  // queries F32 [key_length, heads, rows] → F32 [heads × value_length, rows]. Reads the cache's cells when it is
  // computed: what the step itself remembers must have been written by then. The graph must not outlive this.
  ggml_tensor* add_to(ggml_context* context, ggml_tensor* queries, const LayerCache& cache, ggml_tensor* rows,
                      const BlockSpec& block);

 private:
  struct Kind {
    AttentionOp* op = nullptr;
    std::uint32_t kv_heads = 0;
    float scale = 1, softcap = 0;
    bool operator==(const Kind&) const = default;
  };
  Kind* kind_of(const BlockSpec& block);
  static void compute(ggml_tensor* results, int thread, int threads, void* kind);

  std::vector<AttentionScratch> scratch_;  // by thread
  std::deque<Kind> kinds_;                 // graphs point at them
  const VectorWidth width_;
};

}  // namespace flotilla
