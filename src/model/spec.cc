#include "model/spec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/embed_limits.h"
#include "base/limits.h"
#include "model/excerpt.h"
#include "model/hyper_keys.h"
#include "model/spec_tensors.h"

namespace flotilla {
namespace {

constexpr std::uint64_t heads_max = 1024, head_length_max = 1024, feed_forward_length_max = 1u << 20;

// What no tensor tells. Biases of q, k, v and the output projection need no column: whichever the file has are used.
struct Family {
  std::string_view name;
  RopeMode rope = RopeMode::normal;
  Activation activation = Activation::silu;
  float rope_base = 10000;          // where the file names none
  bool rope_factors = false;        // may hold rope_freqs.weight
  bool qk_norm = false;             // norm of each query and key head, before rope
  bool post_norms = false;          // norms after attention and feed-forward, before they join the residual
  bool scaled_embedding = false;    // by sqrt(embedding_length)
  bool scaled_query = false;        // the query carries 1/sqrt(key_length), not the attention
  std::uint32_t window_period = 0;  // with a sliding window: each period's last layer is global; 0: no windows
  bool embeds = false;              // makes vectors of texts (ModelSpec::embeds)
};

constexpr std::array families = {
    Family{.name = "llama", .rope_factors = true},
    Family{.name = "qwen2", .rope = RopeMode::neox},
    Family{.name = "qwen3", .rope = RopeMode::neox, .qk_norm = true},
    Family{.name = "gemma3",
           .rope = RopeMode::neox,
           .activation = Activation::gelu,
           .rope_base = 1e6f,
           .qk_norm = true,
           .post_norms = true,
           .scaled_embedding = true,
           .scaled_query = true,
           .window_period = 6},
    Family{.name = "bert", .rope = RopeMode::none, .activation = Activation::gelu, .embeds = true},
};

Result<const Family*> find_family(const Gguf& gguf) {
  std::string known;
  for (const Family& family : families) {
    if (family.name == gguf.architecture()) return &family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  return fail(Code::unsupported, "[model] expected a model of a family this version computes ({}) but '{}' is '{}'",
              known, gguf.name(), excerpt(gguf.architecture()));
}

// Things other programs would do for this file and we do not: better refused than computed wrongly.
Status refuse_unsupported(const Gguf& gguf, const HyperKeys& keys, const Family& family) {
  struct Feature {
    std::string_view key, name;
  };
  for (const auto& [key, name] :
       {Feature{"expert_count", "a mixture of experts"}, Feature{"expert_used_count", "a mixture of experts"},
        Feature{"nextn_predict_layers", "layers that predict several tokens"},
        Feature{"rope.scaling.yarn_log_multiplier", "YaRN with a log multiplier"}}) {
    if (!keys.has(key)) continue;
    FLOTILLA_TRY(const double value, gguf.real(keys.full(key)));
    if (value != 0) {
      return fail(Code::unsupported,
                  "[model] expected no {} but '{}' has it ({} = {}); this version computes dense models", name,
                  gguf.name(), keys.full(key), value);
    }
  }
  if (!keys.has("attention.causal")) return {};
  FLOTILLA_TRY(const bool causal, gguf.flag(keys.full("attention.causal")));
  if (causal != family.embeds) return {};
  if (causal)
    return fail(Code::unsupported,
                "[model] expected a model that looks both ways but '{}' sees only what came before ({} = true)",
                gguf.name(), keys.full("attention.causal"));
  return fail(Code::unsupported, "[model] expected a model that generates text but '{}' looks both ways ({} = false)",
              gguf.name(), keys.full("attention.causal"));
}

// ggml's rope multiplies YaRN's 1 + 0.1 ln s into its result by itself, so attention_factor holds only what the file
// adds.
Status read_rope_scaling(const HyperKeys& keys, std::string_view file, std::uint32_t context, RopeSpec& rope) {
  const bool legacy = keys.has("rope.scale_linear") && !keys.has("rope.scaling.factor");
  FLOTILLA_TRY(const float factor, keys.real(legacy ? "rope.scale_linear" : "rope.scaling.factor", 0, 1e6, 0.0f));
  FLOTILLA_TRY(const std::string type, keys.text("rope.scaling.type", "linear"));
  FLOTILLA_TRY(rope.attention_factor, keys.real("rope.scaling.attn_factor", 1e-3, 1e3, 1.0f));
  FLOTILLA_TRY(rope.original_context,
               keys.number("rope.scaling.original_context_length", 1, limits::context_tokens_max, context));
  if (type == "none") return {};
  if (type != "linear" && type != "yarn") {
    return fail(Code::unsupported, "[model] expected rope scaling none, linear or yarn in '{}' but got '{}'", file,
                excerpt(type));
  }
  if (factor != 0) rope.frequency_scale = 1 / std::max(factor, 1e-6f);
  if (type == "linear") return {};
  FLOTILLA_TRY(rope.yarn_ext_factor, keys.real("rope.scaling.yarn_ext_factor", 0, 1e3, 1.0f));
  FLOTILLA_TRY(const float yarn_factor, keys.real("rope.scaling.yarn_attn_factor", 1e-3, 1e3, 1.0f));
  rope.attention_factor *= yarn_factor;
  FLOTILLA_TRY(rope.beta_fast, keys.real("rope.scaling.yarn_beta_fast", 0, 1e4, 32.0f));
  FLOTILLA_TRY(rope.beta_slow, keys.real("rope.scaling.yarn_beta_slow", 0, 1e4, 1.0f));
  return {};
}

Result<RopeSpec> read_rope(const Gguf& gguf, const HyperKeys& keys, const Family& family, const ModelSpec& model,
                           std::uint32_t key_length) {
  RopeSpec rope{.mode = family.rope};
  if (rope.mode == RopeMode::none) return rope;
  FLOTILLA_TRY(rope.dimensions, keys.number("rope.dimension_count", 2, key_length, key_length));
  if (rope.dimensions % 2 != 0) {
    return fail(Code::corrupt, "[model] expected {} to be even in '{}' but got {}", keys.full("rope.dimension_count"),
                gguf.name(), rope.dimensions);
  }
  FLOTILLA_TRY(rope.base, keys.real("rope.freq_base", 1, 1e12, family.rope_base));
  FLOTILLA_TRY_STATUS(read_rope_scaling(keys, gguf.name(), model.context_length, rope));
  rope.factors = family.rope_factors && gguf.find("rope_freqs.weight") != nullptr;
  return rope;
}

// Which layers see only a window: from the file's pattern (a period, or one flag per layer), or the family's habit.
Result<std::vector<bool>> local_layers(const Gguf& gguf, const HyperKeys& keys, const Family& family,
                                       std::uint32_t layers) {
  constexpr std::string_view key = "attention.sliding_window_pattern";
  if (keys.has(key)) {
    auto flags = gguf.flags(keys.full(key));
    if (!flags) {
      FLOTILLA_TRY(const auto numbers, gguf.numbers(keys.full(key)));
      if (numbers.size() != 1) flags = std::vector<bool>(numbers.begin(), numbers.end());
    }
    if (flags && flags->size() != layers) {
      return fail(Code::corrupt, "[model] expected {} flags for {} in '{}' but got {}", layers, keys.full(key),
                  gguf.name(), flags->size());
    }
    if (flags) return *std::move(flags);
  }
  FLOTILLA_TRY(const std::uint32_t period, keys.number(key, 1, limits::layers_max, family.window_period));
  std::vector<bool> local(layers);
  for (std::uint32_t layer = 0; layer < layers; ++layer) local[layer] = layer % period < period - 1;
  return local;
}

Status apply_windows(const Gguf& gguf, const HyperKeys& keys, const Family& family, ModelSpec& model) {
  if (family.window_period == 0) return {};
  FLOTILLA_TRY(const std::uint32_t window, keys.number("attention.sliding_window", 0, limits::context_tokens_max, 0u));
  if (window == 0) return {};
  FLOTILLA_TRY(const float local_base, keys.real("rope.freq_base_swa", 1, 1e12, 10000.0f));
  FLOTILLA_TRY(const auto local, local_layers(gguf, keys, family, static_cast<std::uint32_t>(model.blocks.size())));
  for (std::size_t layer = 0; layer < model.blocks.size(); ++layer) {
    if (!local[layer]) continue;
    BlockSpec& block = model.blocks[layer];
    block.window = window;
    // Within a window positions are never far apart: neither the long base nor the scaling applies.
    block.rope.base = local_base;
    block.rope.frequency_scale = 1;
    block.rope.yarn_ext_factor = 0;
    block.rope.attention_factor = 1;
  }
  return {};
}

Status read_attention_scale(const Gguf& gguf, const HyperKeys& keys, const Family& family, const ModelSpec& model,
                            BlockSpec& block) {
  FLOTILLA_TRY(block.attention_softcap, keys.real("attn_logit_softcapping", 0, 1e6, 0.0f));
  const float usual = 1 / std::sqrt(static_cast<float>(block.key_length));
  if (family.scaled_query) {
    // The 27B model (the only one of 62 layers) divides by the width an even split would give, not by its key length.
    const bool even_split = family.name == "gemma3" && model.blocks.size() == 62;
    block.query_scale =
        even_split ? 1 / std::sqrt(static_cast<float>(model.embedding_length) / static_cast<float>(block.heads))
                   : usual;
    block.attention_scale = 1;
    return {};
  }
  if (gguf.has(keys.full("attention.scale"))) {
    FLOTILLA_TRY(block.attention_scale, keys.real("attention.scale", 1e-6, 1e3));
  } else {
    block.attention_scale = usual;
  }
  return {};
}

Status check_heads(const Gguf& gguf, const BlockSpec& block, std::size_t layer) {
  if (block.kv_heads <= block.heads && block.heads % block.kv_heads == 0) return {};
  return fail(Code::corrupt,
              "[model] expected {} attention heads of layer {} in '{}' to share evenly among the KV heads "
              "but got {}",
              block.heads, layer, gguf.name(), block.kv_heads);
}

Status read_blocks(const Gguf& gguf, const HyperKeys& keys, const Family& family, ModelSpec& model) {
  FLOTILLA_TRY(const std::uint32_t layers, keys.number("block_count", 1, limits::layers_max));
  FLOTILLA_TRY(const auto heads, keys.per_layer("attention.head_count", layers, 1, heads_max));
  FLOTILLA_TRY(const auto kv_heads, keys.per_layer("attention.head_count_kv", layers, 1, heads_max, heads));
  FLOTILLA_TRY(const auto forward, keys.per_layer("feed_forward_length", layers, 1, feed_forward_length_max));
  const std::uint32_t even_split = std::max(1u, model.embedding_length / heads[0]);
  FLOTILLA_TRY(const std::uint32_t key_length, keys.number("attention.key_length", 1, head_length_max, even_split));
  FLOTILLA_TRY(const std::uint32_t value_length, keys.number("attention.value_length", 1, head_length_max, even_split));
  FLOTILLA_TRY(const RopeSpec rope, read_rope(gguf, keys, family, model, key_length));
  model.blocks.resize(layers);
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    BlockSpec& block = model.blocks[layer];
    const auto has_bias = [&](std::string_view part) {
      return gguf.find(std::format("blk.{}.attn_{}.bias", layer, part)) != nullptr;
    };
    block = {.heads = heads[layer],
             .kv_heads = kv_heads[layer],
             .key_length = key_length,
             .value_length = value_length,
             .feed_forward_length = forward[layer],
             .norm_epsilon = model.norm_epsilon,
             .qk_norm = family.qk_norm,
             .post_attention_norm = family.post_norms,
             .post_feed_forward_norm = family.post_norms,
             .bias_q = has_bias("q"),
             .bias_k = has_bias("k"),
             .bias_v = has_bias("v"),
             .bias_output = has_bias("output"),
             .bias_up = family.embeds && gguf.find(std::format("blk.{}.ffn_up.bias", layer)) != nullptr,
             .bias_down = family.embeds && gguf.find(std::format("blk.{}.ffn_down.bias", layer)) != nullptr,
             .rope = rope,
             .activation = family.activation};
    FLOTILLA_TRY_STATUS(check_heads(gguf, block, layer));
    FLOTILLA_TRY_STATUS(read_attention_scale(gguf, keys, family, model, block));
  }
  return apply_windows(gguf, keys, family, model);
}

// The vocabulary is as large as the embedding table; the file may say so twice more, and must not contradict itself.
Status read_vocabulary(const Gguf& gguf, const HyperKeys& keys, ModelSpec& model) {
  const TensorPlace* table = gguf.find("token_embd.weight");
  if (table == nullptr) {
    return fail(Code::corrupt, "[model] expected tensor token_embd.weight in '{}' but it has none", gguf.name());
  }
  const std::int64_t rows = table->shape.size() == 2 ? table->shape[1] : table->shape.size() == 1 ? 1 : 0;
  if (rows < 1 || rows > limits::vocabulary_max) {
    return fail(Code::corrupt, "[model] expected 1 to {} rows of token_embd.weight in '{}' but got {}",
                limits::vocabulary_max, gguf.name(), rows);
  }
  model.vocabulary = static_cast<std::uint32_t>(rows);
  FLOTILLA_TRY(const std::uint32_t said, keys.number("vocab_size", 0, UINT32_MAX, model.vocabulary));
  std::uint64_t tokens = model.vocabulary;
  if (gguf.has("tokenizer.ggml.tokens")) {
    FLOTILLA_TRY(const auto texts, gguf.texts("tokenizer.ggml.tokens"));
    tokens = texts.size();
  }
  if (said == model.vocabulary && tokens == model.vocabulary) return {};
  return fail(Code::corrupt,
              "[model] expected one vocabulary size in '{}' but token_embd.weight has {} rows, {} is {} and "
              "tokenizer.ggml.tokens holds {}",
              gguf.name(), model.vocabulary, keys.full("vocab_size"), said, tokens);
}

// What an embedder has beside: how it pools, and how many positions and kinds of tokens it knows.
Status read_embedder(const Gguf& gguf, const HyperKeys& keys, ModelSpec& model) {
  enum : std::uint32_t { by_mean = 1, by_first = 2 };
  FLOTILLA_TRY(const std::uint32_t pooling, keys.number("pooling_type", 0, UINT32_MAX, 0u));
  if (pooling != by_mean && pooling != by_first)
    return fail(Code::unsupported,
                "[model] expected '{}' to pool its rows by their mean ({} = 1) or by the first (2) but got {}; this "
                "version computes neither rankings nor other poolings",
                gguf.name(), keys.full("pooling_type"), pooling);
  model.pooling = pooling == by_mean ? Pooling::mean : Pooling::cls;
  if (model.embedding_length > limits::vector_length_max)
    return fail(Code::unsupported, "[model] expected vectors of at most {} values but those of '{}' have {}",
                limits::vector_length_max, gguf.name(), model.embedding_length);
  const auto rows_of = [&](const char* name) {
    const TensorPlace* place = gguf.find(name);
    return place == nullptr ? std::int64_t{0} : place->shape.size() == 2 ? place->shape[1] : 1;
  };
  model.token_kinds = static_cast<std::uint32_t>(std::clamp<std::int64_t>(rows_of("token_types.weight"), 1, 256));
  // A text has at least what stands at both of its ends, and a token.
  constexpr std::int64_t positions_min = 3;
  const std::int64_t positions = rows_of("position_embd.weight");
  if (positions < positions_min || positions < model.context_length)
    return fail(Code::corrupt,
                "[model] expected position_embd.weight of '{}' to have a row for each of {} positions but got {}",
                gguf.name(), std::max<std::int64_t>(model.context_length, positions_min), positions);
  return {};
}

}  // namespace

bool is_embedder(const Gguf& gguf) {
  const auto family = find_family(gguf);
  return family && (*family)->embeds;
}

Result<ModelSpec> read_spec(const Gguf& gguf) {
  FLOTILLA_TRY(const Family* family, find_family(gguf));
  const HyperKeys keys(gguf);
  FLOTILLA_TRY_STATUS(refuse_unsupported(gguf, keys, *family));
  ModelSpec model;
  model.name = gguf.name();
  model.architecture = gguf.architecture();
  FLOTILLA_TRY(model.embedding_length, keys.number("embedding_length", 1, limits::embedding_length_max));
  FLOTILLA_TRY(model.context_length, keys.number("context_length", 1, UINT32_MAX));
  model.context_length = std::min(model.context_length, limits::context_tokens_max);
  FLOTILLA_TRY(model.norm_epsilon,
               keys.real(family->embeds ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 0, 1));
  FLOTILLA_TRY(model.logit_softcap, keys.real("final_logit_softcapping", 0, 1e6, 0.0f));
  if (family->scaled_embedding) model.embedding_scale = std::sqrt(static_cast<float>(model.embedding_length));
  model.tied_output = !family->embeds && gguf.find("output.weight") == nullptr;
  if (family->embeds) FLOTILLA_TRY_STATUS(read_embedder(gguf, keys, model));
  FLOTILLA_TRY_STATUS(read_vocabulary(gguf, keys, model));
  FLOTILLA_TRY_STATUS(read_blocks(gguf, keys, *family, model));
  FLOTILLA_TRY_STATUS(check_tensors(gguf, model));
  return model;
}

}  // namespace flotilla
