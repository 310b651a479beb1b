// The gate in front of real routes: every one of them, whatever is asked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <format>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using namespace std::chrono_literals;

// One key for each scope: "sk-infer" and so on.
std::string key_with(Scope scope) { return std::format("sk-{}", to_string(scope)); }

ServerOptions with_keys(GateRules rules = {}) {
  std::vector<ApiKey> keys;
  for (const Scope scope : all_scopes) {
    const std::string name(to_string(scope));
    keys.push_back({.id = name, .name = name, .scopes = Scopes(scope), .digest = key_digest(key_with(scope))});
  }
  ServerOptions options;
  options.gate = std::move(rules);
  options.keys = [list = ApiKeys(std::move(keys))]() -> const ApiKeys& { return list; };
  return options;
}

std::string bearer(std::string_view key) { return std::format("Authorization: Bearer {}\r\n", key); }

// What a route's path stands for, with a body that would be good.
std::string request_to(const RouteInfo& route, std::string_view headers) {
  std::string path = route.path;
  if (const auto at = path.find('{'); at != std::string::npos) path = path.substr(0, at) + "org/tiny";
  if (path == "/plan") path += "?model=tiny";
  if (route.method == "GET") return get_request(path, headers);
  json body = chat("hi");
  if (path.ends_with("/completions") && !path.ends_with("chat/completions")) body = completion("hi");
  if (path.ends_with("/responses")) body = {{"model", "tiny"}, {"input", "hi"}};
  if (path.ends_with("/embeddings") || path == "/api/embed") body = {{"model", "vectors"}, {"input", "hi"}};
  if (path == "/api/show") body = {{"model", "org/tiny"}};
  if (path == "/tokenize") body = {{"model", "tiny"}, {"content", "hi"}};
  if (path == "/detokenize") body = {{"model", "tiny"}, {"tokens", {104}}};
  std::string request = post_request(path, body.dump(), "application/json", headers);
  if (route.method == "DELETE") request.replace(0, std::string_view("POST").size(), route.method);
  return request;
}

Response ask(ServerUnderTest& server, const RouteInfo& route, std::string_view headers) {
  TestClient client(server.port());
  client.send(request_to(route, headers));
  return client.read();
}

// Of what a route answers to a good body: some only say that they are not there yet.
int good_status(const RouteInfo& route) {
  const std::set<std::string> refused{"/v1/rerank", "/rerank", "/api/push", "/api/create", "/api/copy"};
  return refused.contains(route.path) ? 400 : 200;
}

// The code of an error, whichever dialect says it; Ollama's has words alone.
bool says(const Response& response, const std::string& code, std::string_view words) {
  const auto error = response.json().value("error", json());
  if (error.is_string()) return error.get<std::string>().contains(words);
  return error.is_object() && error.value("code", "") == code;
}

TEST(Door, NoRouteAnswersWithoutAKeyThatMay) {
  ServerUnderTest server({}, {}, with_keys());
  std::set<std::string> open;
  const auto routes = server.routes();
  ASSERT_GT(routes.size(), 12u);
  for (const auto& route : routes) {
    const auto what = route.method + " " + route.path;
    if (route.access.is_open()) {
      open.insert(what);
      EXPECT_EQ(ask(server, route, "").status, 200) << what;
      continue;
    }
    const auto nobody = ask(server, route, ""), wrong = ask(server, route, bearer("sk-wrong"));
    EXPECT_EQ(nobody.status, 401) << what;
    EXPECT_EQ(nobody.headers.at("www-authenticate"), "Bearer realm=\"flotilla\"") << what;
    EXPECT_TRUE(says(nobody, "missing_api_key", "flotilla key create")) << what << nobody.body;
    EXPECT_EQ(wrong.status, 401) << what;
    EXPECT_TRUE(says(wrong, "invalid_api_key", "does not know")) << what << wrong.body;
    int narrow = 0;
    for (const Scope scope : all_scopes) {
      const auto status = ask(server, route, bearer(key_with(scope))).status;
      EXPECT_EQ(status, route.access.granted_to(Scopes(scope)) ? good_status(route) : 403)
          << what << " with " << to_string(scope);
      narrow += status == 403 ? 1 : 0;
    }
    EXPECT_GT(narrow, 0) << what << " is open to every scope";
  }
  EXPECT_EQ(open, (std::set<std::string>{"GET /", "GET /health", "GET /ready"}));
}

