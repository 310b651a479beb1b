#include "app/bench.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <print>
#include <thread>

#include "app/api_client.h"
#include "app/bar_chart.h"
#include "app/bench_report.h"
#include "app/bench_streams.h"
#include "app/client_key.h"
#include "app/exit_codes.h"
#include "app/interrupt.h"
#include "app/load_request.h"
#include "app/model_name.h"
#include "base/words.h"

namespace flotilla {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr std::uint32_t context_spare_tokens = 16;                 // beyond prompt and answer
constexpr std::uint32_t warm_prompt_tokens = 64, warm_tokens = 8;  // not counted, after each loading
constexpr std::uint32_t probe_tokens = 32;                         // to find the best of several single machines
constexpr auto stats_patience = 3s;                                // stages tell their counts once a second

void say(const std::string& text) { std::println(stderr, "{}", text); }

std::vector<std::string> nodes_of(const json& placement) {
  std::vector<std::string> names;
  for (const json& stage : placement.value("stages", json::array()))
    for (const json& node : stage.value("nodes", json::array()))
      if (std::ranges::find(names, node.get<std::string>()) == names.end()) names.push_back(node);
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " + ") + name;
  return text;
}

// A plan names each stage's node, and beside it the members of a group.
std::vector<std::string> machines_of_plan(const json& plan) {
  std::vector<std::string> names;
  for (const json& stage : plan.value("stages", json::array())) {
    names.push_back(stage.value("node", ""));
    for (const json& member : stage.value("members", json::array()))
      if (const std::string name = member.is_object() ? member.value("node", "") : ""; !name.empty())
        names.push_back(name);
  }
  std::ranges::sort(names);
  const auto again = std::ranges::unique(names);
  names.erase(again.begin(), again.end());
  return names;
}

// What would load just this placement again.
json exactly(const json& placement) {
  json layers = json::array();
  bool grouped = false;
  for (const json& stage : placement["stages"]) {
    grouped = grouped || stage["nodes"].size() > 1;
    layers.push_back(stage["layers"][1].get<std::uint32_t>() - stage["layers"][0].get<std::uint32_t>());
  }
  json body{{"model", placement["model"]},
            {"nodes", nodes_of(placement)},
            {"context", placement["context_tokens"]},
            {"sequences", placement["sequences"]},
            {"mode", grouped ? "tensor" : "pipeline"}};
  if (!grouped) body["layers"] = layers;
  return body;
}

// The same, and so that nothing moves it while it is measured. The shares of a group are the planner's to choose again
// where its machines change; of a lone group that is to hold so many layers it has no other plan.
json exactly_and_fixed(const json& placement) {
  json body = exactly(placement);
  if (const json& stages = placement["stages"]; stages.size() == 1)
    body["layers"] = {stages[0]["layers"][1].get<std::uint32_t>() - stages[0]["layers"][0].get<std::uint32_t>()};
  return body;
}

// What it was loaded with. Only the head's own node knows (docs/api.md).
json wishes_of(const json& placement) {
  if (!placement.contains("wishes")) return exactly(placement);
  json body = placement["wishes"];
  body["model"] = placement["model"];
  body["context"] = placement["context_tokens"];
  body["sequences"] = placement["sequences"];
  return body;
}

// Totals that a placement's machines have told so far. Only the head's own node tells them (docs/api.md).
struct Counts {
  bool told = false, idle = true;
  bool agree = true;                      // all have told of the same steps
  double tokens = 0;                      // generated
  std::optional<double> messages, bytes;  // that machines sent each other
};

std::optional<double> number_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

bool tell_of_the_same_steps(const json& stages) {
  if (stages.empty()) return true;
  const auto steps = number_of(stages[0], "steps");
  const auto agrees = [&](const json& machine) { return number_of(machine, "steps") == steps; };
  return std::ranges::all_of(stages, [&](const json& stage) {
    return agrees(stage) && std::ranges::all_of(stage.value("members", json::array()), agrees);
  });
}

