// What is HTTP's and not a dialect's: routes, methods, keep-alive, limits in bytes and time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <string>

#include "server/http_target.h"
#include "server/test_client.h"

namespace flotilla {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

TEST(HttpTarget, IsTakenApartAndDecoded) {
  const auto target = parse_target("/models/org%2Ftiny%20x/?model=a+b%26&flag&model=c#frag");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/models/org/tiny x");
  EXPECT_EQ(target->query.at("model"), "c");
  EXPECT_EQ(target->query.at("flag"), "");
  EXPECT_EQ(parse_target("http://host:1/a?b=%41")->query.at("b"), "A");
  EXPECT_EQ(parse_target("http://host:1/a?b=%41")->authority, "host:1");
  EXPECT_EQ(parse_target("http://host")->path, "/");
  for (const auto* bad :
       {"", "*", "models", "http:///a", "/%", "/%4", "/%zz", "/?a=%", "/%ff", "/?a=%c3", "/?%ed%a0%80=1"})
    EXPECT_FALSE(parse_target(bad)) << bad;
}

TEST(Http, TheRootSaysWhatRunsHere) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto response = client.get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("Flotilla is running"));
  EXPECT_THAT(response.body, HasSubstr(std::format("http://127.0.0.1:{}/v1", server.port())));
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto head = client.read(false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(response.body.size()));
  EXPECT_EQ(client.get("/health").json()["status"], "ok");  // the connection is still in step
}

TEST(Http, RoutesAnswerWithAndWithoutV1AndTrailingSlash) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const auto* path : {"/v1/models", "/models", "/v1/models/", "/models/"}) {
    const auto response = client.get(path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(response.json()["object"], "list") << path;
  }
  for (const auto* path : {"/v1/chat/completions", "/chat/completions", "/v1/chat/completions/"}) {
    EXPECT_EQ(client.post(path, chat("hi")).status, 200) << path;
  }
  for (const auto* path : {"/v1/completions", "/completions/"})
    EXPECT_EQ(client.post(path, completion("hi")).status, 200) << path;
}

TEST(Http, EveryRouteAnswersOptionsAndOffersNothingToForeignPages) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const auto* path : {"/", "/v1/chat/completions", "/v1/models", "/v1/models/org/tiny", "/load", "/health"}) {
    client.send(std::format("OPTIONS {} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\r\n", path));
    const auto response = client.read(false);
    EXPECT_EQ(response.status, 204) << path;
    EXPECT_THAT(response.headers.at("allow"), HasSubstr("OPTIONS")) << path;
    EXPECT_FALSE(response.headers.contains("access-control-allow-origin")) << path;
  }
}

TEST(Http, AWrongMethodIs405WithAllowAndAnUnknownPath404) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto wrong = client.get("/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(wrong.json()["error"]["type"], "invalid_request_error");
  const auto unknown = client.get("/v1/nothing");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.json()["error"]["message"].get<std::string>(), HasSubstr("/v1/nothing"));
}

TEST(Http, AModelWhoseNameHoldsASlashIsFoundEscapedOrNot) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const auto* path : {"/v1/models/org/tiny", "/v1/models/org%2Ftiny", "/v1/models/org%2ftiny/"}) {
    const auto response = client.get(path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(response.json()["id"], "org/tiny");
    EXPECT_EQ(response.json()["object"], "model");
    EXPECT_EQ(response.json()["owned_by"], "flotilla");
    EXPECT_EQ(response.json()["created"], 1700000000);
  }
  const auto absent = client.get("/v1/models/org/absent");
  EXPECT_EQ(absent.status, 404);
  EXPECT_EQ(absent.json()["error"]["code"], "model_not_found");
}

TEST(Http, AContextThatIsNotKnownIsLeftOutOfTheList) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_EQ(client.get("/v1/models/tiny").json()["max_model_len"], 4096);
  server.on_loop([&] { server.backend().context_tokens = 0; });
  const auto model = client.get("/v1/models").json()["data"][0];
  EXPECT_EQ(model["id"], "tiny");
  EXPECT_FALSE(model.contains("max_model_len"));
  EXPECT_FALSE(model.contains("context_tokens"));
}

