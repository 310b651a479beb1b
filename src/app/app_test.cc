// Claims about the node's own small decisions; what nodes do together is tested with real processes (tests/process).
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/api_client.h"
#include "app/fleet.h"
#include "app/home.h"
#include "app/model_name.h"
#include "app/node_json.h"
#include "app/terminal.h"

namespace flotilla {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "flotilla-app-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

TEST(Home, KeepsItsIdentity) {
  ScratchFolder scratch;
  NodeId first;
  {
    const auto home = Home::open(scratch.path() / "home");
    ASSERT_TRUE(home) << home.error().message;
    first = home->node_id();
  }
  EXPECT_EQ(Home::open(scratch.path() / "home")->node_id(), first);
}

TEST(Home, ASecondNodeInTheSameHomeIsToldSo) {
  ScratchFolder scratch;
  const auto home = Home::open(scratch.path());
  ASSERT_TRUE(home);
  const auto second = Home::open(scratch.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::busy);
  EXPECT_NE(second.error().message.find("--home"), std::string::npos);
}

TEST(Home, AFileInPlaceOfTheFolderIsExplained) {
  ScratchFolder scratch;
  std::ofstream(scratch.path() / "file") << "x";
  const auto home = Home::open(scratch.path() / "file");
  ASSERT_FALSE(home);
  EXPECT_EQ(home.error().code, Code::permission);
}

TEST(Home, ADamagedIdentityIsNotReplacedSilently) {
  ScratchFolder scratch;
  std::ofstream(scratch.path() / "node.json") << "{\"id\": 7}";
  const auto home = Home::open(scratch.path());
  ASSERT_FALSE(home);
  EXPECT_EQ(home.error().code, Code::corrupt);
  EXPECT_TRUE(fs::exists(scratch.path() / "node.json"));
}

TEST(ApiClient, TextThatIsNoUtf8IsRefusedBeforeAnythingIsSent) {
  ApiClient client("http://127.0.0.1:1");  // nobody answers there: a request that is sent is unavailable
  const json body{{"prompt", "na\xEFve"}};
  const auto posted = client.post("/v1/completions", body);
  ASSERT_FALSE(posted);
  EXPECT_EQ(posted.error().code, Code::invalid_argument);
  const auto streamed = client.post_lines("/load", body, [](std::string_view) { return true; });
  ASSERT_FALSE(streamed);
  EXPECT_EQ(streamed.error().code, Code::invalid_argument);
  EXPECT_NE(streamed.error().message.find("UTF-8"), std::string::npos);
  EXPECT_EQ(client.post("/v1/completions", json{{"prompt", "naïve"}}).error().code, Code::unavailable);
}

TEST(ModelName, ABeginningInAnyCaseIsEnoughWhereItFitsOne) {
  const std::vector<std::string> known{"SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m.Q4_K_M", "gemma-3-1b.Q4_K_M"};
  EXPECT_EQ(match_model_name(known, "smollm2").value(), known[0]);
  EXPECT_EQ(match_model_name(known, "gemma-3-270").value(), known[1]);
}

TEST(ModelName, AWholeNameWinsOverALongerOne) {
  EXPECT_EQ(match_model_name({"llama", "llama-2"}, "llama").value(), "llama");
}

TEST(ModelName, AmbiguityAndAbsenceNameTheChoices) {
  const auto two = match_model_name({"gemma-1", "gemma-2"}, "gemma");
  ASSERT_FALSE(two);
  EXPECT_NE(two.error().message.find("gemma-2"), std::string::npos);
  const auto none = match_model_name({"gemma-1"}, "phi");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::not_found);
  EXPECT_NE(none.error().message.find("gemma-1"), std::string::npos);
  EXPECT_FALSE(match_model_name({"gemma-1"}, ""));
}

TEST(LoadOrder, AQueryAndABodyMeanTheSame) {
  const auto body = load_model_from_json(
      json{{"model", "m"}, {"nodes", json::array({"a", "b"})}, {"layers", {18, 12}}, {"context", 512}});
  const auto query =
      load_model_from_json(json{{"model", "m"}, {"nodes", "a,b"}, {"layers", "18,12"}, {"context", "512"}});
  ASSERT_TRUE(body) << body.error().message;
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(body->nodes, query->nodes);
  EXPECT_EQ(body->layers, query->layers);
  EXPECT_EQ(body->layers, (std::vector<std::uint32_t>{18, 12}));
  EXPECT_EQ(query->context_tokens, 512u);
}

