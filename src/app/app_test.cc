// Claims about the node's own small decisions; what nodes do together is tested with real processes (tests/process).
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/api_client.h"
#include "app/fleet.h"
#include "app/fleet_file.h"
#include "app/home.h"
#include "app/model_name.h"
#include "app/node_json.h"
#include "app/terminal.h"
#include "app/verbs.h"
#include "app/what_if_verb.h"

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
    first = home->standing()->node();
  }
  EXPECT_EQ(Home::open(scratch.path() / "home")->standing()->node(), first);
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
  fs::create_directories(scratch.path() / "trust");
  std::ofstream(scratch.path() / "trust/device.key") << "spoilt";
  ::chmod((scratch.path() / "trust/device.key").c_str(), 0600);
  const auto home = Home::open(scratch.path());
  ASSERT_FALSE(home);
  EXPECT_EQ(home.error().code, Code::corrupt);
  EXPECT_TRUE(fs::exists(scratch.path() / "trust/device.key"));
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

// --- Plans and predictions ---
PlannedStage stage_on(std::vector<PlannedMember> members) {
  return {.node_name = members.front().node_name,
          .layers = {0, 30},
          .is_head = true,
          .members = std::move(members),
          .token_seconds = 0.01};
}

TEST(NodeJson, APlanSaysWhatOneUserCanExpectAndWhoSharesALayer) {
  Plan plan{.token_seconds = 0.0125, .prompt_seconds = 2, .prompt_tokens = 1024, .notes = {"a note"}};
  plan.stages = {stage_on({{.node_name = "a", .share = 0.75}, {.node_name = "b", .share = 0.25}})};
  const json body = plan_json(plan, {.model = "x"});
  EXPECT_EQ(body["predicted"]["tokens_per_second"], 80);
  EXPECT_EQ(body["predicted"]["prompt_tokens"], 1024);
  EXPECT_EQ(body["stages"][0]["mode"], "tensor");
  EXPECT_EQ(body["stages"][0]["members"][1]["share"], 0.25);
  EXPECT_EQ(body["stages"][0]["token_seconds"], 0.01);
  EXPECT_EQ(body["notes"][0], "a note");
  plan.token_seconds = 0;
  EXPECT_FALSE(plan_json(plan, {.model = "x"}).contains("predicted"));
}

TEST(NodeJson, PredictionAndResultStandBesideEachOther) {
  Placement placement{
      .model = "x", .predicted_token_seconds = 0.01, .predicted_prompt_seconds = 1, .predicted_prompt_tokens = 1024};
  placement.stages = {{.nodes = {NodeId{}}, .layers = {0, 2}}};
  json entry = placement_json(placement, {});
  EXPECT_EQ(entry["predicted"]["token_seconds"], 0.01);
  EXPECT_EQ(speed_text(entry), "predicted 100 tok/s");
  const StatsPerStage stats{{{.single_steps = 40, .single_round_seconds = 0.5}}};
  entry["stats"] = stats_json(stats);
  EXPECT_EQ(entry["stats"]["measured"]["tokens_per_second"], 80);
  EXPECT_EQ(speed_text(entry), "predicted 100 tok/s, measured 80");
  EXPECT_FALSE(stats_json({{StageStats{}}}).contains("measured"));
  placement.predicted_token_seconds = 0;
  EXPECT_EQ(speed_text(placement_json(placement, {})), "-");
}

TEST(Terminal, ARateIsThatOfTheLastSeconds) {
  using std::chrono::seconds;
  const RateMeter::Time begin{};
  RateMeter rate;
  EXPECT_EQ(rate.per_second(), 0);
  rate.add(begin, 5'000'000);  // was here before
  EXPECT_EQ(rate.per_second(), 0);
  for (int second = 1; second <= 20; ++second) rate.add(begin + seconds(second), 5'000'000 + second * 1000);
  EXPECT_NEAR(rate.per_second(), 1000, 1);
  for (int second = 21; second <= 30; ++second) rate.add(begin + seconds(second), 5'020'000);
  EXPECT_EQ(rate.per_second(), 0);  // it stands still
  rate.add(begin + seconds(31), 0);
  rate.add(begin + seconds(32), 500);
  EXPECT_NEAR(rate.per_second(), 500, 1);  // begun anew
}