TEST(Http, AShownModelIsAnOpenAiModelToo) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto shown = client.get("/models/org/tiny").json();
  EXPECT_EQ(shown["family"], "scripted");
  EXPECT_EQ(shown["id"], "org/tiny");
  EXPECT_EQ(client.get("/models/absent").status, 404);
}

TEST(Http, HealthIsAlwaysOkAndReadinessIsNot) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_EQ(client.get("/ready").status, 200);
  server.on_loop([&] { server.backend().is_ready = false; });
  const auto ready = client.get("/ready");
  EXPECT_EQ(ready.status, 503);
  EXPECT_TRUE(ready.headers.contains("retry-after"));
  EXPECT_EQ(client.get("/health").json()["status"], "ok");
  EXPECT_TRUE(client.get("/cluster").json().contains("nodes"));
  EXPECT_TRUE(client.get("/placements").json().is_array());
}

TEST(Http, ManagementPassesArgumentsOn) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_EQ(client.get("/plan?model=tiny&context=4096").json()["arguments"]["context"], "4096");
  EXPECT_EQ(client.get("/plan").status, 400);
  EXPECT_EQ(client.post("/unload", {{"model", "tiny"}}).json()["state"], "unloaded");
  EXPECT_EQ(client.post("/unload", {{"model", 3}}).json()["error"]["param"], "model");
  EXPECT_EQ(client.post("/unload", nlohmann::json::array()).status, 400);
}

TEST(Http, ALoadTellsItsProgressInLines) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto good = client.post("/load", {{"model", "tiny"}});
  EXPECT_EQ(good.headers.at("content-type"), "application/x-ndjson");
  EXPECT_THAT(good.body, testing::StartsWith(R"({"progress":{"done_bytes":1,)"));
  EXPECT_THAT(good.body, testing::EndsWith("{\"placement\":{\"model\":\"tiny\",\"state\":\"ready\"}}\n"));
  const auto failed = client.post("/load", {{"model", "too-big"}});
  EXPECT_EQ(failed.status, 200);
  EXPECT_THAT(failed.body, HasSubstr("{\"error\":{"));
  TestClient other(server.port());
  EXPECT_EQ(other.post("/load", {{"model", "absent"}}).status, 404);
}

TEST(Http, MeasuringIsToldInLines) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_EQ(client.post("/measure", nlohmann::json::object()).body, "{\"rates\":{\"shards\":1}}\n");
  EXPECT_THAT(client.post("/measure", {{"again", true}}).body, testing::StartsWith("{\"progress\":"));
  EXPECT_EQ(client.post("/measure", {{"again", "yes"}}).status, 400);
}

TEST(Http, PipelinedRequestsAreAnsweredInOrderOnOneConnection) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto slow = post_request("/v1/chat/completions", chat("hi").dump());
  client.send(get_request("/health") + slow + get_request("/v1/models/tiny") + slow + get_request("/"));
  EXPECT_EQ(client.read().json()["status"], "ok");
  EXPECT_EQ(client.read().json()["object"], "chat.completion");
  EXPECT_EQ(client.read().json()["id"], "tiny");
  EXPECT_EQ(client.read().json()["object"], "chat.completion");
  EXPECT_THAT(client.read().body, HasSubstr("Flotilla"));
}

TEST(Http, AStreamLeavesTheConnectionUsable) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.post("/v1/chat/completions", chat("hi", {{"stream", true}})).events().back(), "[DONE]");
  }
}

TEST(Http, ChunkedBodiesAndExpectContinueWork) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = chat("hi").dump();
  client.send(std::format(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=utf-8\r\n"
      "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
      body.size(), body));
  EXPECT_EQ(client.read().status, 200);
  client.send(
      std::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  "Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
                  body.size()));
  EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("100 Continue"));
  client.send(body);
  EXPECT_EQ(client.read().status, 200);
}

