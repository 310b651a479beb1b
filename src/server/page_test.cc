// The page's files as a browser, curl and a cache get them.
#include "server/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <format>
#include <string>
#include <string_view>

#include "server/test_client.h"

namespace flotilla {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

constexpr std::string_view html = "<!doctype html>hi hi hi", script = "let a = 1;";
constexpr std::string_view html_gzip =
    "\037\213\010\000\000\000\000\000\002\003\263\121\114\311\117\056\251\054\110\125\310\050\311\315\261\313\310"
    "\124\000\043\000\325\251\276\061\027\000\000\000"sv;
constexpr std::string_view script_gzip =
    "\037\213\010\000\000\000\000\000\002\003\313\111\055\121\110\124\260\125\060\264\006\000\144\225\061"
    "\226\012\000\000\000"sv;

constexpr std::array files{
    PageFile{"/index.html", "text/html; charset=utf-8", "\"one\"", html_gzip, html.size(), false},
    PageFile{"/assets/a-1f.js", "text/javascript; charset=utf-8", "\"two\"", script_gzip, script.size(), true},
};

ServerOptions with_page() {
  ServerOptions options;
  options.page = files;
  return options;
}

class Page : public testing::Test {
 protected:
  Response get(std::string_view path, std::string_view headers = {}, bool has_body = true) {
    client_.send(get_request(path, headers));
    return client_.read(has_body);
  }

  ServerUnderTest server_{{}, {}, with_page()};
  TestClient client_{server_.port()};
};

constexpr std::string_view browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

TEST_F(Page, ABrowserGetsThePageAndCurlTheText) {
  const auto page = get("/", browser);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, html);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_THAT(page.headers.at("vary"), HasSubstr("Accept"));
  for (const auto* other : {"", "Accept: */*\r\n", "Accept: text/html;q=0, */*\r\n", "Accept: application/json\r\n"}) {
    const auto text = get("/", other);
    EXPECT_THAT(text.body, HasSubstr("Flotilla is running")) << other;
    EXPECT_THAT(text.body, testing::Not(HasSubstr("Node.js"))) << other;
  }
}

TEST_F(Page, ItIsCompressedForWhoTakesThat) {
  for (const auto* takes : {"gzip", "br, GZIP;q=0.5", "deflate, gzip, br, zstd"}) {
    const auto page = get("/assets/a-1f.js", std::format("Accept-Encoding: {}\r\n", takes));
    EXPECT_EQ(page.headers.at("content-encoding"), "gzip") << takes;
    EXPECT_EQ(page.body, script_gzip) << takes;
  }
  for (const auto* refuses : {"identity", "gzip;q=0", "gzip; q=0.000, br", "x-gzip-not"}) {
    const auto page = get("/assets/a-1f.js", std::format("Accept-Encoding: {}\r\n", refuses));
    EXPECT_FALSE(page.headers.contains("content-encoding")) << refuses;
    EXPECT_EQ(page.body, script) << refuses;
  }
}

TEST_F(Page, WhatNeverChangesIsKeptAndTheRestIsAskedFor) {
  EXPECT_THAT(get("/assets/a-1f.js").headers.at("cache-control"), HasSubstr("immutable"));
  EXPECT_EQ(get("/", browser).headers.at("cache-control"), "no-cache");
  EXPECT_EQ(get("/", browser).headers.at("etag"), "\"one\"");
}

TEST_F(Page, WhoHasItAlreadyGetsItNotAgain) {
  for (const auto* tags : {"\"one\"", "W/\"one\"", "\"zero\", \"one\"", "*"}) {
    const auto same = get("/", std::format("{}If-None-Match: {}\r\n", browser, tags), false);
    EXPECT_EQ(same.status, 304) << tags;
    EXPECT_FALSE(same.headers.contains("content-length")) << tags;
  }
  EXPECT_EQ(get("/", std::format("{}If-None-Match: \"zero\"\r\n", browser)).status, 200);  // still in step
}

TEST_F(Page, ItsPolicyLetsItTalkToThisAddressOnly) {
  const auto page = get("/", browser);
  const auto& policy = page.headers.at("content-security-policy");
  for (const auto* rule : {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"})
    EXPECT_THAT(policy, HasSubstr(rule));
  EXPECT_THAT(policy, testing::Not(HasSubstr("unsafe")));
  EXPECT_EQ(page.headers.at("x-content-type-options"), "nosniff");
  EXPECT_EQ(page.headers.at("referrer-policy"), "no-referrer");
  EXPECT_THAT(get("/v1/models").headers.at("content-security-policy"), testing::Not(HasSubstr("'self'")));
}

TEST_F(Page, HeadersAloneAreAnsweredAsWell) {
  client_.send(std::format("HEAD / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", browser));
  const auto head = client_.read(false);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), std::to_string(html.size()));
  EXPECT_EQ(get("/health").status, 200);
}

TEST_F(Page, AReboundNameGetsNoPageEither) {
  client_.send(std::format("GET / HTTP/1.1\r\nHost: evil.example\r\n{}\r\n", browser));
  EXPECT_EQ(client_.read().status, 403);
}

TEST(PageBehindKeys, ItsFilesNeedNoneAndItsDataDoes) {
  auto options = with_page();
  const ApiKey key{.id = "1", .name = "a", .scopes = Scopes(Scope::infer), .digest = key_digest("sk")};
  options.keys = [keys = ApiKeys({key})]() -> const ApiKeys& { return keys; };
  ServerUnderTest server({}, {}, options);
  TestClient client(server.port());
  client.send(get_request("/", browser));
  EXPECT_EQ(client.read().body, html);
  EXPECT_EQ(client.get("/assets/a-1f.js").status, 200);
  for (const auto* path : {"/v1/models", "/cluster", "/assets/other.js", "/index.html"})
    EXPECT_EQ(client.get(path).status, 401) << path;
}

TEST(PageMissing, ABrowserIsToldWhy) {
  ServerUnderTest server;
  TestClient client(server.port());
  client.send(get_request("/", browser));
  const auto told = client.read();
  EXPECT_EQ(told.status, 200);
  EXPECT_EQ(told.headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_THAT(told.body, HasSubstr("built without it: Node.js"));
}

}  // namespace
}  // namespace flotilla
