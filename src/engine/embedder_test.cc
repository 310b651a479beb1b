// An embedder on a real model, against what another implementation made of the same tokens
// (tests/oracle/record_embeddings.py).
#include "engine/embedder.h"

#include <ggml.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

namespace flotilla {
namespace {

using testing::HasSubstr;

struct Recorded {
  std::string text;
  TextTokens tokens;
  std::vector<float> vector;
};

// Base64 of F16, little-endian.
std::vector<float> floats_of(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<float> values;
  std::uint64_t bits = 0;
  int have = 0;
  for (const char digit : text.substr(0, text.find('='))) {
    bits |= static_cast<std::uint64_t>(digits.find(digit)) << (58 - have);
    have += 6;
    if (have < 16) continue;
    const auto low = static_cast<ggml_fp16_t>(bits >> 56), high = static_cast<ggml_fp16_t>(bits >> 48 & 0xFF);
    values.push_back(ggml_fp16_to_fp32(static_cast<ggml_fp16_t>(high << 8 | low)));
    bits <<= 16;
    have -= 16;
  }
  return values;
}

const std::vector<Recorded>& recorded() {
  static const std::vector<Recorded> all = [] {
    std::ifstream file(FLOTILLA_SOURCE_DIR "/tests/data/embeddings/all-MiniLM-L6-v2.json");
    std::vector<Recorded> list;
    const auto data = nlohmann::json::parse(file);
    for (const auto& each : data["texts"])
      list.push_back({each["text"].get<std::string>(), each["ids"].get<TextTokens>(),
                      floats_of(each["vector"].get_ref<const std::string&>())});
    return list;
  }();
  return all;
}

Embedder& minilm() {
  static const std::unique_ptr<Embedder> embedder = [] {
    EXPECT_TRUE(start_engine());
    const auto gguf = Gguf::open(FLOTILLA_SOURCE_DIR "/.cache/models/all-MiniLM-L6-v2.F16.gguf");
    EXPECT_TRUE(gguf) << gguf.error().message << "; run scripts/models, which makes it";
    auto loaded = Embedder::load(**gguf, (*gguf)->files(), 1, nullptr);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return *std::move(loaded);
  }();
  return *embedder;
}

double distance(std::span<const float> one, std::span<const float> other) {
  const auto dot = [](std::span<const float> a, std::span<const float> b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  return 1 - dot(one, other) / std::sqrt(dot(one, one) * dot(other, other));
}

// As many at once as a step takes, as they come.
std::vector<std::vector<float>> embed_all(const std::vector<Recorded>& texts, std::size_t at_once) {
  std::vector<std::vector<float>> vectors;
  for (std::size_t first = 0; first < texts.size();) {
    std::vector<const TextTokens*> step;
    std::size_t tokens = 0;
    while (first + step.size() < texts.size() && step.size() < at_once) {
      const TextTokens& next = texts[first + step.size()].tokens;
      if (!step.empty() && tokens + next.size() > minilm().tokens_max()) break;
      tokens += next.size();
      step.push_back(&next);
    }
    const auto made = minilm().embed(step);
    EXPECT_TRUE(made) << made.error().message;
    const std::size_t length = made->size() / step.size();
    for (std::size_t i = 0; i < step.size(); ++i)
      vectors.emplace_back(made->begin() + static_cast<std::ptrdiff_t>(i * length),
                           made->begin() + static_cast<std::ptrdiff_t>((i + 1) * length));
    first += step.size();
  }
  return vectors;
}

TEST(Embedder, EveryVectorIsAsTheReferenceMadeIt) {
  ASSERT_GE(recorded().size(), 200u);
  const auto vectors = embed_all(recorded(), 64);
  double worst = 0;
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const double apart = distance(vectors[i], recorded()[i].vector);
    worst = std::max(worst, apart);
    EXPECT_LE(apart, 1e-3) << recorded()[i].text;
    EXPECT_NEAR(std::inner_product(vectors[i].begin(), vectors[i].end(), vectors[i].begin(), 0.0), 1, 1e-5);
  }
  RecordProperty("worst_distance", std::to_string(worst));
  std::printf("the largest cosine distance of %zu: %.2e\n", vectors.size(), worst);
}

// Products of other row counts may differ in their last bits, nothing more.
TEST(Embedder, ATextsVectorDoesNotHangOnItsCompany) {
  std::vector<Recorded> some(recorded().begin(), recorded().begin() + 40);
  const auto alone = embed_all(some, 1), together = embed_all(some, 40);
  for (std::size_t i = 0; i < some.size(); ++i) EXPECT_LE(distance(alone[i], together[i]), 2e-6) << some[i].text;
}

TEST(Embedder, WhatDoesNotFitIsRefused) {
  const auto why = [](TextTokens text) {
    const auto status = minilm().check_text(text);
    return status ? std::string() : status.error().message;
  };
  const TextTokens longest(minilm().spec().context_length, 101);
  EXPECT_EQ(why(longest), "");
  EXPECT_THAT(why({}), HasSubstr("1 to 512 tokens but got 0"));
  EXPECT_THAT(why(TextTokens(513, 101)), HasSubstr("but got 513"));
  EXPECT_THAT(why({101, 30522, 102}), HasSubstr("below 30522 but got 30522"));
  EXPECT_THAT(why({101, -1}), HasSubstr("but got -1"));
  const TextTokens* const both[] = {&longest, &longest};
  const auto made = minilm().embed(both);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("together but got 1024"));
}

TEST(Embedder, AModelThatGeneratesIsNoneAndThisOneGeneratesNothing) {
  const auto other = Gguf::open(FLOTILLA_SOURCE_DIR "/.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf");
  ASSERT_TRUE(other);
  const auto refused = Embedder::load(**other, (*other)->files(), 1, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("generates text"));
  const auto own = Gguf::open(FLOTILLA_SOURCE_DIR "/.cache/models/all-MiniLM-L6-v2.F16.gguf");
  ASSERT_TRUE(own);
  const auto stage =
      Stage::load(*own, {}, {.layers = {0, 6}, .is_head = true, .shares = {}, .context_tokens = 64}, nullptr);
  ASSERT_FALSE(stage);
  EXPECT_EQ(stage.error().code, Code::unsupported);
}

}  // namespace
}  // namespace flotilla