TEST(Http, AnOldClientGetsAnAnswerThatEndsWithTheConnection) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto body = chat("hi", {{"stream", true}}).dump();
  client.send(std::format(
      "POST /v1/chat/completions HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body));
  const auto response = client.read();
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(response.events().back(), "[DONE]");
}

TEST(Http, OnlyJsonIsTakenSoThatNoPageCanPost) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const auto* type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}) {
    client.send(post_request("/v1/chat/completions", chat("hi").dump(), type));
    EXPECT_EQ(client.read().status, 415) << type;
  }
  client.send("POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
  EXPECT_EQ(client.read().status, 415);
  client.send(
      "POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: "
      "gzip\r\nContent-Length: "
      "2\r\n\r\n{}");
  EXPECT_EQ(client.read().status, 415);
}

// As programs of Ollama's send them, and never a page.
TEST(Http, ABodyOfNoTypeIsJsonOnOllamasPathsFromNoPage) {
  ServerUnderTest server;
  const auto status = [&](std::string_view path, std::string_view more) {
    TestClient client(server.port());
    const auto body = chat("hi", {{"stream", false}}).dump();
    client.send(std::format("POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}", path, more,
                            body.size(), body));
    return client.read().status;
  };
  EXPECT_EQ(status("/api/chat", ""), 200);
  EXPECT_EQ(status("/api/chat", "Content-Type: text/plain\r\n"), 415);
  EXPECT_EQ(status("/api/chat", "Origin: http://localhost\r\n"), 415);
  EXPECT_EQ(status("/api/chat", "Sec-Fetch-Site: same-origin\r\n"), 415);
  EXPECT_EQ(status("/v1/chat/completions", ""), 415);
}

