// Texts in, vectors out: OpenAI's way and Ollama's two, against a backend that answers by script.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "base/embed_limits.h"
#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

Response post(ServerUnderTest& server, const std::string& path, const json& body) {
  TestClient client(server.port());
  client.send(post_request(path, body.dump()));
  return client.read();
}

// What the script makes of tokens, before it is brought to length 1.
std::vector<float> vector_of(const std::vector<float>& values) {
  const float length = std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0f));
  std::vector<float> unit;
  for (const float value : values) unit.push_back(value / length);
  return unit;
}

std::vector<float> floats_of_base64(const std::string& text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t group = 0;
  int have = 0;
  for (const char digit : text) {
    if (digit == '=') break;
    group = group << 6 | static_cast<std::uint32_t>(digits.find(digit));
    have += 6;
    if (have < 8) continue;
    have -= 8;
    bytes += static_cast<char>(group >> have & 255);
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

TEST(Embedding, AStringBecomesOneVectorWithUsage) {
  ServerUnderTest server;
  const auto answer = post(server, "/v1/embeddings", {{"model", "vectors"}, {"input", "hi"}});
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json body = answer.json();
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["model"], "vectors");
  ASSERT_EQ(body["data"].size(), 1u);
  EXPECT_EQ(body["data"][0]["index"], 0);
  EXPECT_EQ(body["data"][0]["object"], "embedding");
  EXPECT_EQ(body["data"][0]["embedding"].get<std::vector<float>>(), vector_of({3, 256, 'i', 1}));
  EXPECT_EQ(body["usage"], (json{{"prompt_tokens", 3}, {"total_tokens", 3}}));
}

TEST(Embedding, TextsAndTokensKeepTheirOrderAndTokensAreTakenAsTheyAre) {
  ServerUnderTest server;
  const auto texts = post(server, "/embeddings", {{"model", "vectors"}, {"input", {"a", "bcd"}}}).json();
  EXPECT_EQ(texts["data"][1]["index"], 1);
  EXPECT_EQ(texts["data"][0]["embedding"].get<std::vector<float>>(), vector_of({2, 256, 'a', 1}));
  EXPECT_EQ(texts["data"][1]["embedding"].get<std::vector<float>>(), vector_of({4, 256, 'd', 1}));
  const auto tokens = post(server, "/v1/embeddings", {{"model", "vectors"}, {"input", {1, 2, 3}}}).json();
  ASSERT_EQ(tokens["data"].size(), 1u);
  EXPECT_EQ(tokens["data"][0]["embedding"].get<std::vector<float>>(), vector_of({3, 1, 3, 1}));
  const auto lists =
      post(server, "/v1/embeddings", {{"model", "vectors"}, {"input", json::array({{7}, {8, 9}})}}).json();
  ASSERT_EQ(lists["data"].size(), 2u);
  EXPECT_EQ(lists["data"][1]["embedding"].get<std::vector<float>>(), vector_of({2, 8, 9, 1}));
  EXPECT_EQ(lists["usage"]["prompt_tokens"], 3);
}

TEST(Embedding, Base64HoldsTheSameFloats) {
  ServerUnderTest server;
  const json request{{"model", "vectors"}, {"input", {"hi", "", "some more"}}, {"encoding_format", "base64"}};
  const auto answer = post(server, "/v1/embeddings", request).json();
  json plain = request;
  plain["encoding_format"] = "float";
  const auto numbers = post(server, "/v1/embeddings", plain).json();
  ASSERT_EQ(answer["data"].size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(floats_of_base64(answer["data"][i]["embedding"].get<std::string>()),
              numbers["data"][i]["embedding"].get<std::vector<float>>());
}

TEST(Embedding, WhatIsNotUnderstoodIsRefusedByName) {
  ServerUnderTest server;
  const std::vector<BadFields> cases{
      {{{"input", nullptr}}, "input", "expected input to be a text"},
      {{{"input", 5}}, "input", "expected input to be a text"},
      {{{"input", json::array()}}, "input", "an empty list"},
      {{{"input", {"a", 5}}}, "input", "an array of 2 items"},
      {{{"input", {300}}}, "input", "LangChain: check_embedding_ctx_length=False"},
      {{{"input", json::array({json::array()})}}, "input", "expected input to be"},
      {{{"input", std::vector<std::string>(limits::embed_texts_max + 1, "a")}}, "input", "at most 2048 texts"},
      {{{"input", std::string(5000, 'a')}}, "input", "at most 4096 tokens"},
      {{{"dimensions", 3}}, "dimensions", "dimensions to be 4"},
      {{{"encoding_format", "hex"}}, "encoding_format", "float"},
      {{{"input", {"a", ""}}, {"model", "bare-vectors"}}, "input", "at least one token"},
      {{{"input", std::string(9u << 20, 'a')}}, "input", "bytes of texts"},
      {{{"model", "tiny"}}, "model", "tiny generates text"},
  };
  for (const auto& [change, param, words] : cases) {
    json request{{"model", "vectors"}, {"input", "hi"}};
    request.update(change);
    const auto answer = post(server, "/v1/embeddings", request);
    EXPECT_EQ(answer.status, words == std::string("at most 2048 texts") ? 413 : 400) << answer.body;
    EXPECT_THAT(answer.json()["error"]["message"], HasSubstr(words));
    EXPECT_EQ(answer.json()["error"]["param"], param);
  }
  const json same{{"model", "vectors"}, {"input", "hi"}, {"dimensions", 4}};
  EXPECT_EQ(post(server, "/v1/embeddings", same).status, 200);
}

TEST(Embedding, AModelThatMakesVectorsAnswersNoChat) {
  ServerUnderTest server;
  json asked = chat("hi");
  asked["model"] = "vectors";
  const auto answer = post(server, "/v1/chat/completions", asked);
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.json()["error"]["message"], HasSubstr("vectors makes vectors of texts; ask it by /v1/embeddings"));
  EXPECT_EQ(answer.json()["error"]["code"], "unsupported");
  const auto tokens = post(server, "/tokenize", {{"model", "vectors"}, {"content", "hi"}});
  EXPECT_EQ(tokens.status, 200) << tokens.body;
}

TEST(Embedding, RankingSaysWhatItLacks) {
  ServerUnderTest server;
  const auto answer = post(server, "/v1/rerank", {{"model", "vectors"}, {"query", "a"}, {"documents", {"b"}}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.json()["error"]["message"], HasSubstr("ranking head"));
}

TEST(Embedding, OllamasAnswersHaveDurationsAndCutLongTextsUnlessToldNotTo) {
  ServerUnderTest server;
  const auto answer = post(server, "/api/embed", {{"model", "vectors:latest"}, {"input", {"a", "bc"}}}).json();
  EXPECT_EQ(answer["model"], "vectors");
  ASSERT_EQ(answer["embeddings"].size(), 2u);
  EXPECT_EQ(answer["embeddings"][1].get<std::vector<float>>(), vector_of({3, 256, 'c', 1}));
  EXPECT_EQ(answer["prompt_eval_count"], 5);
  EXPECT_GT(answer["total_duration"].get<std::int64_t>(), 0);
  EXPECT_GE(answer["total_duration"], answer["load_duration"]);

  // The script's tokens do not end with a mark, so the last letter stays where a mark would.
  const json long_text{{"model", "vectors"}, {"input", std::string(5000, 'a') + "z"}};
  const auto cut = post(server, "/api/embed", long_text).json();
  EXPECT_EQ(cut["embeddings"][0].get<std::vector<float>>(), vector_of({4096, 256, 'z', 1}));
  json whole = long_text;
  whole["truncate"] = false;
  const auto refused = post(server, "/api/embed", whole);
  EXPECT_EQ(refused.status, 400);
  EXPECT_THAT(refused.json()["error"].get<std::string>(), HasSubstr("at most 4096 tokens"));

  EXPECT_EQ(post(server, "/api/embed", {{"model", "vectors"}, {"input", ""}}).json()["embeddings"], json::array());
  const auto old = post(server, "/api/embeddings", {{"model", "vectors"}, {"prompt", "bc"}}).json();
  EXPECT_EQ(old["embedding"].get<std::vector<float>>(), vector_of({3, 256, 'c', 1}));
  EXPECT_EQ(post(server, "/api/embeddings", {{"model", "vectors"}}).json()["embedding"], json::array());
}

TEST(Embedding, AClientThatHangsUpIsNotWorkedFor) {
  ServerUnderTest server;
  {
    TestClient client(server.port());
    client.send(post_request("/v1/embeddings", json{{"model", "vectors"}, {"input", "[held]"}}.dump()));
    ASSERT_TRUE(server.backend().wait_for_held(1));
  }
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

}  // namespace
}  // namespace flotilla
