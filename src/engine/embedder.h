// Makes vectors of texts: all layers of a model that looks both ways, over several texts at once without a row of
// padding, and of each text's rows one vector of length 1. In: tokens.  Out: vectors.  Owns: weights, compute buffers
// (ggml). Thread: one uses it; ggml's own work beneath it. Never: keeps anything of one call for the next; aborts on
// tokens that came from a peer (they are checked first).
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "engine/attention_op.h"
#include "engine/backend.h"
#include "engine/embed_graph.h"
#include "engine/stage.h"
#include "engine/weights.h"
#include "wire/embedding.h"

namespace flotilla {

class Embedder {
 public:
  // `files`: the model's parts, as Stage::load's. unsupported for a model that generates text.
  static Result<std::unique_ptr<Embedder>> load(const Gguf& gguf, std::span<const std::filesystem::path> files,
                                                std::uint32_t threads, const LoadProgressFn& progress);

  // invalid_argument for a text of no or too many tokens, or with one that is none of the vocabulary.
  Status check_text(const TextTokens& text) const;
  // [texts, embedding_length], valid until the next call; all texts together have at most tokens_max().
  // internal where a vector has no length.
  Result<std::span<const float>> embed(std::span<const TextTokens* const> texts);

  std::uint32_t tokens_max() const;  // of one call: a step, or the longest text
  const ModelSpec& spec() const { return spec_; }
  StageMemory memory() const;

 private:
  Embedder(ModelSpec spec, ComputeBackend backend, Weights weights, std::uint32_t threads);
  Status allocate(const EmbedGraph& graph);
  void write(const EmbedGraph& graph, std::span<const TextTokens* const> texts);
  Status pool(std::span<const TextTokens* const> texts);

  const ModelSpec spec_;
  const ComputeBackend backend_;
  const Weights weights_;
  AttentionOp attention_;
  ggml_gallocr_ptr allocator_;
  std::vector<std::int32_t> tokens_, positions_;
  std::vector<AttendingRow> seen_;
  std::vector<float> rows_, vectors_;
};

}  // namespace flotilla