TEST(Http, ATooLargeBodyIs413AlsoWhenItComesInChunks) {
  ServerUnderTest server({.body_bytes_max = 1000});
  {
    TestClient client(server.port());
    client.send(post_request("/v1/chat/completions", std::string(100'000, ' ')));
    const auto response = client.read();
    EXPECT_EQ(response.status, 413);
    EXPECT_EQ(response.json()["error"]["type"], "invalid_request_error");
    EXPECT_TRUE(client.ended());
  }
  TestClient client(server.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: "
      "chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) client.send(std::format("{:x}\r\n{}\r\n", 100, std::string(100, ' ')));
  EXPECT_EQ(client.read().status, 413);
}

TEST(Http, BodiesOfAllConnectionsTogetherAreBounded) {
  ServerUnderTest server({.bodies_bytes_max = 1000});
  const auto begin = [](TestClient& client, std::string_view length) {
    client.send(
        std::format("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    "{}\r\n\r\n",
                    length));
  };
  TestClient first(server.port()), second(server.port()), third(server.port());
  begin(first, "Expect: 100-continue\r\nContent-Length: 900");
  EXPECT_THAT(first.read_until("\r\n\r\n"), HasSubstr("100 Continue"));
  EXPECT_EQ(second.get("/health").status, 200) << "who sends no body is not asked for room";
  begin(second, "Content-Length: 101");
  begin(third, "Transfer-Encoding: chunked");
  third.send(std::format("{:x}\r\n{}\r\n", 2000, std::string(2000, ' ')));
  EXPECT_EQ(third.read().status, 503) << "of a body in chunks what has come is counted";
  const auto refused = second.read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(refused.headers.contains("retry-after"));
  first.close();
  Response answered;
  for (int tries = 0; tries < 1000 && answered.status != 200; ++tries) {  // until the server has seen that it left
    TestClient again(server.port());
    answered = again.post("/v1/completions", completion("hi"));
  }
  EXPECT_EQ(answered.status, 200) << "room is given back";
}

// Anyone may send them: they would take the room of those who have a key.
TEST(Http, ALookHasNoBodyAndGetsNoRoomForOne) {
  ServerUnderTest server({.bodies_bytes_max = 1000});
  for (const char* method : {"GET", "HEAD", "OPTIONS"}) {
    for (const char* body : {"Content-Length: 900", "Transfer-Encoding: chunked"}) {
      TestClient stranger(server.port());
      stranger.send(std::format("{} /health HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n", method, body));
      EXPECT_THAT(stranger.read_until("\r\n\r\n"), HasSubstr(" 400 ")) << method << ", " << body;
    }
  }
  TestClient client(server.port());
  client.send("GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.read().status, 200) << "some say that there is none";
}

TEST(Http, TooLargeHeadersAre431) {
  ServerUnderTest server({.header_bytes_max = 2000});
  TestClient client(server.port());
  client.send("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(5000, 'x') + "\r\n\r\n");
  EXPECT_EQ(client.read().status, 431);
}

TEST(Http, ATargetTooLongIs414AndTooManyHeadersAre431) {
  ServerUnderTest server;
  TestClient target(server.port());
  target.send(get_request("/" + std::string(8200, 'a')));
  EXPECT_EQ(target.read().status, 414);
  std::string headers;
  for (int i = 0; i < 99; ++i) headers += std::format("X-{}: 1\r\n", i);
  TestClient most(server.port()), more(server.port());
  most.send(get_request("/health", headers));  // and Host: a hundred
  EXPECT_EQ(most.read().status, 200);
  more.send(get_request("/health", headers + "X-99: 1\r\n"));
  const auto refused = more.read();
  EXPECT_EQ(refused.status, 431);
  EXPECT_THAT(refused.body, HasSubstr("at most 100 headers but got 101"));
}

TEST(Http, ASlowHeaderIsGivenUp) {
  ServerUnderTest server({.header_time_max = 50ms});
  TestClient header(server.port());
  header.send("GET / HTTP/1.1\r\nHost:");
  EXPECT_EQ(header.read().status, 408);
  EXPECT_TRUE(header.ended());
  TestClient silent(server.port());
  EXPECT_TRUE(silent.ended());
}

TEST(Http, ASlowBodyIsGivenUpByItsOwnTime) {
  ServerUnderTest server({.header_time_max = 60s, .body_time_max = 50ms});
  TestClient body(server.port());
  body.send(
      "POST /unload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{");
  EXPECT_EQ(body.read().status, 408);
  EXPECT_TRUE(body.ended());
}

TEST(Http, AnIdleConnectionIsClosedAfterItsTime) {
  ServerUnderTest server({.idle_time_max = 50ms});
  TestClient client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
  EXPECT_TRUE(client.ended());
}

TEST(Http, ConnectionsBeyondTheBoundAreTurnedAwayAndComeBackWhenThereIsRoom) {
  ServerUnderTest server({.connections_max = 2});
  TestClient first(server.port());
  EXPECT_EQ(first.get("/health").status, 200);
  {
    TestClient second(server.port());
    EXPECT_EQ(second.get("/health").status, 200);
    TestClient third(server.port());
    EXPECT_EQ(third.read().status, 503);
  }
  for (int status = 503; status != 200;) {
    TestClient later(server.port());
    later.send(get_request("/health"));
    status = later.read().status;
  }
}

TEST(Http, OneHostIsNamedExactlyOnce) {
  ServerUnderTest server;
  TestClient none(server.port()), two(server.port());
  none.send("GET /health HTTP/1.1\r\n\r\n");
  EXPECT_EQ(none.read().status, 400);
  two.send(get_request("/health", "Host: evil.example\r\n"));
  EXPECT_EQ(two.read().status, 400);
}

TEST(Http, ABusyPortSaysSoAndWhatToDo) {
  ServerUnderTest server;
  boost::asio::io_context loop;
  ScriptedBackend backend(loop);
  const auto second = Server::start(loop, {.port = server.port()}, backend);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::busy);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(server.port())));
  EXPECT_THAT(second.error().message, HasSubstr("--api"));
  EXPECT_FALSE(Server::start(loop, {.host = "no such host"}, backend));
  EXPECT_FALSE(Server::start(loop, {.host = "203.0.113.1"}, backend));
}

TEST(Http, StoppingEndsIdleConnectionsAndTakesNoNewOnes) {
  ServerUnderTest server;
  TestClient client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
  server.stop();
  EXPECT_TRUE(client.ended());
}

}  // namespace
}  // namespace flotilla
