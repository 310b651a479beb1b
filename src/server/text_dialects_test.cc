#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/test_client.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(TextDialects, TextBecomesTokensAndBack) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto plain = client.post("/tokenize", {{"model", "tiny"}, {"content", "hé"}}).json();
  EXPECT_EQ(plain, (json{{"count", 3}, {"tokens", {'h', 0xC3, 0xA9}}}));
  const auto begun = client.post("/tokenize", {{"model", "tiny"}, {"prompt", "h"}, {"add_special", true}}).json();
  EXPECT_EQ(begun["tokens"], (json{scripted_bos, 'h'}));
  const auto pieces = client.post("/tokenize", {{"model", "tiny"}, {"content", "é"}, {"with_pieces", true}}).json();
  EXPECT_EQ(pieces["tokens"][0], (json{{"id", 0xC3}, {"piece", {0xC3}}}));
  const auto back = client.post("/detokenize", {{"model", "tiny"}, {"tokens", plain["tokens"]}}).json();
  EXPECT_EQ(back, (json{{"content", "hé"}}));
}

TEST(TextDialects, EveryBadFieldIsNamed) {
  ServerUnderTest server;
  TestClient client(server.port());
  const auto fault = [&](const char* path, const json& body) {
    const auto response = client.post(path, body);
    EXPECT_GE(response.status, 400) << body.dump().substr(0, 100);
    return response.json()["error"].value("param", "");
  };
  EXPECT_EQ(fault("/tokenize", {{"content", "x"}}), "model");
  EXPECT_EQ(fault("/tokenize", {{"model", "tiny"}}), "content");
  EXPECT_EQ(fault("/tokenize", {{"model", "tiny"}, {"content", std::string((1u << 20) + 1, 'x')}}), "content");
  EXPECT_EQ(fault("/tokenize", {{"model", "none"}, {"content", "x"}}), "model");
  EXPECT_EQ(fault("/detokenize", {{"model", "tiny"}}), "tokens");
  EXPECT_EQ(fault("/detokenize", {{"model", "tiny"}, {"tokens", {1, -1}}}), "tokens");
  EXPECT_EQ(fault("/detokenize", {{"model", "tiny"}, {"tokens", {258}}}), "tokens");
}

}  // namespace
}  // namespace flotilla
