// What is counted of requests, what the log says of them, and by which id.
#include "server/traffic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/log.h"
#include "server/request_id.h"
#include "server/test_client.h"

namespace flotilla {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

std::string metrics_of(ServerUnderTest& server) { return TestClient(server.port()).get("/metrics").body; }

TEST(RequestId, TheClientsIsKeptWhereItIsHarmless) {
  for (const char* id : {"a", "trace-1_2.3:4", "0123456789abcdef"}) EXPECT_EQ(request_id_for(id), id);
  EXPECT_EQ(request_id_for(std::string(request_id_bytes_max, 'x')).size(), request_id_bytes_max);
  for (const std::string& id : {std::string(), std::string("a b"), std::string("a\r\nSet-Cookie: b"), std::string("ä"),
                                std::string("\"x"), std::string(request_id_bytes_max + 1, 'x')})
    EXPECT_THAT(request_id_for(id), MatchesRegex("req_[0-9a-f]{16}")) << id;
}

TEST(RequestId, IsOnEveryAnswer) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const char* path : {"/health", "/nowhere"}) {
    client.send(get_request(path, "X-Request-Id: mine-1\r\n"));
    EXPECT_EQ(client.read().headers.at("x-request-id"), "mine-1");
    client.send(get_request(path));
    EXPECT_THAT(client.read().headers.at("x-request-id"), MatchesRegex("req_[0-9a-f]{16}"));
  }
  client.send(post_request("/v1/completions", completion("hi", {{"stream", true}}).dump(), "application/json",
                           "X-Request-Id: mine-2\r\n"));
  EXPECT_EQ(client.read().headers.at("x-request-id"), "mine-2");
  TestClient garbled(server.port());
  garbled.send("GET\r\n\r\n");
  EXPECT_THAT(garbled.read().headers.at("x-request-id"), MatchesRegex("req_[0-9a-f]{16}"));
}

TEST(Traffic, CountsAnswersByRouteAndStatus) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.get("/health");
  client.get("/health");
  client.get("/v1/models/tiny");
  client.get("/v1/models/org/no-such-model");
  client.get("/a-path-that-a-client-made-up");
  const auto text = metrics_of(server);
  for (const char* line : {R"(flotilla_http_requests_total{route="/health",method="GET",status="200"} 2)",
                           R"(flotilla_http_requests_total{route="/v1/models/{model}",method="GET",status="200"} 1)",
                           R"(flotilla_http_requests_total{route="/v1/models/{model}",method="GET",status="404"} 1)",
                           R"(flotilla_http_requests_total{route="none",method="GET",status="404"} 1)",
                           R"(flotilla_http_request_duration_seconds_count{route="/health"} 2)"})
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
  EXPECT_THAT(text, Not(HasSubstr("made-up")));
  EXPECT_THAT(text, Not(HasSubstr("no-such-model")));
}

TEST(Traffic, CountsTokensAndTimesThem) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_EQ(client.post("/v1/completions", completion("hi", {{"n", 2}})).status, 200);
  EXPECT_EQ(client.post("/v1/completions", completion("hi", {{"max_tokens", 3}})).status, 200);
  const auto text = metrics_of(server);
  for (const char* line : {R"(flotilla_prompt_tokens_total{model_name="tiny"} )",
                           R"(flotilla_request_success_total{model_name="tiny",finished_reason="stop"} 2)",
                           R"(flotilla_request_success_total{model_name="tiny",finished_reason="length"} 1)",
                           R"(flotilla_answers_running{model_name="tiny"} 0)",
                           R"(flotilla_time_to_first_token_seconds_count{model_name="tiny"} 3)",
                           R"(flotilla_e2e_request_latency_seconds_count{model_name="tiny"} 3)"})
    EXPECT_THAT(text, HasSubstr(std::string("\n") + line));
  // "one two three four five" twice, and three tokens of it; the first of each answer has none before it.
  const std::size_t tokens = 2 * std::string("one two three four five").size() + 3;
  EXPECT_THAT(text, HasSubstr("flotilla_generation_tokens_total{model_name=\"tiny\"} " + std::to_string(tokens)));
  EXPECT_THAT(
      text, HasSubstr("flotilla_inter_token_latency_seconds_count{model_name=\"tiny\"} " + std::to_string(tokens - 3)));
}

TEST(Traffic, CountsFailuresByCodeAndHangUps) {
  ServerUnderTest server;
  EXPECT_EQ(TestClient(server.port()).post("/v1/completions", completion("[broken]")).status, 503);
  EXPECT_EQ(TestClient(server.port()).post("/v1/completions", completion("hi", {{"model", "none"}})).status, 404);
  {
    TestClient client(server.port());
    client.send(post_request("/v1/completions", completion("[manual]").dump()));
    ASSERT_TRUE(server.backend().wait_for_held(1));
    client.close();
  }
  ASSERT_TRUE(server.backend().wait_for_cancelled(1));
  std::string text;
  for (int tries = 0; tries < 100 && !text.contains("499"); ++tries) text = metrics_of(server);
  for (const char* line : {R"(flotilla_request_failures_total{code="not_found"} 1)",
                           R"(flotilla_request_success_total{model_name="tiny",finished_reason="abort"} 1)",
                           R"(flotilla_request_success_total{model_name="tiny",finished_reason="error"} 1)",
                           R"(flotilla_http_requests_total{route="/v1/completions",method="POST",status="499"} 1)",
                           R"(flotilla_answers_running{model_name="tiny"} 0)"})
    EXPECT_THAT(text, HasSubstr(std::string(line) + "\n"));
}

TEST(Traffic, ModelsBeyondTheFirstAreTogether) {
  ServerTraffic traffic;
  for (std::size_t i = 0; i < ServerTraffic::models_max + 10; ++i) ++traffic.of(std::to_string(i)).prompt_tokens;
  EXPECT_EQ(traffic.of("other").prompt_tokens, 10u);
  EXPECT_EQ(traffic.of("0").prompt_tokens, 1u);
}

TEST(Traffic, LogsARequestWithItsIdAndNoWordOfIt) {
  start_log({.level = LogLevel::debug, .json = true, .name = "test"});
  testing::internal::CaptureStderr();
  {
    ServerUnderTest server;
    TestClient client(server.port());
    client.send(post_request("/v1/completions?marked=1", completion("a marked prompt").dump(), "application/json",
                             "X-Request-Id: mine\r\nAuthorization: Bearer sk-marked\r\n"));
    EXPECT_EQ(client.read().status, 200);
    client.get("/marked");
  }
  const auto lines = testing::internal::GetCapturedStderr();
  start_log({});
  EXPECT_THAT(lines, HasSubstr(R"("room":"server","request":"mine","message":"/v1/completions 200 in )"));
  EXPECT_THAT(lines, HasSubstr(": tiny, "));
  EXPECT_THAT(lines, HasSubstr("no route 404"));
  EXPECT_THAT(lines, Not(HasSubstr("marked")));
}

}  // namespace
}  // namespace flotilla
