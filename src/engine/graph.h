// The layers of one stage as a ggml graph over one shape of step. The numbers of a particular step (activations,
// positions, cells, what rows see) are inputs. So one graph serves every step with as many rows.
#pragma once

#include <ggml-cpp.h>

#include <cstdint>
#include <vector>

#include "engine/attention_op.h"
#include "engine/kv_cache.h"
#include "model/overlap.h"
#include "engine/shard_sum.h"
#include "engine/step_shape.h"
#include "engine/weights.h"

namespace flotilla {

// What one shard holds: all of the layers, or a slice of each. The pointees belong to the shard and outlive its graphs.
struct HeldSlice {
  const ModelSpec* spec = nullptr;
  const Weights* weights = nullptr;
  const KvCache* cache = nullptr;
  AttentionOp* attention = nullptr;
};

// What a graph computes: the layers of a stage by one slice or several, whose summands are added up in their order, and
// then with what others compute elsewhere.
struct GraphParts {
  const StageLayers* layers = nullptr;
  std::vector<HeldSlice> slices;
  ShardSum* sum = nullptr;  // null: nobody else computes slices of these layers
  Overlap overlap;          // of computing and summing with them
};

struct StepGraph {
  ggml_context_ptr context;
  ggml_cgraph* graph = nullptr;
  ggml_tensor* activations = nullptr;  // F32 [embedding_length, rows]
  ggml_tensor* positions = nullptr;    // I32 [rows]
  ggml_tensor* cells = nullptr;        // I64 [rows], of the whole cache
  ggml_tensor* wanted = nullptr;       // I32 [wanted rows]; null where all rows leave
  // By kind of window, null where nothing looks through: AttendingRow [rows], or what ggml's attention takes, a mask
  // F16 [cells, rows].
  std::vector<ggml_tensor*> seen;
  ggml_tensor* result = nullptr;  // F32 [embedding_length, rows or wanted rows]; null where none leaves
};

StepGraph build_step_graph(const GraphParts& parts, const StepShape& shape);

// RMS norm (Zhang and Sennrich 2019) times a learned scale; also the output head's.
ggml_tensor* rms_norm(ggml_context* context, ggml_tensor* x, ggml_tensor* scale, float epsilon);

}  // namespace flotilla
