// OpenAI's chat answers, whole and streamed, field by field.
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
using namespace std::chrono_literals;

constexpr auto path = "/v1/chat/completions";
constexpr auto answer_text = "one two three four five";

TEST(Chat, AWholeAnswerHasOpenAisForm) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(path, chat("hi"));
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-type"), "application/json");
  EXPECT_THAT(response.headers.at("x-request-id"), StartsWith("req_"));
  const auto body = response.json();
  EXPECT_THAT(body["id"].get<std::string>(), StartsWith("chatcmpl-"));
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_GT(body["created"], 1'600'000'000);
  EXPECT_EQ(body["model"], "tiny");
  EXPECT_THAT(body["system_fingerprint"].get<std::string>(), StartsWith("fp_"));
  const json choice = {{"index", 0},
                       {"message", {{"role", "assistant"}, {"content", answer_text}, {"refusal", nullptr}}},
                       {"logprobs", nullptr},
                       {"finish_reason", "stop"}};
  EXPECT_EQ(body["choices"], json::array({choice}));
  // "user: hi\nassistant: " and the BOS.
  EXPECT_EQ(body["usage"], (json{{"prompt_tokens", 21},
                                 {"prompt_tokens_details", {{"cached_tokens", 0}}},
                                 {"completion_tokens", 23},
                                 {"total_tokens", 44}}));
}

TEST(Chat, AStreamBeginsWithTheRoleAndEndsWithAFinishOfItsOwn) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(path, chat("hi", {{"stream", true}}));
  EXPECT_THAT(response.headers.at("content-type"), StartsWith("text/event-stream"));
  EXPECT_EQ(response.events().back(), "[DONE]");
  const auto all = chunks(response);
  ASSERT_GE(all.size(), 3u);
  EXPECT_EQ(all.front()["choices"][0]["delta"], (json{{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}}));
  std::string text;
  for (const auto& chunk : all) {
    EXPECT_EQ(chunk["id"], all.front()["id"]);
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_FALSE(chunk.contains("usage"));
    const auto& choice = chunk["choices"][0];
    text += choice["delta"].value("content", "");
    EXPECT_EQ(choice["finish_reason"].is_null(), &chunk != &all.back());
  }
  EXPECT_EQ(text, answer_text);
  EXPECT_EQ(all.back()["choices"][0]["delta"], json::object());
  EXPECT_EQ(all.back()["choices"][0]["finish_reason"], "stop");
}

TEST(Chat, UsageComesInAChunkOfItsOwnBeforeDone) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto all =
      chunks(client.post(path, chat("hi", {{"stream", true}, {"stream_options", {{"include_usage", true}}}})));
  EXPECT_EQ(all.back()["choices"], json::array());
  EXPECT_EQ(all.back()["usage"]["completion_tokens"], 23);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    ASSERT_TRUE(all[i].contains("usage"));
    EXPECT_TRUE(all[i]["usage"].is_null());
  }
}

TEST(Chat, SeveralChoicesAreCountedOnceEachInWholeAndStream) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto whole = client.post(path, chat("hi", {{"n", 3}})).json();
  ASSERT_EQ(whole["choices"].size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(whole["choices"][i]["index"], i);
  EXPECT_EQ(whole["usage"]["prompt_tokens"], 21);
  EXPECT_EQ(whole["usage"]["completion_tokens"], 69);
  std::map<int, std::string> texts;
  std::map<int, int> roles, finishes;
  for (const auto& chunk : chunks(client.post(path, chat("hi", {{"n", 2}, {"stream", true}})))) {
    const auto& choice = chunk["choices"][0];
    texts[choice["index"]] += choice["delta"].value("content", "");
    roles[choice["index"]] += choice["delta"].contains("role");
    finishes[choice["index"]] += !choice["finish_reason"].is_null();
  }
  EXPECT_EQ(texts, (std::map<int, std::string>{{0, answer_text}, {1, answer_text}}));
  EXPECT_EQ(roles, (std::map<int, int>{{0, 1}, {1, 1}}));
  EXPECT_EQ(finishes, roles);
}

