// Claims about JSON as it was written: parts are found where a parser would find them, and keep their order.
#include "text/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

namespace flotilla {
namespace {

TEST(JsonText, FindsWhatAParserFindsAndKeepsItsOrder) {
  const JsonText body(R"( {"a": "}],{\"x", "b" : { "z": 1 , "a":[ 2,{} ,"t"] }, "\u0063": null, "a": [ ]} )");
  EXPECT_EQ(body.at({"b", "z"})->text(), "1");
  EXPECT_EQ(body.at({"b"})->text(), R"({ "z": 1 , "a":[ 2,{} ,"t"] })");
  EXPECT_EQ(body.at({"b"})->without_space(), R"({"z":1,"a":[2,{},"t"]})");
  EXPECT_EQ(body.at({"c"})->text(), "null") << "a name may be written with escapes";
  EXPECT_EQ(body.at({"a"})->text(), "[ ]") << "the last of two names counts";
  EXPECT_TRUE(body.at({"a"})->is_empty());
  EXPECT_FALSE(body.at({"b", "q"}));
  EXPECT_FALSE(body.at({"a", "q"}));
  const auto items = body.at({"b", "a"})->items();
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[2].text(), "\"t\"");
  EXPECT_EQ(body.at({"b"})->commas(), 3u);
  EXPECT_TRUE(body.at({"b", "z"})->items().empty());
}

nlohmann::json random_json(std::mt19937& random, int depth) {
  const std::string texts[] = {"", "a", "}", "]", ",", ":", "\"", "\\", "\\\"", "é", "{\"a\":1}"};
  const auto kind = depth > 3 ? random() % 3 : random() % 5;
  if (kind == 0) return texts[random() % std::size(texts)];
  if (kind == 1) return -1.5e3;
  if (kind == 2) return random() % 2 == 0;
  auto value = kind == 3 ? nlohmann::json::array() : nlohmann::json::object();
  for (auto count = random() % 4; count > 0; --count) {
    if (kind == 3) {
      value.push_back(random_json(random, depth + 1));
    } else {
      value[texts[random() % std::size(texts)]] = random_json(random, depth + 1);
    }
  }
  return value;
}

void expect_same(const JsonText& text, const nlohmann::json& value) {
  ASSERT_EQ(nlohmann::json::parse(text.text()), value);
  EXPECT_EQ(text.without_space(), value.dump());
  if (value.is_structured()) {
    EXPECT_EQ(text.is_empty(), value.empty());
  }
  if (value.is_array()) {
    const auto items = text.items();
    ASSERT_EQ(items.size(), value.size());
    for (std::size_t i = 0; i < items.size(); ++i) expect_same(items[i], value[i]);
  } else if (value.is_object()) {
    for (const auto& [name, item] : value.items()) expect_same(*text.at({name}), item);
  }
}

TEST(JsonText, AgreesWithTheParserOnAnyJson) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const auto value = random_json(random, 0);
    const auto text = value.dump(round % 2 == 0 ? -1 : 2);
    expect_same(JsonText(text), value);
  }
}

}  // namespace
}  // namespace flotilla
