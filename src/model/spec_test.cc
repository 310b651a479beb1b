#include "model/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/test_gguf.h"

namespace flotilla {
namespace {

std::shared_ptr<const Gguf> real_model(const std::string& name) {
  auto gguf = Gguf::open(std::string(FLOTILLA_SOURCE_DIR "/.cache/models/") + name);
  EXPECT_TRUE(gguf) << gguf.error().message;
  return gguf ? *gguf : nullptr;
}

TEST(Spec, SmolLM2IsReadAsItsFileSays) {
  const auto gguf = real_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  ASSERT_NE(gguf, nullptr);
  EXPECT_EQ(gguf->name(), "SmolLM2-135M-Instruct.Q4_1");
  const auto spec = read_spec(*gguf);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->architecture, "llama");
  EXPECT_EQ(spec->embedding_length, 576u);
  EXPECT_EQ(spec->vocabulary, 49152u);
  EXPECT_EQ(spec->context_length, 8192u);
  EXPECT_FLOAT_EQ(spec->norm_epsilon, 1e-5f);
  EXPECT_FLOAT_EQ(spec->embedding_scale, 1);
  EXPECT_TRUE(spec->tied_output);
  ASSERT_EQ(spec->blocks.size(), 30u);
  for (const BlockSpec& block : spec->blocks) {
    EXPECT_EQ(block.heads, 9u);
    EXPECT_EQ(block.kv_heads, 3u);
    EXPECT_EQ(block.key_length, 64u);
    EXPECT_EQ(block.value_length, 64u);
    EXPECT_EQ(block.feed_forward_length, 1536u);
    EXPECT_EQ(block.rope.mode, RopeMode::normal);
    EXPECT_EQ(block.rope.dimensions, 64u);
    EXPECT_FLOAT_EQ(block.rope.base, 100000);
    EXPECT_FLOAT_EQ(block.rope.frequency_scale, 1);
    EXPECT_FALSE(block.rope.factors);
    EXPECT_FLOAT_EQ(block.attention_scale, 0.125f);
    EXPECT_FLOAT_EQ(block.query_scale, 1);
    EXPECT_EQ(block.window, 0u);
    EXPECT_FALSE(block.qk_norm || block.post_attention_norm || block.post_feed_forward_norm);
    EXPECT_FALSE(block.bias_q || block.bias_k || block.bias_v || block.bias_output);
    EXPECT_EQ(block.activation, Activation::silu);
  }
}

TEST(Spec, Gemma3HasFiveLocalLayersThenAGlobalOne) {
  const auto gguf = real_model("gemma-3-270m.Q4_K_M.gguf");
  ASSERT_NE(gguf, nullptr);
  const auto spec = read_spec(*gguf);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->embedding_length, 640u);
  EXPECT_EQ(spec->vocabulary, 262144u);
  EXPECT_EQ(spec->context_length, 32768u);
  EXPECT_FLOAT_EQ(spec->norm_epsilon, 1e-6f);
  EXPECT_FLOAT_EQ(spec->embedding_scale, std::sqrt(640.0f));
  EXPECT_TRUE(spec->tied_output);
  ASSERT_EQ(spec->blocks.size(), 18u);
  for (std::size_t layer = 0; layer < 18; ++layer) {
    const BlockSpec& block = spec->blocks[layer];
    const bool global = layer % 6 == 5;
    EXPECT_EQ(block.window, global ? 0u : 512u) << layer;
    EXPECT_FLOAT_EQ(block.rope.base, global ? 1e6f : 1e4f) << layer;
    EXPECT_FLOAT_EQ(block.rope.frequency_scale, 1);
    EXPECT_EQ(block.rope.mode, RopeMode::neox);
    EXPECT_EQ(block.heads, 4u);
    EXPECT_EQ(block.kv_heads, 1u);
    EXPECT_EQ(block.key_length, 256u);
    EXPECT_TRUE(block.qk_norm && block.post_attention_norm && block.post_feed_forward_norm);
    EXPECT_FLOAT_EQ(block.query_scale, 1 / 16.0f);
    EXPECT_FLOAT_EQ(block.attention_scale, 1);
    EXPECT_EQ(block.activation, Activation::gelu);
  }
}

Error refusal(const TinyModel& model) {
  const auto gguf = model.parse();
  EXPECT_TRUE(gguf) << gguf.error().message;
  if (!gguf) return gguf.error();
  const auto spec = read_spec(**gguf);
  EXPECT_FALSE(spec) << "the model was accepted";
  return spec ? Error{} : spec.error();
}

