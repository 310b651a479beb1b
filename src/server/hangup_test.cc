// Clients that leave, stall, crowd or talk nonsense: what they asked for stops at once, and the server lives on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto path = "/v1/chat/completions";

class Hangup : public testing::TestWithParam<bool> {};

TEST_P(Hangup, CancelsEveryChoiceBeforeTheNextToken) {
  ServerUnderTest server;
  auto client = std::make_unique<TestClient>(server.port());
  client->send(post_request(path, chat("[manual]", {{"stream", GetParam()}, {"n", 2}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(2));
  server.on_loop([&] { server.backend().emit(*server.backend().held.front(), "x"); });
  if (GetParam()) client->read_until("\"content\":\"x\"");
  client->close();
  EXPECT_TRUE(server.backend().wait_for_cancelled(2));  // and no further token was needed to notice
}

TEST_P(Hangup, ByResetCancelsToo) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"stream", GetParam()}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  client.reset();
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

TEST_P(Hangup, AfterPipeliningCancelsToo) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"stream", GetParam()}}).dump()) + get_request("/health"));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  client.close();
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

TEST_P(Hangup, WhileItsModelLoadsStartsNothing) {
  ServerUnderTest server({.choices_running_max = 1});
  TestClient client(server.port());
  client.send(post_request(path, chat("hi", {{"model", "slow-loading"}, {"stream", GetParam()}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  bool generated = false;
  server.on_loop([&] { server.backend().on_generate = [&](const GenerateRequest&) { generated = true; }; });
  client.close();
  // The loop sees the hang-up before anything sent after it.
  TestClient other(server.port());
  EXPECT_EQ(other.get("/health").status, 200);
  server.on_loop([&] { server.backend().finish_opening({}); });
  server.on_loop([] {});
  EXPECT_FALSE(generated);
}

TEST(HangupOfAMeasurement, IsTold) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request("/measure", R"({"never":true})"));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  client.close();
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

INSTANTIATE_TEST_SUITE_P(WholeAndStream, Hangup, testing::Bool(),
                         [](const auto& which) { return which.param ? "Stream" : "Whole"; });

TEST(SlowClient, IsCancelledOnceTooManyEventsWait) {
  ServerUnderTest server({.stream_events_queued_max = 64});
  server.on_loop([&] { server.backend().context_tokens = 1u << 20; });
  TestClient client(server.port(), 4096);
  client.send(post_request(path, chat("forever", {{"stream", true}}).dump()));
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

TEST(SlowClient, ThatTakesNothingIsClosedAfterItsTime) {
  ServerUnderTest server({.stream_events_queued_max = 1u << 20, .write_time_max = 50ms});
  server.on_loop([&] { server.backend().context_tokens = 1u << 20; });
  TestClient client(server.port(), 4096);
  client.send(post_request(path, chat("forever", {{"stream", true}}).dump()));
  EXPECT_TRUE(server.backend().wait_for_cancelled(1));
}

TEST(Crowd, TwoHundredStreamsAtOnceAllEndWhole) {
  ServerUnderTest server({}, 1ms);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    clients.back()->send(
        post_request(path, chat(std::format("forever {}", i), {{"stream", true}, {"max_tokens", 40}}).dump()));
  }
  for (auto& client : clients) {
    const auto events = client->read().events();
    ASSERT_EQ(events.size(), 43u);  // role, 40 tokens, finish, [DONE]
    EXPECT_EQ(events.back(), "[DONE]");
  }
}

TEST(Nonsense, OnThePortNeverEndsTheServer) {
  ServerUnderTest server({.header_time_max = 200ms});
  std::mt19937 random(20240607);
  const std::string starts[] = {"",
                                "GET ",
                                "POST /v1/chat/completions HTTP/1.1\r\n",
                                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                "\x16\x03\x01\x02",
                                "GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                                "POST /load HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nzz\r\n"};
  for (int round = 0; round < 140; ++round) {
    TestClient client(server.port());
    std::string bytes = starts[static_cast<std::size_t>(round) % std::size(starts)];
    const auto count = random() % 3000;
    for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(random());
    client.send(bytes);
    if (round % 3 == 0) client.reset();
  }
  TestClient client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
}

TEST(Nonsense, ARequestCutAnywhereHarmsNobody) {
  ServerUnderTest server;
  const auto whole = post_request(path, chat("hi", {{"stream", true}}).dump());
  for (std::size_t cut = 0; cut < whole.size(); cut += 3) {
    TestClient client(server.port());
    client.send(whole.substr(0, cut));
  }
  TestClient client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
}

TEST(Stop, TellsOpenStreamsAndWholeAnswers) {
  ServerUnderTest server;
  TestClient stream(server.port()), whole(server.port());
  stream.send(post_request(path, chat("[manual]", {{"stream", true}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.on_loop([&] { server.backend().emit(*server.backend().held.front(), "x"); });
  whole.send(post_request(path, chat("[manual]").dump()));
  ASSERT_TRUE(server.backend().wait_for_held(2));
  server.stop();
  const auto events = stream.read().events();
  EXPECT_THAT(events.back(), testing::HasSubstr("this node is stopping"));
  EXPECT_TRUE(stream.ended());
  EXPECT_EQ(whole.read().status, 503);
  EXPECT_TRUE(whole.ended());
  EXPECT_EQ(server.backend().cancelled_count(), 2u);
}

TEST(Stop, DestroyingTheServerCancelsWhatRuns) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(post_request(path, chat("[manual]", {{"stream", true}}).dump()));
  ASSERT_TRUE(server.backend().wait_for_held(1));
  server.destroy();
  EXPECT_EQ(server.backend().cancelled_count(), 1u);
  EXPECT_TRUE(client.ended());
}

}  // namespace
}  // namespace flotilla
