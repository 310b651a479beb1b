// Graphs that may be needed again, and the one buffer they compute in.
//
// Nothing in the buffer outlives a step (inputs are written, the result is copied out), so all graphs share it: keeping
// a graph costs only its description. Should one need more than the buffer has, the buffer moves and the others are
// dropped.
#pragma once

#include <ggml-cpp.h>

#include <cstddef>
#include <list>

#include "base/result.h"
#include "engine/graph.h"

namespace flotilla {

class GraphCache {
 public:
  explicit GraphCache(ggml_backend_buffer_type_t type) : allocator_(ggml_gallocr_new(type)) {}

  // Grows the buffer to what `graph` needs. The pages become resident only when used. no_memory.
  Status reserve(const StepGraph& graph);

  // Null where no graph of this shape is kept. Valid until the next keep().
  StepGraph* find(const GraphKey& key);
  Result<StepGraph*> keep(GraphKey key, StepGraph graph);

  std::size_t buffer_bytes() const { return ggml_gallocr_get_buffer_size(allocator_.get(), 0); }

 private:
  struct Kept {
    GraphKey key;
    StepGraph graph;
  };
  void drop_oldest();

  ggml_gallocr_ptr allocator_;
  std::list<Kept> kept_;  // newest use first
};

}  // namespace flotilla
