// An embedder's layers as a ggml graph over some rows: the tokens of several texts, one text behind another and nothing
// between. Which rows belong together, and so see each other, is an input; a graph serves every step with as many rows.
#pragma once

#include <ggml-cpp.h>

#include <cstdint>

#include "engine/attention_op.h"
#include "engine/weights.h"

namespace flotilla {

struct EmbedGraph {
  ggml_context_ptr context;
  ggml_cgraph* graph = nullptr;
  ggml_tensor* tokens = nullptr;     // I32 [rows]
  ggml_tensor* positions = nullptr;  // I32 [rows]: each within its text
  ggml_tensor* kind = nullptr;       // I32 [1], of all tokens
  ggml_tensor* seen = nullptr;       // AttendingRow [rows]
  ggml_tensor* result = nullptr;     // F32 [embedding_length, rows]
};

// The arguments outlive the graph.
EmbedGraph build_embed_graph(const ModelSpec& spec, const Weights& weights, AttentionOp& attention, std::int64_t rows);

}  // namespace flotilla
