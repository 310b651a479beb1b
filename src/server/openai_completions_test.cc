// OpenAI's older dialect: prompt in, text out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr auto path = "/v1/completions";
constexpr auto answer_text = "one two three four five";

TEST(Completions, AWholeAnswerHasOpenAisForm) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = client.post(path, completion("hi")).json();
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("cmpl-"));
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["choices"],
            json::array({{{"index", 0}, {"text", answer_text}, {"logprobs", nullptr}, {"finish_reason", "stop"}}}));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
}

TEST(Completions, AStreamHasTextAndThenAFinish) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(path, completion("hi", {{"stream", true}, {"max_tokens", 7}}));
  const auto all = chunks(response);
  std::string text;
  for (const auto& chunk : all) {
    EXPECT_EQ(chunk["object"], "text_completion");
    text += chunk["choices"][0]["text"].get<std::string>();
    EXPECT_EQ(chunk["choices"][0]["finish_reason"].is_null(), &chunk != &all.back());
  }
  EXPECT_EQ(text, "one two");
  EXPECT_EQ(all.back()["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(response.events().back(), "[DONE]");
}

TEST(Completions, PromptsComeAsTextTokensOrArraysOfEither) {
  ServerUnderTest server;
  EXPECT_EQ(seen(server, path, completion("hi"))->prompt, (std::vector<TokenId>{scripted_bos, 'h', 'i'}));
  EXPECT_EQ(seen(server, path, completion({104, 105}))->prompt, (std::vector<TokenId>{104, 105}));
  EXPECT_EQ(seen(server, path, completion(""))->prompt, (std::vector<TokenId>{scripted_bos}));
  TestClient client(server.port());
  for (const json& prompts : {json{"a", "b"}, json{{97}, {98}}}) {
    const auto body = client.post(path, completion(prompts, {{"n", 2}, {"echo", true}, {"max_tokens", 1}})).json();
    ASSERT_EQ(body["choices"].size(), 4u);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(body["choices"][i]["index"], i);
      EXPECT_EQ(body["choices"][i]["text"], i < 2 ? "ao" : "bo");
    }
  }
}

TEST(Completions, LogprobsAreParallelArrays) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = client.post(path, completion("hi", {{"logprobs", 2}, {"max_tokens", 3}})).json();
  EXPECT_EQ(body["choices"][0]["logprobs"],
            (json{{"tokens", {"o", "n", "e"}},
                  {"token_logprobs", {-0.25, -0.25, -0.25}},
                  {"top_logprobs",
                   {{{"o", -0.25}, {"p", -1.25}}, {{"n", -0.25}, {"o", -1.25}}, {{"e", -0.25}, {"f", -1.25}}}},
                  {"text_offset", {0, 1, 2}}}));
  const auto none = client.post(path, completion("hi", {{"logprobs", 0}, {"max_tokens", 1}})).json();
  EXPECT_TRUE(none["choices"][0]["logprobs"]["top_logprobs"].is_null());
  EXPECT_EQ(none["choices"][0]["logprobs"]["token_logprobs"], json::array({-0.25}));
}

TEST(Completions, AnEchoedPromptCanBeScoredWithoutAnAnswer) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto scoring = completion("h\u20AC!", {{"echo", true}, {"logprobs", 1}, {"max_tokens", 0}});
  const auto body = client.post(path, scoring).json();
  const auto& choice = body["choices"][0];
  EXPECT_EQ(choice["text"], "h€!");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(choice["logprobs"]["tokens"].size(), 6u);
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], json::array({nullptr, -0.25, -0.25, -0.25, -0.25, -0.25}));
  EXPECT_EQ(choice["logprobs"]["text_offset"], json::array({0, 0, 1, 2, 2, 2}));
  EXPECT_EQ(body["usage"]["completion_tokens"], 0);
  const auto more = client.post(path, completion("hi", {{"echo", true}, {"logprobs", 1}, {"max_tokens", 2}})).json();
  EXPECT_EQ(more["choices"][0]["text"], "hion");
  EXPECT_EQ(more["choices"][0]["logprobs"]["text_offset"], json::array({0, 0, 1, 2, 3}));
}

