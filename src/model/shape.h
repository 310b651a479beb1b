// A model in plain numbers: what the planner needs and all it ever sees. No ggml, no names of families.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace flotilla {

// What a layer keeps of the tokens it has seen: keys and values of grouped heads (Ainslie et al. 2023). They can be cut
// to any shorter prefix, and shards of a layer hold parts of them by head: of more shards than heads each holds one.
struct CacheSpec {
  std::uint64_t bytes_per_token = 0;  // of one position, all heads
  std::uint32_t window = 0;           // sliding window in tokens; 0: sees everything
  std::uint32_t heads = 0;            // of keys and values; 1 also where all heads share a latent (MLA). 0: not known
};

// Matrices of one type of weights, for those who price their products.
struct TypedBytes {
  std::string type;  // ggml's name, "Q4_K"; upper or lower case
  std::uint64_t bytes = 0;
};

struct LayerShape {
  std::uint64_t weight_bytes = 0;  // as held in memory
  CacheSpec cache;
  std::vector<TypedBytes> matrices;  // of weight_bytes, what every row is multiplied with
  std::vector<TypedBytes> experts;   // and what a row is multiplied with a part of: all experts together
};

struct ModelShape {
  std::string name, architecture;    // "SmolLM2-135M-Instruct.Q4_1", "llama"; for people, never for decisions
  std::uint32_t context_length = 0;  // tokens it was trained for
  std::uint32_t embedding_length = 0, vocabulary = 0;
  std::vector<LayerShape> layers;
  std::uint64_t embedding_bytes = 0;  // embedding table; on the head
  std::uint64_t output_bytes = 0;     // output norm and head; on the head; a matrix shared with the embedding counts 0
  std::uint32_t attention_length = 0, feed_forward_length = 0;  // widest of any layer: all heads' queries; gate and up
  TypedBytes output_matrix;                                     // the output head, also where it is the embedding
  std::uint32_t experts = 0, experts_used = 0;                  // of a layer with experts: all, and those a row takes
  std::uint32_t shards_max = 1;                                 // into how many slices every layer can be cut
  bool embeds = false;                 // makes vectors of texts: held whole, by any number of machines side by side
  std::uint64_t weight_bytes() const;  // of everything
};

// Bytes one stage needs beyond its weights.
struct StageNeed {
  std::uint64_t weights = 0, kv = 0, compute = 0;
  std::uint64_t total() const { return weights + kv + compute; }
};

// What one machine holds of a stage: all of it, or as a member of a group its slices of every layer.
struct StagePart {
  double share = 1;                          // of the weights
  std::uint32_t shards = 1, all_shards = 1;  // slices here, and in the whole group
  bool is_first = true;                      // of the group: looks up the embeddings, where the stage is the head's
};

struct StageUse {
  bool has_layers = true, is_head = false;
  std::uint32_t context_tokens = 0, sequences = 1, step_rows_max = 512;
};

// Bytes of the largest step's intermediate results (shape.cc has the sum).
std::uint64_t compute_bytes(const ModelShape& shape, const StageUse& use);

// What a node that holds its part of `layers` (and the head's matrices) needs for `sequences` contexts of
// `context_tokens`.
StageNeed stage_need(const ModelShape& shape, LayerRange layers, bool is_head, std::uint32_t context_tokens,
                     std::uint32_t sequences, const StagePart& part = {});

}  // namespace flotilla