ModelSpec accepted(const TinyModel& model) {
  const auto gguf = model.parse();
  EXPECT_TRUE(gguf) << gguf.error().message;
  const auto spec = gguf ? read_spec(**gguf) : fail(gguf.error());
  EXPECT_TRUE(spec) << spec.error().message;
  return spec ? *spec : ModelSpec{};
}

struct Refused {
  TinyModel model;
  Code code;
  std::string says;
};

TEST(Spec, ContradictionsAndUnknownFeaturesAreRefusedByName) {
  const auto with = [](auto more) { return TinyModel{.more = more}; };
  const auto key = [&](const char* name, auto value) { return with([=](TestGguf& g) { g.key(name, value); }); };
  const std::vector<Refused> cases = {
      {{.architecture = "mamba"}, Code::unsupported, "llama, qwen2, qwen3, gemma3"},
      {{.leave_out = "block_count"}, Code::not_found, "llama.block_count"},
      {{.leave_out = "attention.layer_norm_rms_epsilon"}, Code::not_found, "layer_norm_rms_epsilon"},
      {{.leave_out = "token_embd.weight"}, Code::corrupt, "token_embd.weight"},
      {{.leave_out = "output_norm.weight"}, Code::corrupt, "output_norm.weight"},
      {{.leave_out = "blk.1.ffn_down.weight"}, Code::corrupt, "blk.1.ffn_down.weight [96 x 64]"},
      {{.reshape = {"blk.0.attn_k.weight", {64, 64}}}, Code::corrupt, "blk.0.attn_k.weight to be [64 x 32]"},
      {{.reshape = {"token_embd.weight", {32, 10}}}, Code::corrupt, "token_embd.weight to be [64 x 10]"},
      {{.reshape = {"token_embd.weight", {64, 5, 2}}}, Code::corrupt, "token_embd.weight"},
      {{.retype = {"blk.0.attn_norm.weight", GGML_TYPE_F16}}, Code::unsupported, "f32"},
      {{.retype = {"blk.0.attn_q.weight", GGML_TYPE_I32}}, Code::unsupported, "i32"},
      {{.retype = {"blk.0.attn_q.weight", GGML_TYPE_Q8_1}}, Code::unsupported, "q8_1"},
      {{.qk_norm = true}, Code::unsupported, "attn_q_norm"},
      {key("llama.expert_count", 8u), Code::unsupported, "mixture of experts"},
      {with([](TestGguf& g) { g.tensor("blk.0.ffn_gate_inp.weight", {64, 8}); }), Code::unsupported,
       "mixture of experts"},
      {with([](TestGguf& g) { g.tensor("blk.2.attn_norm.weight", {64}); }), Code::unsupported,
       "blk.2.attn_norm.weight"},
      {with([](TestGguf& g) { g.tensor("blk.0.ffn_gate.bias", {96}); }), Code::unsupported, "blk.0.ffn_gate.bias"},
      {with([](TestGguf& g) { g.flag("llama.attention.causal", 0); }), Code::unsupported, "both ways"},
      {key("llama.rope.scaling.type", "longrope"), Code::unsupported, "longrope"},
      {key("llama.rope.dimension_count", 15u), Code::corrupt, "even"},
      {key("llama.rope.dimension_count", 18u), Code::corrupt, "rope.dimension_count"},
      {key("llama.rope.freq_base", -1.0f), Code::corrupt, "rope.freq_base"},
      {key("llama.rope.freq_base", std::numeric_limits<float>::infinity()), Code::corrupt, "finite"},
      {key("llama.attention.key_length", 1u << 20), Code::corrupt, "key_length"},
      {key("llama.vocab_size", 11u), Code::corrupt, "vocab_size is 11"},
      {with([](TestGguf& g) { g.array<std::string>("tokenizer.ggml.tokens", GGUF_TYPE_STRING, {"a", "b"}); }),
       Code::corrupt, "tokens holds 2"},
  };
  for (const Refused& expected : cases) {
    const Error error = refusal(expected.model);
    EXPECT_THAT(error.message, testing::HasSubstr(expected.says));
    EXPECT_EQ(error.code, expected.code) << error.message;
  }
}