Counts counts_of(const json& placement) {
  const json stats = placement.value("stats", json::object());
  Counts counts{.told = placement.contains("stats"),
                .idle = number_of(stats, "running").value_or(0) + number_of(stats, "queued").value_or(0) == 0,
                .agree = tell_of_the_same_steps(stats.value("stages", json::array())),
                .tokens = number_of(stats, "tokens").value_or(0),
                .messages = number_of(stats, "sent_messages"),
                .bytes = number_of(stats, "sent_bytes")};
  if (nodes_of(placement).size() < 2) counts.messages = counts.bytes = 0;  // whether told or not
  return counts;
}

class Bench {
 public:
  Bench(ApiClient& client, const BenchOptions& options, std::string model)
      : client_(client), options_(options), model_(std::move(model)) {}

  // Measures everything and leaves the model loaded as it was.
  Result<BenchReport> run() {
    FLOTILLA_TRY(const auto before, placement_now());
    auto report = measure();
    if (const auto restored = restore(before); !restored)
      say(std::format("{} could not be loaded again as it was: {}", model_, without_room(restored.error().message)));
    return report;
  }

 private:
  struct Machine {
    std::string name;
    std::optional<Prediction> prediction;
  };

  Result<BenchReport> measure() {
    FLOTILLA_TRY(const json model, client_.get("/models/" + ApiClient::escaped(model_)));
    vocabulary_ = model.value("vocabulary", 0u);
    BenchReport report{.model = model_,
                       .prompt_tokens = options_.prompt_tokens,
                       .tokens = options_.tokens,
                       .pairs = options_.pairs,
                       .streams = options_.streams,
                       .single = {},
                       .cluster = {},
                       .notes = {}};
    FLOTILLA_TRY(single_, best_single());
    FLOTILLA_TRY(const auto cluster, cluster_wishes(report.notes));
    report.single.runs.resize(options_.streams.size());
    if (cluster) report.cluster = BenchSide{.name = {}, .placement = {}, .runs = report.single.runs};
    for (std::uint32_t pair = 0; pair < options_.pairs; ++pair) {
      for (const bool second : {false, true}) {
        const bool is_cluster = second == (pair % 2 == 0);  // one, cluster, cluster, one, one, …
        if (is_cluster && !cluster) continue;
        FLOTILLA_TRY_STATUS(measure_side(pair, is_cluster ? *cluster : wishes_alone(single_),
                                         is_cluster ? *report.cluster : report.single));
      }
    }
    if (report.cluster) note_what_nobody_counts(*report.cluster, report.notes);
    return report;
  }

  static void note_what_nobody_counts(const BenchSide& cluster, std::vector<std::string>& notes) {
    if (cluster.runs.front().front().messages_per_token) return;
    notes.push_back(
        std::format("Messages and bytes per token are not told: only the head's own node knows them ({}); ask it with "
                    "--api.",
                    nodes_of(cluster.placement).front()));
  }

  json wishes() const {
    return {{"model", model_},
            {"context", options_.prompt_tokens + options_.tokens + context_spare_tokens},
            {"sequences", std::ranges::max(options_.streams)}};
  }

  json wishes_alone(const std::string& node) const {
    json body = wishes();
    body["nodes"] = {node};
    return body;
  }

  // --- Which machines ----------------------------------------------------------------------------------------------

  Result<std::vector<std::string>> members() {
    FLOTILLA_TRY(const json cluster, client_.get("/cluster"));
    std::vector<std::string> names;
    for (const json& node : cluster.value("nodes", json::array()))
      if (node.value("state", "") != "seen" && node.value("memory_bytes", 0ull) > 0) names.push_back(node["name"]);
    return names;
  }

  Result<json> plan(const std::string& nodes) {
    return client_.get(std::format("/plan?model={}&context={}&sequences={}{}", ApiClient::escaped(model_),
                                   options_.prompt_tokens + options_.tokens + context_spare_tokens,
                                   std::ranges::max(options_.streams),
                                   nodes.empty() ? "" : "&nodes=" + ApiClient::escaped(nodes)));
  }

  // The fastest machine that holds the model alone: by the planner's word where it has measured them, else by trying.
  Result<std::string> best_single() {
    if (!options_.single.empty()) return options_.single;
    FLOTILLA_TRY(const auto names, members());
    std::vector<Machine> able;
    Error refusal{Code::no_memory, "[app] no machine offers memory to models"};
    for (const std::string& name : names) {
      const auto alone = plan(name);
      if (alone)
        able.push_back({name, prediction_of(*alone)});
      else
        refusal = alone.error();
    }
    if (able.empty())
      return fail(refusal.code, "[app] no machine can hold {} alone, so there is nothing to compare with: {}", model_,
                  without_room(refusal.message));
    if (able.size() == 1) return able[0].name;
    if (std::ranges::all_of(able, [](const Machine& machine) { return machine.prediction.has_value(); }))
      return std::ranges::min_element(able, {},
                                      [](const Machine& machine) { return machine.prediction->token_seconds; })
          ->name;
    return fastest_by_trial(able);
  }