TEST(LoadOrder, EachWrongFieldIsNamed) {
  const std::vector<std::pair<json, std::string>> cases{{json::object(), "model"},
                                                        {json{{"model", 7}}, "model"},
                                                        {json{{"model", "m"}, {"nodes", 3}}, "nodes"},
                                                        {json{{"model", "m"}, {"nodes", {1, 2}}}, "nodes"},
                                                        {json{{"model", "m"}, {"layers", {-1}}}, "layers"},
                                                        {json{{"model", "m"}, {"layers", "a"}}, "layers"},
                                                        {json{{"model", "m"}, {"context", 1.5}}, "context"},
                                                        {json{{"model", "m"}, {"mode", "magic"}}, "mode"},
                                                        {json::array(), "model"}};
  for (const auto& [arguments, field] : cases) {
    const auto order = load_model_from_json(arguments);
    ASSERT_FALSE(order) << arguments;
    EXPECT_EQ(order.error().code, Code::invalid_argument);
    EXPECT_NE(order.error().message.find(field), std::string::npos) << order.error().message;
  }
}

ClusterView two_machines() {
  Member self{.state = MemberState::self};
  self.info.id = random_node_id();
  self.info.name = "harbour";
  Member other{.state = MemberState::joined};
  other.info.id = random_node_id();
  other.info.name = "island";
  return {{self, other}};
}

TEST(Fleet, AReadyPlacementIsPreferredToALoadingOne) {
  ClusterView view = two_machines();
  Placement loading{.id = {1}, .model = "m", .state = PlacementState::loading};
  Placement ready{.id = {2}, .model = "m", .state = PlacementState::ready};
  view.members[0].info.placements = {loading};
  view.members[1].info.placements = {ready};
  EXPECT_EQ(placement_of(view, "m")->id, PlacementId{2});
  EXPECT_EQ(placement_of(view, "other"), nullptr);
}

TEST(Fleet, AMachineMerelySeenHoldsNothing) {
  ClusterView view = two_machines();
  view.members[1].state = MemberState::seen;
  view.members[1].info.models = {{.name = "m", .complete = true}};
  EXPECT_FALSE(holder_of(view, "m", ""));
  EXPECT_TRUE(models_of(view).empty());
}

TEST(Fleet, APartIsNotAModelOthersCanTake) {
  ClusterView view = two_machines();
  view.members[0].info.models = {{.name = "m", .fingerprint = "f", .complete = false}};
  view.members[1].info.models = {{.name = "m", .fingerprint = "f", .complete = true}};
  EXPECT_EQ(holder_of(view, "m", "f"), view.members[1].info.id);
  EXPECT_FALSE(holder_of(view, "m", "another"));
}

TEST(Fleet, AModelIsListedAsLongAsItsPlacementIsReady) {
  ClusterView view = two_machines();
  Member& island = view.members[1];
  const auto stages = std::vector<PlacedStage>{{.nodes = {island.info.id}, .layers = {0, 2}}};
  island.info.models = {{.name = "m", .fingerprint = "f", .file_bytes = 5, .complete = false}};  // its own layers
  island.info.placements = {{.id = {1}, .model = "m", .fingerprint = "f", .stages = stages}};
  EXPECT_TRUE(models_of(view).empty());
  EXPECT_FALSE(header_source(view, "m", ""));
  island.info.placements[0].state = PlacementState::ready;
  const auto models = models_of(view);
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0], (ModelInfo{.name = "m", .fingerprint = "f", .file_bytes = 5, .complete = false}));
  EXPECT_FALSE(holder_of(view, "m", "f"));  // no source of layers
  for (const std::string fingerprint : {"", "f"}) {
    const auto source = header_source(view, "m", fingerprint);
    ASSERT_TRUE(source);
    EXPECT_EQ(source->node, island.info.id);
    EXPECT_EQ(source->fingerprint, "f");
  }
  EXPECT_FALSE(header_source(view, "m", "another"));
}

TEST(Terminal, ColumnsLineUpByCharacters) {
  EXPECT_EQ(draw_columns({{"A", "B"}, {"größer", "x"}}), "A       B\ngrößer  x\n");
}

}  // namespace
}  // namespace flotilla