TEST(Chat, ChoicesOfARequestShareItsSeedAndDifferInTheirNumber) {
  ServerUnderTest server;
  std::vector<GenerateRequest> requests;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest& r) { requests.push_back(r); }; });
  TestClient client(server.port());
  client.post(path, chat("hi", {{"n", 2}}));
  client.post(path, chat("hi"));
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].sampling.seed, requests[1].sampling.seed);
  EXPECT_EQ(requests[1].choice, 1u);
  EXPECT_NE(requests[0].id, requests[1].id);
  EXPECT_NE(requests[0].sampling.seed, requests[2].sampling.seed);
}

TEST(Chat, LogprobsHaveTokensBytesAndTheBest) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = client.post(path, chat("hi", {{"logprobs", true}, {"top_logprobs", 2}, {"max_tokens", 3}})).json();
  const auto& logprobs = body["choices"][0]["logprobs"];
  EXPECT_TRUE(logprobs["refusal"].is_null());
  ASSERT_EQ(logprobs["content"].size(), 3u);
  EXPECT_EQ(logprobs["content"][0], (json{{"token", "o"},
                                          {"logprob", -0.25},
                                          {"bytes", {'o'}},
                                          {"top_logprobs",
                                           {{{"token", "o"}, {"logprob", -0.25}, {"bytes", {'o'}}},
                                            {{"token", "p"}, {"logprob", -1.25}, {"bytes", {'p'}}}}}}));
  EXPECT_EQ(body["choices"][0]["finish_reason"], "length");
  const auto plain = client.post(path, chat("hi", {{"logprobs", true}, {"max_tokens", 1}})).json();
  EXPECT_EQ(plain["choices"][0]["logprobs"]["content"][0]["top_logprobs"], json::array());
  std::size_t streamed = 0;
  for (const auto& chunk :
       chunks(client.post(path, chat("hi", {{"logprobs", true}, {"max_tokens", 5}, {"stream", true}})))) {
    const auto& piece = chunk["choices"][0]["logprobs"];
    if (piece.is_object()) streamed += piece["content"].size();
  }
  EXPECT_EQ(streamed, 5u);
}

TEST(Chat, AStopStringAcrossTokensEndsTheAnswerAndTheComputing) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto more = json{{"stop", {"zebra", "three"}}, {"logprobs", true}, {"return_token_ids", true}};
  const auto choice = client.post(path, chat("forever", more)).json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "one two ");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["logprobs"]["content"].size(), 8u);  // the stop string's own tokens are not part of the text
  EXPECT_EQ(choice["token_ids"].size(), 13u);           // but they were generated
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
  const auto text = client.post(path, chat("hi", {{"stop", "two"}})).json()["choices"][0]["message"]["content"];
  EXPECT_EQ(text, "one ");
}

TEST(Chat, HalfACharacterIsNeverSent) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"stream", true}, {"logprobs", true}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    server.backend().emit(held, "a\xE2\x82\xAC\xF0\x9F");
    server.backend().end(held, FinishReason::length);
  });
  const auto all = chunks(client.read());
  ASSERT_EQ(all.size(), 5u);  // role, a, the euro sign, the broken rest, finish
  EXPECT_EQ(all[2]["choices"][0]["delta"]["content"], "€");
  EXPECT_EQ(all[2]["choices"][0]["logprobs"]["content"].size(), 3u);
  EXPECT_EQ(all[2]["choices"][0]["logprobs"]["content"][0]["bytes"], json::array({0xE2}));
  EXPECT_EQ(all[3]["choices"][0]["delta"]["content"], "\uFFFD");
  EXPECT_EQ(all[4]["choices"][0]["finish_reason"], "length");
}

TEST(Chat, ATokenWithoutTextKeepsItsLogprobs) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"logprobs", true}, {"return_token_ids", true}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    held.on_token({.id = held.request.id, .has_token = true, .token = scripted_bos, .top = {}, .error = {}});
    server.backend().end(held, FinishReason::stop);
  });
  const auto choice = client.read().json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "");
  EXPECT_EQ(choice["logprobs"]["content"][0]["token"], "<s>");
  EXPECT_EQ(choice["token_ids"], json::array({scripted_bos}));
}