TEST(Terminal, TimeLeftIsSaidInWordsThatFitIt) {
  EXPECT_EQ(time_left(1000, 0), "");
  EXPECT_EQ(time_left(0, 1000), "");
  EXPECT_EQ(time_left(44'000, 1000), "45 s left");
  EXPECT_EQ(time_left(600'000, 1000), "10 min left");
  EXPECT_EQ(time_left(7'800'000, 1000), "2 h 10 min left");
  EXPECT_EQ(time_left(UINT64_MAX, 1), "");
}

TEST(NodeJson, WhatAllMachinesSentIsToldPerToken) {
  const StatsPerStage stats{{{.steps = 9, .tokens = 4, .sent_messages = 10, .sent_bytes = 1000},
                             {.steps = 8, .sent_messages = 6, .sent_bytes = 600}},
                            {{.steps = 9, .sent_messages = 4, .sent_bytes = 400}}};
  const json body = stats_json(stats);
  EXPECT_EQ(body["messages_per_token"], 5);
  EXPECT_EQ(body["bytes_per_token"], 500);
  EXPECT_EQ(body["sent_bytes"], 2000);
  EXPECT_EQ(body["stages"][0]["sent_messages"], 10) << "of its first machine";
  EXPECT_EQ(body["stages"][0]["members"][1]["steps"], 8);
  EXPECT_FALSE(body["stages"][1].contains("members"));
  EXPECT_FALSE(stats_json({{StageStats{}}}).contains("messages_per_token")) << "of no tokens yet";
}

// --- Fleets from files ---
const fs::path shipped = FLOTILLA_SOURCE_DIR "/fleets";

TEST(FleetFiles, EveryOneThatIsShippedCanBeReadAndPlannedFor) {
  const auto models = read_fleet_file(shipped / "models.toml");
  ASSERT_TRUE(models) << models.error().message;
  std::size_t fleets = 0;
  for (const auto& entry : fs::directory_iterator(shipped)) {
    const auto file = read_fleet_file(entry.path());
    ASSERT_TRUE(file) << file.error().message;
    if (entry.path().stem() == "models") continue;
    ++fleets;
    EXPECT_FALSE(file->fleet.sources.empty()) << entry.path();
    for (const auto& [name, model] : models->models) {
      const auto shape = shape_for_what_if(name, *file, shipped);
      ASSERT_TRUE(shape) << shape.error().message;
      const auto answer = what_if(file->fleet, *shape, {});
      ASSERT_TRUE(answer) << answer.error().message;
      for (const WhatIfLine& line : answer->lines)
        if (line.is_possible) {
          EXPECT_GT(line.price, 0) << entry.path() << " " << line.what;
          EXPECT_GT(line.watts, 0) << entry.path() << " " << line.what;
        }
      EXPECT_FALSE(what_if_text(*file, *shape, *answer).empty());
    }
  }
  EXPECT_EQ(fleets, 5u);
}

double tokens_per_second(const std::string& fleet, const std::string& what) {
  const auto file = read_fleet_file(shipped / (fleet + ".toml"));
  EXPECT_TRUE(file) << file.error().message;
  const auto shape = shape_for_what_if("llama-3.3", *file, shipped);
  const json body = what_if_json(*file, *shape, *what_if(file->fleet, *shape, {}));
  for (const json& line : body["lines"])
    if (line["what"] == what) return line["tokens_per_second"];
  return 0;
}

// What a reviewer measured: 11.5 alone, 8.2 over Thunderbolt, 6.9 over 10 GbE.
TEST(FleetFiles, TheShippedFleetsForetellTheReviewersRates) {
  const double alone = tokens_per_second("two-macs-thunderbolt", "m2-ultra alone"),
               cable = tokens_per_second("two-macs-thunderbolt", "plain pipeline over all"),
               ethernet = tokens_per_second("two-macs-10gbe", "plain pipeline over all");
  EXPECT_NEAR(alone, 11.5, 0.2 * 11.5);
  EXPECT_NEAR(cable, 8.2, 0.2 * 8.2);
  EXPECT_NEAR(ethernet, 6.9, 0.2 * 6.9);
  EXPECT_GT(alone, cable);
  EXPECT_GT(cable, ethernet);
}

std::string refusal(const std::string& toml) {
  ScratchFolder scratch;
  std::ofstream(scratch.path() / "f.toml") << toml;
  const auto file = read_fleet_file(scratch.path() / "f.toml");
  return file ? "" : file.error().message;
}

TEST(FleetFiles, MistakesAreNamedWithTheirLine) {
  const auto says = [](const std::string& toml, const std::string& words) {
    const auto message = refusal(toml);
    EXPECT_TRUE(message.contains(words)) << toml << "\n" << message;
  };
  says("[[machine]]\nname = \"a\"\nmemory = \"8G\"\nbandwith = 50\n", "f.toml, line 4: unknown key 'bandwith'");
  says("[[machine]]\nname = \"a\"\nbandwidth = 50\n", "expected memory");
  says("[machine]\nname = \"a\"\n", "[[machine]] with two brackets");
  says("[[machine]]\nname = \"a\"\nmemory = \"8G\"\nbandwidth = -1\n", "line 4: expected a number");
  says("[[machine]]\nname = \"a\"\nmemory = \"8G\"\nbandwidth = 5\ncount = 65\n", "count from 1 to 64");
  says("[link]\nprofile = \"token ring\"\n", "unknown link profile 'token ring'; known: rdma, thunderbolt");
  says("[[links]]\nbetween = [\"a\", \"b\"]\n", "with two machines of this file");
  says("[model.x]\nlayers = 4\n", "`width`");
  says("title = what\n", "f.toml, line 1");
  EXPECT_TRUE(find_fleet("nothing", shipped).error().message.contains("office, one-m3-ultra"));
  EXPECT_TRUE(find_fleet("office", shipped));
  EXPECT_TRUE(shape_for_what_if("qwen3", *read_fleet_file(shipped / "office.toml"), shipped)
                  .error()
                  .message.contains("several begin with 'qwen3'"));
}

TEST(FleetFiles, ValuesGoBeforeProfilesAndPairsBeforeAll) {
  ScratchFolder scratch;
  std::ofstream(scratch.path() / "f.toml") << R"([[machine]]
name = "a"
count = 2
memory = "8G"
bandwidth = 50
bandwidth_fraction = 0.9
[link]
profile = "wifi"
[[links]]
between = ["a-1", "a-2"]
latency_us = 30
gbit = 10
switch = false
[model."m.1"]
layers = 2
width = 64
heads = 2
kv_heads = 2
head_length = 32
feed_forward = 128
vocabulary = 100
type = "Q8_0"
)";
  const auto file = read_fleet_file(scratch.path() / "f.toml");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->fleet.machines[0].bandwidth_fraction, 0.9);
  EXPECT_EQ(file->fleet.link.name, "wifi");
  ASSERT_EQ(file->fleet.links.size(), 1u);
  EXPECT_DOUBLE_EQ(file->fleet.links[0].link.cost.latency_seconds, 30e-6);
  EXPECT_FALSE(file->fleet.links[0].link.through_switch);
  EXPECT_EQ(file->models.at("m.1").bits, 8.5);
  EXPECT_TRUE(shape_for_what_if("m.1", *file, shipped));
}

}  // namespace
}  // namespace flotilla
