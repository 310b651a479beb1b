#include "server/json_body.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace flotilla {
namespace {

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonBody, DepthIsBoundedBeforeAnythingIsBuilt) {
  EXPECT_TRUE(parse_json(nested(64), 64));
  const auto deep = parse_json(nested(65), 64);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, Code::invalid_argument);
  EXPECT_FALSE(parse_json(std::string(10'000'000, '['), 64));
}

TEST(JsonBody, BracketsAndQuotesInsideStringsDoNotCount) {
  const auto json = parse_json(R"({"a":"[[[[[\"[[[[\\"})", 1);
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ((*json)["a"], "[[[[[\"[[[[\\");
}

TEST(JsonBody, ManyTinyValuesAreRefusedBeforeTheyBecomeGigabytes) {
  std::string text = "[";
  for (std::size_t i = 0; i < json_values_max; ++i) text += "1,";
  text += "1]";
  const auto json = parse_json(text, 64);
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().code, Code::too_large);
}

TEST(JsonBody, MalformedTextSaysWhereButNotWhat) {
  const auto json = parse_json(R"({"secret": "hunter2", })", 64);
  ASSERT_FALSE(json);
  EXPECT_THAT(json.error().message, testing::HasSubstr("byte 23"));
  EXPECT_THAT(json.error().message, testing::Not(testing::HasSubstr("hunter2")));
  for (const auto* bad :
       {"", "{", "nul", "{\"a\":\xff}", "\"\\ud800\"", "\"\xff\"", "1e999", "NaN", "{}{}", "[1,]", "'a'"}) {
    EXPECT_FALSE(parse_json(bad, 64)) << bad;
  }
}

TEST(JsonBody, BytesThatAreNoTextComeOutReplaced) { EXPECT_EQ(dump(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

TEST(JsonFields, NumbersAreFiniteAndInRange) {
  const auto json = nlohmann::json::parse(R"({"half":0.5,"big":7,"text":"1","yes":true,"none":null})");
  JsonFields fields(json);
  EXPECT_EQ(fields.number("half", 0, 1), 0.5);
  EXPECT_EQ(fields.number("none", 0, 1), std::nullopt);
  EXPECT_EQ(fields.number("absent", 0, 1), std::nullopt);
  EXPECT_FALSE(fields.fault());
  EXPECT_EQ(fields.number("big", 0, 1), std::nullopt);
  ASSERT_TRUE(fields.fault());
  EXPECT_EQ(fields.fault()->param, "big");
  EXPECT_EQ(fields.fault()->error.message, "[server] expected big to be a number from 0 to 1 but got 7");
}

TEST(JsonFields, IntegersMayBeWrittenAsWholeFloatsOnly) {
  const auto json =
      nlohmann::json::parse(R"({"whole":5.0,"part":5.5,"huge":1e300,"beyond":18446744073709551615,"text":"5"})");
  JsonFields good(json);
  EXPECT_EQ(good.integer("whole", 0, 10), 5);
  EXPECT_FALSE(good.fault());
  for (const auto* name : {"part", "huge", "beyond", "text"}) {
    JsonFields fields(json, "outer.");
    EXPECT_EQ(fields.integer(name, 0, 10), std::nullopt);
    ASSERT_TRUE(fields.fault()) << name;
    EXPECT_EQ(fields.fault()->param, std::string("outer.") + name);
  }
}

TEST(JsonFields, TheFirstFaultIsKept) {
  const auto json = nlohmann::json::parse(R"({"a":1,"b":2})");
  JsonFields fields(json);
  fields.text("a");
  fields.boolean("b");
  EXPECT_EQ(fields.fault()->param, "a");
}

TEST(JsonFields, ABodyThatIsNoObjectIsAFault) {
  const nlohmann::json json = 3;
  const JsonFields fields(json);
  ASSERT_TRUE(fields.fault());
  EXPECT_EQ(fields.fault()->error.message, "[server] expected the body to be an object but got 3");
}

}  // namespace
}  // namespace flotilla