  Result<std::string> fastest_by_trial(const std::vector<Machine>& able) {
    std::string best;
    double best_rate = -1;
    for (const Machine& machine : able) {
      say(std::format("Which machine is the best alone? Trying {} …", machine.name));
      FLOTILLA_TRY(const json placement, load(wishes_alone(machine.name)));
      FLOTILLA_TRY(const auto answers, streams(1, warm_prompt_tokens, probe_tokens, 0));
      const double rate = figures_of(answers, warm_prompt_tokens).generation_tokens_per_second;
      if (rate > best_rate) best = machine.name;
      best_rate = std::max(rate, best_rate);
    }
    say(std::format("{} is ({:.1f} tok/s)", best, best_rate));
    return best;
  }

  // nullopt: there is one machine only.
  Result<std::optional<json>> cluster_wishes(std::vector<std::string>& notes) {
    json body = wishes();
    const LoadWishes& asked = options_.cluster;
    body["mode"] = asked.mode;
    if (!asked.nodes.empty()) {
      body["nodes"] = asked.nodes;
      if (!asked.layers.empty()) body["layers"] = asked.layers;
      return body;
    }
    FLOTILLA_TRY(const auto names, members());
    if (names.size() < 2) return std::nullopt;
    if (asked.mode != "auto") {
      body["nodes"] = names;
      return body;
    }
    FLOTILLA_TRY(const json planned, plan(""));
    const auto machines = machines_of_plan(planned);
    const bool alone = machines.size() < 2;
    if (!alone) return body;
    notes.push_back(std::format("Left to itself the planner uses one machine ({}); all {} were measured against it.",
                                joined(machines), names.size()));
    body["nodes"] = names;
    return body;
  }

  // --- Loading and measuring ---------------------------------------------------------------------------------------

  Result<std::optional<json>> placement_now() {
    FLOTILLA_TRY(const json body, client_.get("/placements"));
    for (const json& placement : body.value("placements", json::array()))
      if (placement.value("model", "") == model_ && placement.value("state", "") == "ready") return placement;
    return std::nullopt;
  }

  // What the planner chose is made a wish: else it might move between two measurements.
  Result<json> load(const json& body) {
    if (loaded_ == body) return placement_;
    loaded_.clear();
    FLOTILLA_TRY(placement_, load_as_wished(body));
    FLOTILLA_TRY(placement_, load_showing_progress(client_, exactly_and_fixed(placement_)));
    loaded_ = body;
    FLOTILLA_TRY([[maybe_unused]] const auto warm, streams(1, warm_prompt_tokens, warm_tokens, 0));
    return placement_;
  }

  // Without nodes a wish is met by whatever is loaded: only after unloading does the planner choose.
  Result<json> load_as_wished(const json& body) {
    if (!body.contains("nodes")) FLOTILLA_TRY_STATUS(unload());
    return load_showing_progress(client_, body);
  }

  Status unload() {
    FLOTILLA_TRY(const auto now, placement_now());
    if (!now) return {};
    FLOTILLA_TRY([[maybe_unused]] const auto answer, client_.post("/unload", {{"model", model_}}));
    return {};
  }

  Status restore(const std::optional<json>& before) {
    if (!before) return unload();
    if (!before->contains("wishes"))
      say(std::format(
          "{} stays on its machines from now on: only its head's own node ({}) knows whether that was a wish; "
          "ask that one with --api",
          model_, nodes_of(*before).front()));
    FLOTILLA_TRY([[maybe_unused]] const auto placement, load_as_wished(wishes_of(*before)));
    return {};
  }