TEST(Door, WhatIsNoRouteNeedsAKeyToo) {
  ServerUnderTest server({}, {}, with_keys());
  for (const auto* line :
       {"GET /v1/nothing", "DELETE /load", "OPTIONS /load", "HEAD /cluster", "PUT /", "POST /health/x"}) {
    TestClient client(server.port());
    client.send(std::format("{} HTTP/1.1\r\nHost: localhost\r\n\r\n", line));
    EXPECT_EQ(client.read(false).status, 401) << line;
  }
  TestClient client(server.port());
  client.send(get_request("/v1/nothing", bearer(key_with(Scope::infer))));
  EXPECT_EQ(client.read().status, 404);
}

TEST(Door, XApiKeyIsAKeyToo) {
  ServerUnderTest server({}, {}, with_keys());
  TestClient client(server.port());
  client.send(post_request("/v1/chat/completions", chat("hi").dump(), "application/json", "x-api-key: sk-infer\r\n"));
  EXPECT_EQ(client.read().status, 200);
}

TEST(Door, ABodyIsNotReadFromWhomMayNotSendIt) {
  ServerUnderTest server({}, {}, with_keys());
  TestClient client(server.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
      "Content-Length: 60000000\r\n\r\n");
  EXPECT_EQ(client.read().status, 401);  // and no 100 Continue before it
}

TEST(Door, ARefusalWithoutABodyLeavesTheConnectionUsable) {
  ServerUnderTest server({}, {}, with_keys());
  TestClient client(server.port());
  EXPECT_EQ(client.get("/cluster").status, 401);
  client.send(get_request("/cluster", bearer(key_with(Scope::admin))));
  EXPECT_EQ(client.read().status, 200);
}

TEST(Door, AKeyThatIsRevokedIsRefusedFromTheNextRequestOn) {
  auto keys = std::make_shared<ApiKeys>(
      std::vector<ApiKey>{{.id = "1", .name = "a", .scopes = Scopes(Scope::infer), .digest = key_digest("sk-a")}});
  ServerOptions options;
  options.keys = [keys]() -> const ApiKeys& { return *keys; };
  ServerUnderTest server({}, {}, options);
  TestClient client(server.port());
  client.send(get_request("/v1/models", bearer("sk-a")));
  EXPECT_EQ(client.read().status, 200);
  server.on_loop([&] {
    *keys = ApiKeys({{.id = "2", .name = "b", .scopes = Scopes(Scope::infer), .digest = key_digest("sk-b")}});
  });
  client.send(get_request("/v1/models", bearer("sk-a")));
  EXPECT_EQ(client.read().status, 401);
}

TEST(Door, AReboundNameIsRefusedOnEveryRoute) {
  ServerUnderTest server;
  for (const auto& route : server.routes()) {
    TestClient client(server.port());
    auto request = request_to(route, "");
    request.replace(request.find("localhost"), 9, "evil.example");
    client.send(request);
    const auto response = client.read();
    EXPECT_EQ(response.status, 403) << route.path;
    EXPECT_TRUE(says(response, "host_not_allowed", "Host header")) << route.path;
  }
  TestClient absolute(server.port());
  absolute.send(get_request("http://evil.example/cluster"));  // its target counts, not its Host
  EXPECT_EQ(absolute.read().status, 403);
}

TEST(Door, NoPageOfAnotherSiteMakesUsAct) {
  ServerUnderTest server;
  for (const auto& route : server.routes()) {
    if (route.method == "GET" && route.access.is_open()) continue;
    EXPECT_EQ(ask(server, route, "Origin: https://evil.example\r\n").status, 403) << route.path;
    EXPECT_EQ(ask(server, route, "Sec-Fetch-Site: cross-site\r\n").status, 403) << route.path;
    EXPECT_EQ(ask(server, route, "Sec-Fetch-Site: same-origin\r\n").status, good_status(route)) << route.path;
  }
}

TEST(Door, ANamedSiteIsAnsweredAndMayReadAlsoRefusals) {
  ServerUnderTest server({}, {}, with_keys({.names = {}, .origins = {"https://chat.example"}}));
  const auto allowed = [](Response response) { return response.headers["access-control-allow-origin"]; };
  TestClient client(server.port());
  client.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://chat.example\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-stainless-os\r\n\r\n");
  const auto preflight = client.read(false);
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(allowed(preflight), "https://chat.example");
  EXPECT_EQ(preflight.headers.at("access-control-allow-methods"), "POST, OPTIONS");
  EXPECT_EQ(preflight.headers.at("access-control-allow-headers"), "authorization,x-stainless-os");
  EXPECT_FALSE(preflight.headers.contains("access-control-allow-credentials"));

  const RouteInfo chats{.method = "POST", .path = "/v1/chat/completions", .access = Access::of(Scope::infer)};
  const std::string origin = "Origin: https://chat.example\r\nSec-Fetch-Site: cross-site\r\n";
  const auto answered = ask(server, chats, origin + bearer(key_with(Scope::infer)));
  EXPECT_EQ(answered.status, 200);
  EXPECT_EQ(allowed(answered), "https://chat.example");
  const auto refused = ask(server, chats, origin);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(allowed(refused), "https://chat.example");

  TestClient other(server.port());
  other.send(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
      "Access-Control-Request-Method: POST\r\n\r\n");
  const auto foreign = other.read(false);
  EXPECT_EQ(foreign.status, 401);
  EXPECT_EQ(allowed(foreign), "");
}