TEST(Spec, NumbersOutOfBoundsAreRefused) {
  for (const char* key :
       {"block_count", "embedding_length", "attention.head_count", "feed_forward_length", "context_length"}) {
    for (const std::uint32_t value : {0u, 4'000'000'000u}) {
      if (std::string(key) == "context_length" && value != 0) continue;  // large is fine: it is cut to what we serve
      const Error error =
          refusal({.more = [&](TestGguf& g) { g.key(std::string("llama.") + key, value); }, .leave_out = key});
      EXPECT_EQ(error.code, Code::corrupt) << error.message;
      EXPECT_THAT(error.message, testing::HasSubstr(key));
    }
  }
  const Error uneven = refusal({.more = [](TestGguf& g) { g.key("llama.attention.head_count_kv", 3u); },
                                .leave_out = "attention.head_count_kv"});
  EXPECT_THAT(uneven.message, testing::HasSubstr("share evenly"));
}

TEST(Spec, PerLayerNumbersMayBeAnArray) {
  const auto with_counts = [](std::vector<std::uint32_t> counts) {
    return TinyModel{.more = [=](TestGguf& g) { g.array("llama.attention.head_count_kv", GGUF_TYPE_UINT32, counts); },
                     .leave_out = "attention.head_count_kv"};
  };
  EXPECT_EQ(accepted(with_counts({2, 2})).blocks[1].kv_heads, 2u);
  EXPECT_THAT(refusal(with_counts({2, 2, 2})).message, testing::HasSubstr("per layer"));
  EXPECT_THAT(refusal(with_counts({2, 4})).message, testing::HasSubstr("blk.1.attn_k.weight"));
}

TEST(Spec, RopeScalingMapsAsTheFileSays) {
  const auto scaled = [](const char* type) {
    return TinyModel{.more = [=](TestGguf& g) {
      g.key("llama.rope.scaling.type", type).key("llama.rope.scaling.factor", 4.0f);
      g.key("llama.rope.scaling.original_context_length", 64u);
    }};
  };
  EXPECT_FLOAT_EQ(accepted({}).blocks[0].rope.frequency_scale, 1);
  EXPECT_FLOAT_EQ(accepted(scaled("none")).blocks[0].rope.frequency_scale, 1);
  const RopeSpec linear = accepted(scaled("linear")).blocks[0].rope;
  EXPECT_FLOAT_EQ(linear.frequency_scale, 0.25f);
  EXPECT_FLOAT_EQ(linear.yarn_ext_factor, 0);
  const RopeSpec yarn = accepted(scaled("yarn")).blocks[0].rope;
  EXPECT_FLOAT_EQ(yarn.frequency_scale, 0.25f);
  EXPECT_FLOAT_EQ(yarn.yarn_ext_factor, 1);
  EXPECT_FLOAT_EQ(yarn.attention_factor, 1);
  EXPECT_FLOAT_EQ(yarn.beta_fast, 32);
  EXPECT_EQ(yarn.original_context, 64u);
}

TEST(Spec, Llama3FactorsAndAnOutputMatrixAreFound) {
  const ModelSpec spec = accepted({.output = true, .more = [](TestGguf& g) { g.tensor("rope_freqs.weight", {8}); }});
  EXPECT_FALSE(spec.tied_output);
  EXPECT_TRUE(spec.blocks[0].rope.factors);
  EXPECT_TRUE(spec.blocks[1].rope.factors);
  EXPECT_THAT(refusal({.more = [](TestGguf& g) { g.tensor("rope_freqs.weight", {16}); }}).message,
              testing::HasSubstr("rope_freqs.weight to be [8]"));
}

TEST(Spec, Qwen2HasBiasesAndQwen3HasHeadNorms) {
  const BlockSpec qwen2 = accepted({.architecture = "qwen2", .qkv_bias = true}).blocks[0];
  EXPECT_EQ(qwen2.rope.mode, RopeMode::neox);
  EXPECT_TRUE(qwen2.bias_q && qwen2.bias_k && qwen2.bias_v);
  EXPECT_FALSE(qwen2.bias_output || qwen2.qk_norm);
  const BlockSpec qwen3 = accepted({.architecture = "qwen3", .qk_norm = true}).blocks[0];
  EXPECT_EQ(qwen3.rope.mode, RopeMode::neox);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FLOAT_EQ(qwen3.attention_scale, 0.25f);
  EXPECT_THAT(refusal({.architecture = "qwen3"}).message, testing::HasSubstr("attn_q_norm"));
}

TEST(Spec, GemmasWindowsFollowThePatternOfTheFile) {
  const auto gemma = [](auto pattern) {
    return TinyModel{.architecture = "gemma3", .qk_norm = true, .post_norms = true, .more = [=](TestGguf& g) {
                       g.key("gemma3.attention.sliding_window", 32u).key("gemma3.rope.scaling.factor", 8.0f);
                       g.key("gemma3.final_logit_softcapping", 30.0f);
                       pattern(g);
                     }};
  };
  const std::string key = "gemma3.attention.sliding_window_pattern";
  const ModelSpec usual = accepted(gemma([](TestGguf&) {}));
  EXPECT_FLOAT_EQ(usual.logit_softcap, 30);
  EXPECT_EQ(usual.blocks[0].window, 32u);
  EXPECT_EQ(usual.blocks[1].window, 32u);
  EXPECT_FLOAT_EQ(usual.blocks[0].rope.frequency_scale, 1);
  const ModelSpec two = accepted(gemma([&](TestGguf& g) { g.key(key, 2u); }));
  EXPECT_EQ(two.blocks[0].window, 32u);
  EXPECT_EQ(two.blocks[1].window, 0u);
  EXPECT_FLOAT_EQ(two.blocks[1].rope.frequency_scale, 0.125f);
  EXPECT_FLOAT_EQ(two.blocks[1].rope.base, 1e6f);
  const ModelSpec flags = accepted(gemma([&](TestGguf& g) { g.array<std::uint8_t>(key, GGUF_TYPE_BOOL, {0, 1}); }));
  EXPECT_EQ(flags.blocks[0].window, 0u);
  EXPECT_EQ(flags.blocks[1].window, 32u);
  EXPECT_THAT(refusal(gemma([&](TestGguf& g) { g.array<std::uint8_t>(key, GGUF_TYPE_BOOL, {0, 1, 1}); })).message,
              testing::HasSubstr("2 flags"));
  const ModelSpec none = accepted({.architecture = "gemma3", .qk_norm = true, .post_norms = true});
  EXPECT_EQ(none.blocks[0].window, 0u);
}

TEST(Spec, AnEmbedderIsReadAsItsFileSays) {
  const auto gguf = TinyEmbedder{.pooling = 2}.parse();
  ASSERT_TRUE(gguf) << gguf.error().message;
  const auto spec = read_spec(**gguf);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_TRUE(is_embedder(**gguf) && spec->embeds());
  EXPECT_EQ(spec->pooling, Pooling::cls);
  EXPECT_EQ(spec->blocks[1].rope.mode, RopeMode::none);
  EXPECT_TRUE(spec->blocks[1].bias_q && spec->blocks[1].bias_up && spec->blocks[1].bias_down);
  EXPECT_FLOAT_EQ(spec->norm_epsilon, 1e-12f);
  EXPECT_FALSE(spec->tied_output);
  const auto shape = read_shape(**gguf);
  ASSERT_TRUE(shape) << shape.error().message;
  EXPECT_TRUE(shape->embeds);
  EXPECT_EQ(shape->layers[0].cache.bytes_per_token, 0u);     // nothing is kept of a text
  EXPECT_EQ(stage_ranges(**gguf, {0, 2}, true).size(), 1u);  // all of the file
  const auto unbiased = TinyEmbedder{.leave_out = "blk.0.ffn_up.bias"}.parse();
  const auto without = read_spec(**unbiased);
  ASSERT_TRUE(without) << without.error().message;
  EXPECT_FALSE(without->blocks[0].bias_up);
}

TEST(Spec, AnEmbeddersContradictionsAreRefusedByName) {
  struct Case {
    TinyEmbedder model;
    Code code;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{.pooling = 0}, Code::unsupported, "bert.pooling_type"},
      {{.pooling = 4}, Code::unsupported, "rankings"},
      {{.context = 17}, Code::corrupt, "a row for each of 17 positions but got 16"},
      {{.causal = 1}, Code::unsupported, "looks both ways"},
      {{.leave_out = "position_embd.weight"}, Code::corrupt, "position_embd.weight"},
      {{.leave_out = "token_types.weight"}, Code::corrupt, "token_types.weight"},
      {{.leave_out = "blk.1.layer_output_norm.bias"}, Code::corrupt, "blk.1.layer_output_norm.bias"},
      {{.more = [](TestGguf& g) { g.tensor("cls.weight", {32, 32}); }}, Code::unsupported, "cls.weight"},
  };
  for (const auto& [model, code, says] : cases) {
    const auto gguf = model.parse();
    ASSERT_TRUE(gguf) << gguf.error().message;
    const auto spec = read_spec(**gguf);
    ASSERT_FALSE(spec) << says;
    EXPECT_EQ(spec.error().code, code) << spec.error().message;
    EXPECT_THAT(spec.error().message, testing::HasSubstr(says));
  }
}

}  // namespace
}  // namespace flotilla
