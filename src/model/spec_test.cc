#include "model/spec.h"

#include <gtest/gtest.h>

#include <cmath>

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

}  // namespace
}  // namespace flotilla
