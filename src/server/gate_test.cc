// What the gate lets pass and what it refuses, by rules and keys alone.
#include "server/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/authority.h"
#include "server/openai_errors.h"
#include "server/peer_address.h"

namespace flotilla {
namespace {

using boost::asio::ip::make_address;
using testing::HasSubstr;
using testing::Not;

const std::string infer_key = "sk-infer", admin_key = "sk-admin", local_key = "sk-local";

ApiKeys two_keys() {
  return ApiKeys({{.id = "1", .name = "ann", .scopes = Scopes(Scope::infer), .digest = key_digest(infer_key)},
                  {.id = "2", .name = "ops", .scopes = Scopes(Scope::admin), .digest = key_digest(admin_key)}},
                 key_digest(local_key));
}

Gate::KeySource always(ApiKeys keys) {
  return [keys = std::move(keys)]() -> const ApiKeys& { return keys; };
}

HttpRequest request_from(const char* remote, const char* local, std::string method = "GET") {
  HttpRequest request;
  request.method = std::move(method);
  request.host = "localhost:52415";
  request.remote_address = make_address(remote);
  request.local_address = make_address(local);
  return request;
}
HttpRequest near(std::string method = "GET") { return request_from("127.0.0.1", "127.0.0.1", std::move(method)); }
HttpRequest far(std::string method = "GET") { return request_from("192.168.1.7", "192.168.1.5", std::move(method)); }

HttpRequest with_key(HttpRequest request, const std::string& key) {
  request.authorization = "Bearer " + key;
  return request;
}

unsigned status_at(const Gate& gate, const HttpRequest& request, const Access& access = Access::of(Scope::infer)) {
  const auto refused = gate.refusal(request, access);
  return refused ? status_of(*refused) : 200;
}

std::string code_at(const Gate& gate, const HttpRequest& request) {
  const auto refused = gate.refusal(request, Access::of(Scope::infer));
  return refused ? error_body(*refused)["error"]["code"].get<std::string>() : "";
}

TEST(Gate, WithoutKeysThisMachineComesInWithAnyKeyAndNobodyElseDoes) {
  const Gate gate;
  EXPECT_EQ(status_at(gate, near()), 200);
  EXPECT_EQ(status_at(gate, with_key(near(), "none"), Access::of(Scope::admin)), 200);
  EXPECT_EQ(status_at(gate, request_from("::1", "::1")), 200);
  HttpRequest itself = request_from("192.168.1.5", "192.168.1.5");
  itself.host = "192.168.1.5:52415";
  EXPECT_EQ(status_at(gate, itself), 200);
  EXPECT_EQ(status_at(gate, far()), 401);
  HttpRequest unknown = near();
  unknown.remote_address = unknown.local_address = boost::asio::ip::address();
  EXPECT_EQ(status_at(gate, unknown), 401);
  EXPECT_EQ(status_at(Gate({.no_auth = true}), far()), 200);
}

TEST(Gate, WithKeysEverybodyNeedsOneAlsoOnThisMachineAndDespiteNoAuth) {
  const Gate gate({.no_auth = true}, always(two_keys()));
  for (const auto& visit : {near(), far()}) {
    EXPECT_EQ(code_at(gate, visit), "missing_api_key");
    EXPECT_EQ(code_at(gate, with_key(visit, "sk-other")), "invalid_api_key");
    EXPECT_EQ(code_at(gate, with_key(visit, infer_key + "x")), "invalid_api_key");
    EXPECT_EQ(status_at(gate, with_key(visit, infer_key)), 200);
    EXPECT_EQ(status_at(gate, with_key(visit, infer_key), Access::of(Scope::models)), 403);
    EXPECT_EQ(status_at(gate, with_key(visit, infer_key), Access::of(Scope::models, Scope::infer)), 200);
    EXPECT_EQ(status_at(gate, with_key(visit, infer_key), Access::any_key()), 200);
    EXPECT_EQ(status_at(gate, with_key(visit, admin_key), Access::of(Scope::models)), 200);
    EXPECT_EQ(status_at(gate, visit, Access::any_key()), 401);
    EXPECT_EQ(status_at(gate, visit, Access::open()), 200);
  }
}

TEST(Gate, TheNodesOwnKeyOpensEverythingOnThisMachineOnly) {
  const Gate gate({}, always(two_keys()));
  EXPECT_EQ(status_at(gate, with_key(near(), local_key), Access::of(Scope::admin)), 200);
  EXPECT_EQ(status_at(gate, with_key(far(), local_key), Access::of(Scope::infer)), 401);
  EXPECT_EQ(status_at(Gate({}, always(ApiKeys({}, key_digest(local_key)))), near()), 200);  // it is none of the keys
}

TEST(Gate, AKeyComesAsBearerOrAsXApiKey) {
  const Gate gate({}, always(two_keys()));
  HttpRequest request = near();
  request.api_key = infer_key;
  EXPECT_EQ(status_at(gate, request), 200);
  request.authorization = "bearer  " + infer_key + " ";
  request.api_key.clear();
  EXPECT_EQ(status_at(gate, request), 200);
  for (const auto* wrong : {"Basic sk-infer", "Bearer", "Bearer ", "sk-infer", "Bearersk-infer"}) {
    request.authorization = wrong;
    EXPECT_EQ(code_at(gate, request), "missing_api_key") << wrong;
  }
}

TEST(Gate, RefusalsSayWhatToDoAndNeverTheKey) {
  const Gate gate({}, always(two_keys()));
  const auto missing = gate.refusal(near(), Access::of(Scope::infer));
  EXPECT_THAT(missing->error.message, HasSubstr("flotilla key create"));
  EXPECT_THAT(missing->headers, testing::Contains(testing::Pair("WWW-Authenticate", "Bearer realm=\"flotilla\"")));
  EXPECT_EQ(error_body(*missing)["error"]["type"], "authentication_error");
  const auto wrong = gate.refusal(with_key(near(), "sk-secret"), Access::of(Scope::infer));
  EXPECT_THAT(wrong->error.message, testing::AllOf(HasSubstr("flotilla key list"), Not(HasSubstr("sk-secret"))));
  const auto narrow = gate.refusal(with_key(near(), infer_key), Access::of(Scope::models));
  EXPECT_THAT(narrow->error.message,
              testing::AllOf(HasSubstr("scope models"), HasSubstr("flotilla key create --scope models"),
                             Not(HasSubstr(infer_key))));
  EXPECT_EQ(error_body(*narrow)["error"]["type"], "permission_error");
}

TEST(Gate, HostMustNameThisMachine) {
  const Gate gate({.names = {"Studio", "studio.local", "10.0.0.9"}});
  const auto as = [&](std::string host, HttpRequest request = near()) {
    request.host = std::move(host);
    return status_at(gate, request, Access::open());
  };
  for (const auto* ours : {"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:52415", "127.9.9.9", "[::1]:52415",
                           "[::1]", "studio", "STUDIO:52415", "studio.local.", "10.0.0.9:80", "", "[::ffff:127.0.0.1]"})
    EXPECT_EQ(as(ours), 200) << ours;
  for (const auto* foreign : {"evil.example", "evil.example:52415", "localhost.evil.example", "studio.evil.example",
                              "127.0.0.1.evil.example", "localhost@evil.example", "0.0.0.0", "192.168.1.5", "[::2]",
                              "[::1", "localhost:x", "a b", "localhost/x", "2130706433"})
    EXPECT_EQ(as(foreign), 403) << foreign;
  EXPECT_EQ(as("192.168.1.5:52415", far()), 200);  // the address the connection came to
  EXPECT_EQ(as("192.168.1.6", far()), 403);
}

TEST(Gate, HostIsAskedBeforeTheKey) {
  const Gate gate({}, always(two_keys()));
  HttpRequest request = with_key(near(), admin_key);
  request.host = "evil.example";
  const auto refused = gate.refusal(request, Access::of(Scope::admin));
  ASSERT_TRUE(refused);
  EXPECT_EQ(status_of(*refused), 403u);
  EXPECT_THAT(refused->error.message, testing::AllOf(HasSubstr("evil.example"), HasSubstr("--api-name")));
}

TEST(Gate, APageOfAnotherSiteChangesNothingHere) {
  const Gate gate({.origins = {"https://Chat.example"}});
  const auto from = [&](std::string origin, std::string fetch_site, std::string method = "POST") {
    HttpRequest request = near(std::move(method));
    request.origin = std::move(origin);
    request.fetch_site = std::move(fetch_site);
    return status_at(gate, request);
  };
  EXPECT_EQ(from("", ""), 200);  // a program
  EXPECT_EQ(from("http://localhost:52415", "same-origin"), 200);
  EXPECT_EQ(from("https://localhost:52415", ""), 200);  // behind a proxy that speaks TLS
  EXPECT_EQ(from("https://chat.example", "cross-site"), 200);
  EXPECT_EQ(from("", "none"), 200);
  EXPECT_EQ(from("", "cross-site"), 403);
  EXPECT_EQ(from("", "same-site"), 403);
  for (const auto* foreign :
       {"https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:52415", "http://",
        "https://chat.example:444", "http://chat.example", "https://chat.example.evil.example"})
    EXPECT_EQ(from(foreign, "cross-site"), 403) << foreign;
  EXPECT_EQ(from("https://evil.example", "cross-site", "DELETE"), 403);
  EXPECT_EQ(from("https://evil.example", "cross-site", "GET"), 403);  // it cannot read the answer, but have us act
  EXPECT_EQ(from("", "cross-site", "GET"), 403);                      // a picture
  EXPECT_EQ(from("", "none", "GET"), 200);
  EXPECT_EQ(from("https://evil.example", "cross-site", "OPTIONS"), 200);
}

TEST(Gate, OnlyNamedOriginsMayReadAnswers) {
  const Gate gate({.origins = {"https://chat.example"}});
  HttpRequest request = near();
  EXPECT_TRUE(gate.headers_for(request).empty());
  request.origin = "https://evil.example";
  EXPECT_TRUE(gate.headers_for(request).empty());
  request.origin = "https://chat.example";
  const auto headers = gate.headers_for(request);
  EXPECT_THAT(headers, testing::Contains(testing::Pair("Access-Control-Allow-Origin", "https://chat.example")));
  EXPECT_THAT(headers, testing::Contains(testing::Pair("Vary", "Origin")));
  EXPECT_THAT(headers, Not(testing::Contains(testing::Key("Access-Control-Allow-Credentials"))));
}

TEST(Origins, AreTypedAsBrowsersSendThem) {
  EXPECT_EQ(parse_origin("https://Chat.example").value(), "https://chat.example");
  EXPECT_EQ(parse_origin("http://[::1]:3000").value(), "http://[::1]:3000");
  EXPECT_TRUE(parse_origin("app://obsidian.md"));
  for (const auto* wrong :
       {"*", "null", "", "chat.example", "https://", "https://a/b", "https://a/", "https://a b", "://a"})
    EXPECT_FALSE(parse_origin(wrong)) << wrong;
  EXPECT_THAT(parse_origin("*").error().message, HasSubstr("each origin is named"));
}

TEST(Scopes, AreReadByTheNamesTheyAreWrittenWith) {
  for (const Scope scope : all_scopes) EXPECT_EQ(scope_from_string(to_string(scope)), scope);
  EXPECT_FALSE(scope_from_string("root"));
  EXPECT_EQ(Scopes(Scope::models, Scope::infer).joined(", "), "infer, models");
}

TEST(Keys, AreLongAndNeverTheSame) {
  const auto one = make_key_text(), other = make_key_text();
  EXPECT_THAT(one, testing::MatchesRegex("sk-[0-9a-f]+"));
  EXPECT_EQ(one.size(), 3 + 64u);
  EXPECT_NE(one, other);
  EXPECT_FALSE(ApiKeys({}, key_digest(one)).scopes_of("", true));
}

}  // namespace
}  // namespace flotilla
