// A Collective's sum as an operation of a ggml graph. ggml's operations cannot fail, so a failure is kept: the rest of the
// graph computes with what is there, and its result must not be used.
// Thread: the shard's.
#pragma once

#include <ggml.h>

#include <memory>

#include "engine/collective.h"

namespace flotilla {

class ShardSum {
 public:
  explicit ShardSum(std::shared_ptr<Collective> collective) : collective_(std::move(collective)) {}

  // `x`, summed over the shards, in the same memory. The graph must not outlive this.
  ggml_tensor* add_to(ggml_context* context, ggml_tensor* x);

  Status status() const { return status_; }  // the first failure; it stays
  void close(const Error& cause) { collective_->close(cause); }

 private:
  static void compute(ggml_tensor* sum, const ggml_tensor* x, int thread, int threads, void* self);

  const std::shared_ptr<Collective> collective_;
  Status status_;
};

}  // namespace flotilla
