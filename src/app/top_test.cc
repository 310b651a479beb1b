// What flotilla top makes of a fleet's answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/top_view.h"

namespace flotilla {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

json machine(const char* name, const char* state) {
  return {{"name", name}, {"state", state}, {"memory_bytes", 8u << 20}, {"memory_free_bytes", 4u << 20}};
}

json placement(std::uint64_t epoch, std::uint64_t tokens, const char* state = "ready", const char* detail = "") {
  return {{"model", "tiny"},
          {"state", state},
          {"epoch", epoch},
          {"incarnation", 7},
          {"detail", detail},
          {"stats", {{"tokens", tokens}, {"running", 2}, {"queued", 1}}},
          {"stages", {{{"nodes", {"a"}}, {"layers", {0, 12}}}, {{"nodes", {"b"}}, {"layers", {12, 30}}}}}};
}

json fleet(std::initializer_list<json> nodes) { return {{"nodes", json(nodes)}}; }
json loaded(std::initializer_list<json> placements, json waiting = json::array()) {
  return {{"placements", json(placements)}, {"waiting", std::move(waiting)}};
}

TEST(TopView, TellsTokensASecondOnceItHasLookedTwice) {
  TopView view;
  const json two = fleet({machine("a", "self"), machine("b", "joined")});
  view.take(two, loaded({placement(1, 100)}), 0);
  EXPECT_TRUE(view.state()["models"][0]["tokens_per_second"].is_null());
  view.take(two, loaded({placement(1, 150)}), 2);
  EXPECT_DOUBLE_EQ(view.state()["models"][0]["tokens_per_second"].get<double>(), 25);
  EXPECT_THAT(view.text(), HasSubstr("2 machines, 16 MiB offered; 1 model, 25.0 tok/s, 2 running, 1 waiting"));
  EXPECT_THAT(view.text(), HasSubstr("a 0–11, b 12–29"));
  EXPECT_TRUE(view.state()["events"].empty());
  for (const double at : {4.0, 6.0, 8.0, 10.0, 12.0}) view.take(two, loaded({placement(1, 150)}), at);
  EXPECT_DOUBLE_EQ(view.state()["models"][0]["tokens_per_second"].get<double>(), 0);
}

TEST(TopView, TellsWhatHappened) {
  TopView view;
  const json two = fleet({machine("a", "self"), machine("b", "joined")});
  view.take(two, loaded({placement(1, 100)}), 0);
  view.take(fleet({machine("a", "self"), machine("b", "suspect")}), loaded({placement(1, 100)}), 2);
  EXPECT_THAT(view.text(), HasSubstr("0 s ago: b is silent"));
  const json waiting = {{{"model", "tiny"}, {"node", "a"}, {"requests", 3}, {"detail", "for b"}}};
  view.take(fleet({machine("a", "self")}), loaded({}, waiting), 4);
  EXPECT_THAT(view.text(), HasSubstr("2 s ago: b is silent"));
  EXPECT_THAT(view.text(), HasSubstr("b is gone"));
  EXPECT_THAT(view.text(), HasSubstr("tiny is no longer loaded"));
  EXPECT_THAT(view.text(), HasSubstr("tiny was lost; 3 answers wait: for b"));
  view.take(fleet({machine("a", "self")}), loaded({placement(2, 5, "ready", "loaded again")}), 6);
  EXPECT_THAT(view.text(), HasSubstr("tiny is ready: loaded again"));
  EXPECT_TRUE(view.state()["models"][0]["tokens_per_second"].is_null()) << "tokens of another epoch are no measure";
}

TEST(TopView, StrangersAreShownAndNoEvents) {
  TopView view;
  view.take(fleet({machine("a", "self")}), loaded({}), 0);
  view.take(fleet({machine("a", "self"), machine("x", "seen"), machine("x", "seen")}), loaded({}), 2);
  EXPECT_TRUE(view.state()["events"].empty());
  EXPECT_THAT(view.text(), HasSubstr("1 machine, 8 MiB"));
  EXPECT_THAT(view.text(), HasSubstr("Nothing is loaded."));
}

TEST(TopView, ForgetsWhatIsLongAgo) {
  TopView view;
  for (int i = 0; i < 20; ++i) view.note(std::to_string(i), i);
  EXPECT_EQ(view.state()["events"].size(), TopView::events_max);
  EXPECT_EQ(view.state()["events"][0]["text"], "19");
}

}  // namespace
}  // namespace flotilla
