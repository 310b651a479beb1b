#include "model/shape.h"

#include <gtest/gtest.h>

#include "base/units.h"
#include "model/spec.h"
#include "model/test_gguf.h"

namespace flotilla {
namespace {

std::shared_ptr<const Gguf> real_model(const std::string& name) {
  auto gguf = Gguf::open(std::string(FLOTILLA_SOURCE_DIR "/.cache/models/") + name);
  EXPECT_TRUE(gguf) << gguf.error().message;
  return gguf ? *gguf : nullptr;
}

std::uint64_t bytes_of(const std::vector<FileRange>& ranges) {
  std::uint64_t bytes = 0;
  for (const FileRange& range : ranges) bytes += range.bytes;
  return bytes;
}

std::uint64_t bytes_of(const std::vector<const TensorPlace*>& places) {
  std::uint64_t bytes = 0;
  for (const TensorPlace* place : places) bytes += place->bytes;
  return bytes;
}

TEST(Shape, CountsEveryByteOfBothModelsOnce) {
  for (const char* name : {"SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m.Q4_K_M.gguf"}) {
    const auto gguf = real_model(name);
    ASSERT_NE(gguf, nullptr);
    const auto shape = read_shape(*gguf);
    ASSERT_TRUE(shape) << shape.error().message;
    std::uint64_t all = 0;
    for (const TensorPlace& place : gguf->tensors()) all += place.bytes;
    EXPECT_EQ(shape->weight_bytes(), all);
    for (std::uint32_t layer = 0; layer < shape->layers.size(); ++layer) {
      EXPECT_EQ(shape->layers[layer].weight_bytes, bytes_of(layer_tensors(*gguf, layer)));
    }
    EXPECT_EQ(shape->embedding_bytes + shape->output_bytes, bytes_of(head_tensors(*gguf)));
  }
}

TEST(Shape, AStageNeedsItsWeightsAndItsCache) {
  const auto gguf = real_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  ASSERT_NE(gguf, nullptr);
  const auto shape = read_shape(*gguf);
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->layers[0].cache.bytes_per_token, 3u * (64 + 64) * 2);
  EXPECT_EQ(shape->attention_length, 576u);
  EXPECT_EQ(shape->feed_forward_length, 1536u);
  const StageNeed worker = stage_need(*shape, {10, 30}, false, 4096, 4);
  EXPECT_EQ(worker.weights, 20 * shape->layers[0].weight_bytes);
  EXPECT_EQ(worker.kv, 20ull * 768 * 4096 * 4);
  const StageNeed head = stage_need(*shape, {0, 10}, true, 4096, 4);
  EXPECT_EQ(head.weights + worker.weights, shape->weight_bytes());
  EXPECT_GT(head.compute, worker.compute);
  EXPECT_EQ(stage_need(*shape, {0, 0}, false, 4096, 4).kv, 0u);
  EXPECT_LT(worker.compute, 64 * mib);
}

// SmolLM2's head is its embedding table, which its shards share like any other matrix; the other's table is the first
// member's alone. Of four shards and three KV heads each holds one head whole.
TEST(Shape, AMemberOfAGroupNeedsItsPart) {
  const auto gguf = real_model("SmolLM2-135M-Instruct.Q4_1.gguf");
  ASSERT_NE(gguf, nullptr);
  auto shape = *read_shape(*gguf);
  const auto need = [&](bool is_first, std::uint32_t all_shards) {
    const StagePart part{.share = 0.25, .shards = 1, .all_shards = all_shards, .is_first = is_first};
    return stage_need(shape, {0, 30}, true, 4096, 4, part);
  };
  const StageNeed whole = stage_need(shape, {0, 30}, true, 4096, 4);
  EXPECT_EQ(need(true, 3).weights, (shape.weight_bytes() + 3) / 4);
  EXPECT_EQ(need(false, 3).weights, need(true, 3).weights);
  EXPECT_EQ(need(true, 3).kv, whole.kv / 4);
  EXPECT_EQ(need(true, 4).kv, whole.kv / 3);
  EXPECT_EQ(need(false, 4).compute, whole.compute);
  shape.output_bytes += shape.output_matrix.bytes;
  EXPECT_EQ(need(true, 3).weights - need(false, 3).weights, shape.embedding_bytes);
}

TEST(Shape, MatricesAreCountedByTypeForThoseWhoPriceThem) {
  const auto gguf = real_model("gemma-3-270m.Q4_K_M.gguf");
  ASSERT_NE(gguf, nullptr);
  const auto shape = read_shape(*gguf);
  ASSERT_TRUE(shape);
  for (const LayerShape& layer : shape->layers) {
    std::uint64_t matrices = 0;
    for (const TypedBytes& part : layer.matrices) matrices += part.bytes;
    EXPECT_LT(matrices, layer.weight_bytes);             // norms are none
    EXPECT_GT(matrices, layer.weight_bytes * 97 / 100);  // and next to nothing
    EXPECT_TRUE(layer.experts.empty());
  }
  EXPECT_EQ(shape->output_matrix.bytes, shape->embedding_bytes) << "tied";
}

TEST(Shape, SaysIntoHowManySlicesItsLayersCanBeCut) {
  EXPECT_EQ(read_shape(*real_model("SmolLM2-135M-Instruct.Q4_1.gguf"))->shards_max, 9u);  // queries of three
  EXPECT_EQ(read_shape(*real_model("gemma-3-270m.Q4_K_M.gguf"))->shards_max, 4u);         // queries of the only one
}

TEST(Shape, AWindowIsKnownToThePlanner) {
  const auto gguf = real_model("gemma-3-270m.Q4_K_M.gguf");
  ASSERT_NE(gguf, nullptr);
  const auto shape = read_shape(*gguf);
  ASSERT_TRUE(shape);
  EXPECT_EQ(shape->layers[4].cache.window, 512u);
  EXPECT_EQ(shape->layers[5].cache.window, 0u);
  EXPECT_EQ(shape->layers[0].cache.bytes_per_token, (256u + 256) * 2);
}

TEST(StageRanges, HoldTheStagesBytesAndNoOthers) {
  for (const char* name : {"SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m.Q4_K_M.gguf"}) {
    const auto gguf = real_model(name);
    ASSERT_NE(gguf, nullptr);
    const auto layers = static_cast<std::uint32_t>(read_shape(*gguf)->layers.size());
    std::uint64_t all = 0;
    for (const TensorPlace& place : gguf->tensors()) all += place.bytes;
    for (std::uint32_t cut = 0; cut <= layers; ++cut) {
      const auto head = stage_ranges(*gguf, {0, cut}, true), rest = stage_ranges(*gguf, {cut, layers}, false);
      // Both models' tensors are multiples of the alignment: no padding, so the sum is exact.
      EXPECT_EQ(bytes_of(head) + bytes_of(rest), all) << name << " cut at " << cut;
      for (const FileRange& a : head) {
        for (const FileRange& b : rest) EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
      }
    }
    EXPECT_EQ(stage_ranges(*gguf, {0, layers}, true).size(), 1u);
  }
}

TEST(StageRanges, PaddingJoinsAndAnotherLayersTensorSeparates) {
  // Each tensor of 3 floats is 12 bytes long and 32 apart.
  const auto gguf = TestGguf()
                        .key("general.architecture", "llama")
                        .tensor("blk.0.a", {3})
                        .tensor("blk.0.b", {3})
                        .tensor("blk.1.a", {3})
                        .tensor("rope_freqs.weight", {3})
                        .tensor("blk.0.c", {3})
                        .parse();
  ASSERT_TRUE(gguf) << gguf.error().message;
  const std::uint64_t data = (*gguf)->find("blk.0.a")->offset;
  const std::vector<FileRange> expected = {{.offset = data, .bytes = 44}, {.offset = data + 96, .bytes = 44}};
  EXPECT_EQ(stage_ranges(**gguf, {0, 1}, false), expected);
  const std::vector<FileRange> other = {{.offset = data + 64, .bytes = 44}};
  EXPECT_EQ(stage_ranges(**gguf, {1, 2}, false), other);
}

}  // namespace
}  // namespace flotilla