TEST(Completions, BadFieldsAreNamed) {
  ServerUnderTest server;
  TestClient client(server.port());
  const std::vector<BadFields> cases{
      {{{"prompt", nullptr}}, "prompt", "a string"},
      {{{"prompt", 5}}, "prompt", "got 5"},
      {{{"prompt", json::array()}}, "prompt", "got an array of 0 items"},
      {{{"prompt", {"a", 1}}}, "prompt", "got an item that is 1"},
      {{{"prompt", {1, "a"}}}, "prompt", "got a string"},
      {{{"prompt", {-1}}}, "prompt", "got -1"},
      {{{"prompt", {1.5}}}, "prompt", "got 1.5"},
      {{{"prompt", {258}}}, "prompt", "below 258"},
      {{{"prompt", {{1}, json::array()}}}, "prompt", "items"},
      {{{"prompt", std::vector<std::string>(65, "x")}}, "prompt", "at most 64"},
      {{{"suffix", "x"}}, "suffix", "not supported"},
      {{{"best_of", 3}}, "best_of", "equal n"},
      {{{"max_tokens", 0}}, "max_tokens", "got 0"},
      {{{"logprobs", true}}, "logprobs", "an integer"},
      {{{"logprobs", 21}}, "logprobs", "from 0 to 20"},
      {{{"echo", "yes"}}, "echo", "true or false"},
      {{{"model", nullptr}}, "model", "a model's name"},
  };
  for (const auto& bad : cases) {
    const auto response = client.post(path, completion("hi", bad.more));
    EXPECT_EQ(response.status, 400) << bad.more;
    EXPECT_EQ(response.json()["error"]["param"], bad.param) << bad.more << response.body;
    EXPECT_THAT(response.json()["error"]["message"].get<std::string>(), HasSubstr(bad.words)) << bad.more;
  }
  server.on_loop([&] { server.backend().context_tokens = 10; });
  const auto error = client.post(path, completion("0123456789")).json()["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "prompt");
}

TEST(Completions, ChoicesThatTakeMoreThanAConnectionDoesAreRefusedWithWhatToDo) {
  ServerLimits limits;
  limits.request_bytes_max = 64u << 10;
  ServerUnderTest server(limits);
  TestClient client(server.port());
  const std::vector<std::vector<TokenId>> prompts(8, std::vector<TokenId>(1000, 'x'));  // three bytes a token
  EXPECT_EQ(client.post(path, completion(prompts, {{"n", 2}, {"max_tokens", 1}})).status, 200);
  std::size_t reached = 0;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest&) { ++reached; }; });
  const auto refused = client.post(path, completion(prompts, {{"n", 3}, {"max_tokens", 1}}));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json()["error"]["param"], "prompt");
  const auto message = refused.json()["error"]["message"].get<std::string>();
  for (const auto* words : {"at most 64", "but got 80", "8000 tokens in 8 prompts and n of 3", "fewer"})
    EXPECT_THAT(message, HasSubstr(words));
  nlohmann::json bias;
  for (int token = 0; token < 250; ++token) bias[std::to_string(token)] = 1;
  EXPECT_EQ(client.post(path, completion(prompts, {{"n", 2}, {"max_tokens", 1}, {"logit_bias", bias}})).status, 400);
  server.on_loop([&] { EXPECT_EQ(reached, 0u); });
}

TEST(Completions, ATextThatCannotFitIsRefusedBeforeItIsTokenized) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 10; });
  TestClient client(server.port());
  const auto refused = [&](const json& prompt, const char* words) {
    const auto response = client.post(path, completion(prompt));
    EXPECT_EQ(response.status, 400);
    const auto error = response.json()["error"];
    EXPECT_EQ(error["code"], "context_length_exceeded");
    EXPECT_EQ(error["param"], "prompt");
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr(words));
  };
  refused(std::string(4u << 20, 'x'), "a prompt of 4194304 bytes, which are at least 4194304 tokens");
  refused({"fits", std::string(11, 'x')}, "a prompt of 11 bytes");
  // Together they are bounded like the messages of a chat.
  server.on_loop([&] { server.backend().context_tokens = 1u << 20; });
  refused(std::vector<std::string>(9, std::string(1'000'000, 'x')), "8388608 bytes of prompts but got 9000000");
}

}  // namespace
}  // namespace flotilla