TEST(Door, EveryAnswerIsSafeInABrowser) {
  ServerUnderTest server;
  TestClient client(server.port());
  for (const auto* path : {"/", "/v1/models", "/v1/nothing"}) {
    const auto response = client.get(path);
    EXPECT_EQ(response.headers.at("x-content-type-options"), "nosniff") << path;
    EXPECT_EQ(response.headers.at("cache-control"), "no-store") << path;
    EXPECT_EQ(response.headers.at("cross-origin-resource-policy"), "same-origin") << path;
    EXPECT_THAT(response.headers.at("content-security-policy"), HasSubstr("frame-ancestors 'none'")) << path;
  }
  const auto stream = client.post("/v1/chat/completions", chat("hi", {{"stream", true}}));
  EXPECT_EQ(stream.headers.at("cache-control"), "no-store");
}

TEST(Door, OthersReachAnAddressOnlyWithAKeyOrOnPurpose) {
  boost::asio::io_context loop;
  ScriptedBackend backend(loop);
  for (const auto* host : {"0.0.0.0", "::"}) {
    ServerOptions bare;
    bare.host = host;
    const auto refused = Server::start(loop, bare, backend);
    ASSERT_FALSE(refused) << host;
    for (const auto* word : {"flotilla key create", "--no-auth", "--api 127.0.0.1"})
      EXPECT_THAT(refused.error().message, HasSubstr(word)) << host;
  }
  ServerOptions on_purpose{.host = "0.0.0.0", .limits = {}, .gate = {.no_auth = true}, .keys = {}};
  EXPECT_TRUE(Server::start(loop, on_purpose, backend));
  ServerOptions keyed = with_keys();
  keyed.host = "0.0.0.0";
  EXPECT_TRUE(Server::start(loop, keyed, backend));
  EXPECT_TRUE(Server::start(loop, {.host = "localhost"}, backend));
  EXPECT_TRUE(Server::start(loop, {.host = "127.0.0.2"}, backend));
}

// All that one process may hold open at the start of a test: the sockets of both sides are ours here.
constexpr int slow_clients = 120;

std::size_t threads_now() {
  std::size_t threads = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/task")) ++threads;
  return threads;
}

TEST(Door, SlowClientsHoldNoThreadsAndNobodyUp) {
  ServerUnderTest server;
  server.on_loop([&] { server.backend().context_tokens = 1u << 20; });
  TestClient good(server.port());
  EXPECT_EQ(good.post("/v1/chat/completions", chat("hi")).status, 200);
  const auto threads_before = threads_now();
  std::vector<std::unique_ptr<TestClient>> slow;
  for (int i = 0; i < slow_clients; ++i) {
    slow.push_back(std::make_unique<TestClient>(server.port(), 4096));
    const std::string whole = post_request("/v1/chat/completions", chat("[manual]", {{"stream", true}}).dump());
    const std::size_t cuts[] = {0, 10, whole.find("\r\n\r\n") + 10,
                                whole.size()};  // silent, in the header, in the body
    slow.back()->send(whole.substr(0, cuts[i % 4]));
  }
  ASSERT_TRUE(server.backend().wait_for_held(slow_clients / 4));
  EXPECT_EQ(good.post("/v1/chat/completions", chat("hi")).status, 200);
  TestClient late(server.port());
  EXPECT_EQ(late.get("/health").status, 200);
  EXPECT_EQ(threads_now(), threads_before);
}

TEST(Door, ConnectionsOfOneAddressBeyondItsShareAreTurnedAway) {
  ServerUnderTest server({.connections_max = 3, .connections_per_address_max = 1});
  std::vector<std::unique_ptr<TestClient>> ours;  // this machine's own have no share, only an end
  for (int i = 0; i < 3; ++i) {
    ours.push_back(std::make_unique<TestClient>(server.port()));
    EXPECT_EQ(ours.back()->get("/health").status, 200);
  }
  TestClient more(server.port());
  EXPECT_EQ(more.read().status, 503);
}

}  // namespace
}  // namespace flotilla