  Result<std::vector<AnswerTimes>> streams(std::uint32_t count, std::uint32_t prompt, std::uint32_t tokens,
                                           std::uint64_t seed) const {
    return run_streams({.api_url = options_.verb.api_url,
                        .key = client_.key(),
                        .model = model_,
                        .streams = count,
                        .prompt_tokens = std::min(prompt, options_.prompt_tokens),
                        .tokens = std::min(tokens, options_.tokens),
                        .vocabulary = vocabulary_,
                        .seed = seed});
  }

  Status measure_side(std::uint32_t pair, const json& wishes, BenchSide& side) {
    FLOTILLA_TRY(side.placement, load(wishes));
    side.name = joined(nodes_of(side.placement));
    for (std::size_t i = 0; i < options_.streams.size(); ++i) {
      const std::uint32_t count = options_.streams[i];
      FLOTILLA_TRY(const Counts before, settled_counts(0));
      FLOTILLA_TRY(const auto answers, streams(count, options_.prompt_tokens, options_.tokens, 1 + pair));
      RunFigures run = figures_of(answers, options_.prompt_tokens);
      const double generated = static_cast<double>(count) * options_.tokens;
      FLOTILLA_TRY(const Counts after, settled_counts(before.tokens + generated));
      if (before.messages && after.messages) run.messages_per_token = (*after.messages - *before.messages) / generated;
      if (before.bytes && after.bytes) run.bytes_per_token = (*after.bytes - *before.bytes) / generated;
      say(std::format("pair {} of {}: {}, {}: {:.1f} tok/s each, {:.1f} together, first token after {:.2f} s", pair + 1,
                      options_.pairs, side.name, count == 1 ? "one user" : std::format("{} streams", count),
                      run.generation_tokens_per_second, run.total_tokens_per_second, run.first_token_seconds));
      side.runs[i].push_back(run);
    }
    return {};
  }

  // Once the node knows of `tokens`, of nothing under way and the same of all machines; what it knows by then where
  // that takes too long, or where it is never told.
  Result<Counts> settled_counts(double tokens) {
    for (const auto deadline = std::chrono::steady_clock::now() + stats_patience;;) {
      FLOTILLA_TRY(const auto now, placement_now());
      if (!now)
        return fail(Code::unavailable, "[app] {} is no longer loaded; another client unloaded it, or a machine left",
                    model_);
      const Counts counts = counts_of(*now);
      const bool settled = counts.tokens >= tokens && counts.idle && counts.agree;
      if (!counts.told || settled || std::chrono::steady_clock::now() > deadline) return counts;
      std::this_thread::sleep_for(50ms);
    }
  }

  ApiClient& client_;
  const BenchOptions& options_;
  const std::string model_;
  std::string single_;
  std::uint32_t vocabulary_ = 0;
  json loaded_, placement_;  // the wishes last met, and what they gave
};

int write_picture(const BenchOptions& options, const BenchReport& report) {
  std::ofstream file(options.svg_path, std::ios::binary);
  file << draw_svg(bench_chart(report));
  file.close();
  if (file) {
    say(std::format("The picture is in {}", options.svg_path));
    return 0;
  }
  return flotilla::report(
      {Code::permission,
       std::format("[app] expected to write {} but could not; name another file with --svg", options.svg_path)});
}

}  // namespace

int run_bench(const BenchOptions& given) {
  ApiClient client(given.verb.api_url, client_key(given.verb));
  const auto model = resolve_model_name(client, given.cluster.model);
  if (!model) return report(model.error());
  BenchOptions options = given;
  std::ranges::sort(options.streams);
  const auto again = std::ranges::unique(options.streams);
  options.streams.erase(again.begin(), again.end());
  const InterruptGuard guard;  // so that what was loaded before is loaded again
  const auto found = Bench(client, options, *model).run();
  if (!found) return found.error().code == Code::cancelled ? exit_interrupted : report(found.error());
  if (options.verb.json) {
    std::println("{}", bench_json(*found).dump(2));
  } else {
    std::print(
        "\n{}: prompts of {} tokens, answers of {}, medians of {} in turns; a gain above 1: the cluster is "
        "better\n\n{}\n",
        *model, options.prompt_tokens, options.tokens, options.pairs, bench_table(*found));
    for (const std::string& note : found->notes) std::println("{}", note);
    std::println("{}", bench_sentence(*found));
  }
  return options.svg_path.empty() ? 0 : write_picture(options, *found);
}

}  // namespace flotilla