TEST(Chat, ATemplateThatRefusesIsTheClientsFault) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(path, chat("refuse me"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.json()["error"]["param"], "messages");
}

TEST(Chat, OverloadIs429WithRetryAfterAlsoForAStream) {
  ServerUnderTest server({.choices_running_max = 2, .stream_grace = 10s});
  TestClient client(server.port());
  const auto refused = client.post(path, chat("hi", {{"n", 3}}));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(refused.json()["error"]["code"], "rate_limit_exceeded");
  // Refused by the queue behind us, before a token came.
  EXPECT_EQ(client.post(path, chat("[full]", {{"stream", true}})).status, 429);
  // What has ended counts no more.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.post(path, chat("hi", {{"n", 2}})).status, 200);
}

TEST(Chat, WhoWaitsForItsModelTakesAPlace) {
  ServerUnderTest server({.choices_running_max = 1});
  TestClient waiting(server.port()), other(server.port());
  waiting.send(post_request(path, chat("hi", {{"model", "slow-loading"}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  EXPECT_EQ(other.post(path, chat("hi")).status, 429);
  server.on_loop([&] { server.backend().finish_opening({}); });
  EXPECT_EQ(waiting.read().status, 200);
  EXPECT_EQ(other.post(path, chat("hi")).status, 200);
}

TEST(Chat, AFailureInMidStreamIsAnErrorEventAndTheEnd) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.post(path, chat("[broken]", {{"stream", true}}));
  EXPECT_EQ(response.status, 200);
  const auto events = response.events();
  const auto error = json::parse(events.back())["error"];
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("a stage was lost"));
  EXPECT_EQ(error["type"], "server_error");
  EXPECT_EQ(error["code"], "unavailable");
  EXPECT_TRUE(client.ended());
  TestClient other(server.port());
  const auto whole = other.post(path, chat("[broken]", {{"n", 2}}));
  EXPECT_EQ(whole.status, 503);
  EXPECT_TRUE(whole.headers.contains("retry-after"));
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));  // the other choice
}

TEST(Chat, HeadersGoOutBeforeTheFirstTokenAndCommentsWhileSilent) {
  ServerUnderTest server({.stream_keepalive = 10ms, .stream_grace = 1ms});
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"stream", true}}).dump()));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("200 OK"));
  client.read_until(": keep-alive\n\n");
  client.read_until(": keep-alive\n\n");
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    server.backend().emit(held, "x");
    server.backend().end(held, FinishReason::stop);
  });
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("\"content\":\"x\""));
}

TEST(Chat, CommentsSayWhereAnAnswerWaitsForItsModelToBeLoadedAgain) {
  ServerUnderTest server({.stream_keepalive = 10ms, .stream_grace = 1ms});
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"stream", true}}).dump()));
  client.read_until(": keep-alive\n\n");
  server.on_loop([&] { server.backend().is_waiting = true; });
  client.read_until(": waiting\n\n");
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] {
    auto& held = *server.backend().held.front();
    server.backend().emit(held, "x");
    server.backend().end(held, FinishReason::stop);
  });
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("\"content\":\"x\""));
}

TEST(Chat, AStreamThatWaitsForItsModelStaysAlive) {
  ServerUnderTest server({.stream_keepalive = 10ms});
  TestClient client(server.port());
  client.send(post_request(path, chat("hi", {{"model", "slow-loading"}, {"stream", true}}).dump()));
  client.read_until(": keep-alive\n\n");
  server.on_loop([&] { server.backend().finish_opening({}); });
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("chat.completion.chunk"));

  client.send(post_request(path, chat("hi", {{"model", "slow-loading"}, {"stream", true}}).dump()));
  client.read_until(": keep-alive\n\n");
  server.on_loop([&] { server.backend().finish_opening(fail(Code::no_memory, "[planner] 3 GiB are missing")); });
  EXPECT_THAT(client.read_until("}}\n\n"), HasSubstr("3 GiB are missing"));
}
}  // namespace
}  // namespace flotilla
