// A Collective's sums as operations of a ggml graph. ggml's operations cannot fail, so a failure is kept: the rest of
// the graph computes with what is there, and its result must not be used. Thread: the shard's.
#pragma once

#include <ggml.h>

#include <memory>
#include <span>
#include <vector>

#include "engine/collective.h"

namespace flotilla {

class ShardSum {
 public:
  explicit ShardSum(std::shared_ptr<Collective> collective) : collective_(std::move(collective)) {}

  // Each gives a tensor in the memory of its argument. The graph must not outlive this.
  //
  // `x`, summed over the shards.
  ggml_tensor* add_to(ggml_context* context, ggml_tensor* x);
  // The same in two operations, between which others are computed: what start() gave is to be used by await() only.
  // Sums are awaited in the order in which they are started, two at most under way.
  ggml_tensor* start(ggml_context* context, ggml_tensor* x);
  ggml_tensor* await(ggml_context* context, ggml_tensor* started);
  // Both: the values of each row one behind the other, in memory of their own.
  ggml_tensor* await_both(ggml_context* context, ggml_tensor* first, ggml_tensor* second);

  Status status() const { return status_; }  // the first failure; it stays
  // Ends all shards' sums. Afterwards nobody uses the memory of those that were under way here.
  void close(const Error& cause);

 private:
  static void compute(ggml_tensor* sum, const ggml_tensor* x, int thread, int threads, void* self);
  static void compute_start(ggml_tensor* sum, const ggml_tensor* x, int thread, int threads, void* self);
  static void compute_await(ggml_tensor* sum, const ggml_tensor* x, int thread, int threads, void* self);
  static void compute_await_both(ggml_tensor* both, int thread, int threads, void* self);
  void await_oldest(const void* values);
  void note(Status status);

  const std::shared_ptr<Collective> collective_;
  std::vector<const void*> under_way_;  // where their values lie
  Status status_;
};

}  // namespace flotilla
