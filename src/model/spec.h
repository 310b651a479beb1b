// A model family as data: one parametric block covers them all. A new family is a row in spec.cc (rope mode, activation,
// norms, scales, windows); its numbers follow from the file's keys, biases and a tied output from its tensors. A kind of
// tensor that no family had before is also named in spec_tensors.cc and in engine's weights and graph.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "model/gguf.h"
#include "model/shape.h"

namespace flotilla {

enum class RopeMode { none, normal, neox };  // adjacent pairs; halves (RoFormer, GPT-NeoX)
enum class Activation { silu, gelu };        // of a gated feed-forward: SwiGLU, GeGLU; of a plain one: itself
enum class Pooling { none, mean, cls };      // of a text's rows one vector: their mean, or its first; none: it generates

struct RopeSpec {
  RopeMode mode = RopeMode::normal;
  std::uint32_t dimensions = 0;             // of each head, rotated
  float base = 10000, frequency_scale = 1;  // scale 1/s for linear scaling by s
  float yarn_ext_factor = 0, attention_factor = 1, beta_fast = 32, beta_slow = 1;
  std::uint32_t original_context = 0;
  bool factors = false;  // rope_freqs.weight (Llama 3)
};

struct BlockSpec {
  std::uint32_t heads = 0, kv_heads = 0, key_length = 0, value_length = 0;  // per head, elements
  std::uint32_t feed_forward_length = 0;
  float norm_epsilon = 1e-5f;
  bool qk_norm = false, post_attention_norm = false, post_feed_forward_norm = false;
  bool bias_q = false, bias_k = false, bias_v = false, bias_output = false;
  bool bias_up = false, bias_down = false;  // embedders only
  RopeSpec rope;
  std::uint32_t window = 0;  // sliding window in tokens, the current one included; 0: global
  float query_scale = 1, attention_scale = 1, attention_softcap = 0;
  Activation activation = Activation::silu;
};

struct ModelSpec {
  std::string name, architecture;
  std::uint32_t embedding_length = 0, vocabulary = 0, context_length = 0;
  float embedding_scale = 1;  // gemma: sqrt(embedding_length)
  float norm_epsilon = 1e-5f, logit_softcap = 0, logit_scale = 1;
  bool tied_output = false;  // the output head is the embedding table
  Pooling pooling = Pooling::none;
  std::uint32_t token_kinds = 0;  // rows of an embedder's token_types
  std::vector<BlockSpec> blocks;
  // It looks both ways over a text and makes one vector of it (BERT, Devlin et al. 2018): no cache, no output head; norms
  // with a mean and a bias, behind what they follow; a feed-forward without a gate.
  bool embeds() const { return pooling != Pooling::none; }
};

// unsupported for a family we do not know or a file that needs what we do not do (named); corrupt for contradictions
// between keys and tensor shapes. After success every tensor a stage will load exists with the shape the graphs assume.
Result<ModelSpec> read_spec(const Gguf& gguf);
bool is_embedder(const Gguf& gguf);  // by its family alone

// Tensors of one layer, or of the head's parts, in file order.
std::vector<const TensorPlace*> layer_tensors(const Gguf& gguf, std::uint32_t layer);
std::vector<const TensorPlace*> head_tensors(const Gguf& gguf);    // token_embd, output_norm, output; an embedder's inputs
std::vector<const TensorPlace*> shared_tensors(const Gguf& gguf);  // needed by every stage: rope_freqs

Result<ModelShape> read_shape(const Gguf& gguf);

// Byte ranges of the file(s) that a stage needs, merged where they touch or nearly touch, sorted.
struct FileRange {
  std::uint32_t file_index = 0;
  std::uint64_t offset = 0, bytes = 0;
  bool operator==(const FileRange&) const = default;
};
std::vector<FileRange> stage_ranges(const Gguf& gguf, LayerRange layers, bool is_head);

}  // namespace flotilla
