// Prediction beside result on fleets that nobody has: `stub_placements [FLEET.toml...] [--json FILE]`.
//
// A fleet is a TOML file (docs/planner.md) with one model. The planner chooses a placement and foretells it and some
// rivals; each then runs: a process for each machine, sockets, links slowed to the fleet's, the real head and
// scheduler. Only the computing is a stub that takes the time the machine would take (stub_stage.h). One user asks with
// a prompt; tokens are checked. So what is compared is all that the planner's sums say of rings beside kernels: how a
// prompt's pieces follow each other, what hops cost, what waits for what.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <print>
#include <random>
#include <string>
#include <vector>

#include "app/fleet_file.h"
#include "median.h"
#include "pipeline/local_ring.h"
#include "planner/timed_fleet.h"
#include "scheduler/chunk_size.h"
#include "stub_stage.h"
#include "tried_placements.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

static_assert(prompt_piece_rows == chunk_rows, "the planner counts a prompt's pieces as the scheduler cuts them");

// The goals: how far a prediction may be off, and the chosen placement behind the best of those tried.
constexpr double off_max = 0.20, behind_best_max = 0.05;

struct BenchOptions {
  std::vector<std::string> fleets;
  std::uint32_t rounds = 3, prompt = 1024, tokens = 24;
  std::size_t rivals = 3;
  std::string json;
};

// What the processes of a machine are told: the fleet, which of its machines they are, and the link they receive by.
struct MachineOptions {
  int fd = -1;
  std::string fleet, machine, link;
};

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

// --- A fleet ---
struct Fleet {
  std::string path, title;
  ModelShape shape;
  ClusterView view;
  PlanWishes wishes;

  ScriptedModel script() const {
    return {.layers = static_cast<std::uint32_t>(shape.layers.size()), .width = shape.embedding_length};
  }
  ModelCost cost() const { return {shape, wishes.use, wishes.overheads}; }
};

Result<Fleet> open_fleet(const std::string& path) {
  FLOTILLA_TRY(const auto file, read_fleet_file(path));
  if (file.models.size() != 1 || file.fleet.machines.empty())
    return fail(Code::invalid_argument, "[bench] expected [[machine]] and one [model.\"name\"] in {} but got {} and {}",
                path, file.fleet.machines.size(), file.models.size());
  FLOTILLA_TRY(auto shape, shape_of(file.models.begin()->second));
  Fleet fleet{.path = path, .title = file.fleet.title, .shape = std::move(shape), .view = {}, .wishes = {}};
  fleet.view = imagine(file.fleet, fleet.shape);
  fleet.wishes.sequences = 1;
  fleet.wishes.overheads = our_overheads(fleet.shape);
  return fleet;
}

// --- A machine's process ---
Status run_stage(const MachineOptions& options) {
  FLOTILLA_TRY(const Fleet fleet, open_fleet(options.fleet));
  const Member* member = fleet.view.find(options.machine);
  if (member == nullptr) return fail(Code::not_found, "[bench] expected {} in {}", options.machine, options.fleet);
  const auto cost = fleet.cost();
  const MachineRates& rates = member->info.rates;
  const StageLoader load = [&](const PrepareStage& plan, const LoadProgressFn&,
                               std::unique_ptr<Collective>) -> Result<std::unique_ptr<Stage>> {
    const ScriptedStageOptions script{.model = fleet.script(),
                                      .layers = plan.layers,
                                      .is_head = plan.is_head,
                                      .sequences = plan.sequences,
                                      .context_tokens = plan.context_tokens,
                                      .before_step = {}};
    return make_stub_stage(
        script, {.layer_seconds = [&](double rows, double seen) { return cost.layer_seconds(rates, rows, seen); },
                 .head_seconds = cost.head_seconds(rates, 1)});
  };
  return run_runner(make_tcp_link(Descriptor(options.fd)), {.link_model = options.link}, load);
}

// --- A placement and its processes ---
// A link is modelled where it is received, so each process gets the one that leads to it.
Result<std::string> link_text(const Fleet& fleet, const PlannedStage& from, const PlannedStage& to) {
  const auto& links = fleet.view.find(from.node)->info.links;
  const auto link = std::ranges::find(links, to.node, &LinkRate::peer);
  if (link == links.end())
    return fail(Code::not_found, "[bench] expected a link from {} to {}", from.node_name, to.node_name);
  return std::format("delay={:.3f}us,rate={:.0f}", link->latency_seconds * 1e6, link->bytes_per_second * 8);
}

class StubRunners final : public Runners {
 public:
  explicit StubRunners(std::vector<std::vector<std::string>> commands) : commands_(std::move(commands)) {}
  Result<std::unique_ptr<Link>> start(std::size_t index) override {
    return runners_.emplace_back(std::make_unique<ProcessRunners>(commands_.at(index)))->start(0);
  }

 private:
  std::vector<std::vector<std::string>> commands_;
  std::vector<std::unique_ptr<ProcessRunners>> runners_;
};

struct Measured {
  double prompt_seconds = 0, token_seconds = 0;
};

class Placement {
 public:
  static Result<std::unique_ptr<Placement>> start(const Fleet& fleet, TriedPlacement tried, const std::string& program);

  // One user's prompt and answer.
  Result<Measured> ask(const BenchOptions& bench);

  const TriedPlacement& tried() const { return tried_; }
  double predicted_judged() const { return judged({tried_.plan.prompt_seconds, tried_.plan.token_seconds}); }
  double measured_judged() const { return judged(medians()); }
  Measured medians() const {
    std::vector<double> prompts, tokens;
    for (const Measured& run : runs) {
      prompts.push_back(run.prompt_seconds);
      tokens.push_back(run.token_seconds);
    }
    return {median(prompts), median(tokens)};
  }

  std::vector<Measured> runs;  // one a round

 private:
  Placement(const Fleet& fleet, TriedPlacement tried, std::vector<std::vector<std::string>> commands)
      : fleet_(fleet), tried_(std::move(tried)), runners_(std::move(commands)) {}

  // What plans are judged by.
  double judged(const Measured& one) const {
    return one.prompt_seconds + fleet_.wishes.use.answer_tokens * one.token_seconds;
  }

  const Fleet& fleet_;
  const TriedPlacement tried_;
  StubRunners runners_;  // outlives the ring, which hangs up first
  std::unique_ptr<LocalRing> ring_;
  std::uint64_t requests_ = 0;
  std::mt19937 random_{7};
};

Result<std::unique_ptr<Placement>> Placement::start(const Fleet& fleet, TriedPlacement tried,
                                                    const std::string& program) {
  const auto& stages = tried.plan.stages;
  std::vector<std::vector<std::string>> commands;
  LocalRingOptions options{.stages = {},
                           .context_tokens = tried.plan.context_tokens,
                           .sequences = tried.plan.sequences,
                           .patience = std::chrono::minutes(2)};
  for (std::size_t at = 0; at < stages.size(); ++at) {
    commands.push_back({program, "--fleet", fleet.path, "--machine", stages[at].node_name});
    options.stages.push_back(stages[at].layers);
    if (stages.size() == 1) break;
    FLOTILLA_TRY(const auto link, link_text(fleet, stages[(at + stages.size() - 1) % stages.size()], stages[at]));
    commands.back().insert(commands.back().end(), {"--link", link});
  }
  auto placement = std::unique_ptr<Placement>(new Placement(fleet, std::move(tried), std::move(commands)));
  FLOTILLA_TRY(auto ring, LocalRing::form(placement->runners_, std::move(options)));
  placement->ring_ = std::make_unique<LocalRing>(std::move(ring));
  return placement;
}

Result<Measured> Placement::ask(const BenchOptions& bench) {
  GenerateRequest request;
  request.id = RequestId{++requests_};
  request.cache_scope = requests_;  // nothing is known of its prompt
  request.prompt.resize(bench.prompt);
  for (auto& token : request.prompt) token = static_cast<TokenId>(random_() % fleet_.script().vocabulary);
  request.tokens_max = bench.tokens;
  request.sampling.temperature = 0;
  request.speculate = false;
  const auto expected = scripted_answer(fleet_.script(), request.prompt, request.tokens_max);

  const auto begun = Clock::now();
  FLOTILLA_TRY_STATUS(ring_->send(request));
  std::vector<TokenId> tokens;
  double first = 0, last = 0;
  for (bool is_over = false; !is_over;) {
    FLOTILLA_TRY(const auto event, ring_->next_event());
    if (event.finish == FinishReason::failed) return fail(*event.error);
    is_over = event.finish != FinishReason::none;
    if (!event.has_token) continue;
    last = seconds_since(begun);
    if (tokens.empty()) first = last;
    tokens.push_back(event.token);
  }
  if (tokens != expected)
    return fail(Code::internal, "[bench] expected the script's {} tokens from {} but got {}, not all the same",
                expected.size(), who(tried_.plan), tokens.size());
  return Measured{.prompt_seconds = first, .token_seconds = (last - first) / static_cast<double>(tokens.size() - 1)};
}

// --- The comparison ---
using Placements = std::vector<std::unique_ptr<Placement>>;

Result<Placements> measure(const Fleet& fleet, const BenchOptions& bench, const std::string& program) {
  FLOTILLA_TRY(auto tried, placements_to_try(fleet.view, fleet.shape, fleet.wishes, bench.rivals));
  Placements placements;
  for (TriedPlacement& one : tried) {
    FLOTILLA_TRY(auto placement, Placement::start(fleet, std::move(one), program));
    placements.push_back(std::move(placement));
  }
  std::vector<Placement*> turns;
  for (const auto& placement : placements) turns.push_back(placement.get());
  for (std::uint32_t round = 0; round < bench.rounds; ++round) {
    for (Placement* placement : turns) {
      FLOTILLA_TRY(const auto run, placement->ask(bench));
      placement->runs.push_back(run);
    }
    std::ranges::reverse(turns);  // A B, B A: what drifts meets both
  }
  return placements;
}

double off(double predicted, double measured) { return predicted / measured - 1; }

double behind_best(const Placements& placements) {
  const auto best = std::ranges::min_element(placements, {}, [](const auto& one) { return one->measured_judged(); });
  return placements.front()->measured_judged() / (*best)->measured_judged() - 1;
}

struct Verdict {
  double worst_off = 0, worst_behind = 0;
  std::size_t fleets = 0, placements = 0, within = 0;
};

void print_fleet(const Fleet& fleet, const Placements& placements, Verdict& verdict) {
  std::println("\n{}: {} machines\n", fleet.title, fleet.view.members.size());
  std::println("| placement | ms a token foretold | measured | off | prompt foretold, s | measured | off | layers |");
  std::println("|---|---|---|---|---|---|---|---|");
  for (const auto& placement : placements) {
    const Plan& plan = placement->tried().plan;
    const Measured measured = placement->medians();
    const double token_off = off(plan.token_seconds, measured.token_seconds),
                 prompt_off = off(plan.prompt_seconds, measured.prompt_seconds);
    std::println("| {} | {:.1f} | {:.1f} | {:+.0f} % | {:.2f} | {:.2f} | {:+.0f} % | {} |", placement->tried().way,
                 plan.token_seconds * 1e3, measured.token_seconds * 1e3, token_off * 100, plan.prompt_seconds,
                 measured.prompt_seconds, prompt_off * 100, who(plan));
    const double worst = std::max(std::abs(token_off), std::abs(prompt_off));
    verdict.worst_off = std::max(verdict.worst_off, worst);
    verdict.within += worst <= off_max;
    ++verdict.placements;
  }
  const double behind = behind_best(placements);
  verdict.worst_behind = std::max(verdict.worst_behind, behind);
  ++verdict.fleets;
  std::println("\nThe chosen one takes {:.1f} % longer than the best tried, prompt and answer together.", behind * 100);
}

nlohmann::json fleet_json(const Fleet& fleet, const Placements& placements) {
  auto rows = nlohmann::json::array();
  for (const auto& placement : placements) {
    auto runs = nlohmann::json::array();
    for (const Measured& run : placement->runs)
      runs.push_back({{"prompt_seconds", run.prompt_seconds}, {"token_seconds", run.token_seconds}});
    const Plan& plan = placement->tried().plan;
    rows.push_back({{"way", placement->tried().way},
                    {"who", who(plan)},
                    {"predicted", {{"prompt_seconds", plan.prompt_seconds}, {"token_seconds", plan.token_seconds}}},
                    {"predicted_judged_seconds", placement->predicted_judged()},
                    {"measured_judged_seconds", placement->measured_judged()},
                    {"runs", std::move(runs)}});
  }
  return {{"fleet", fleet.title}, {"chosen_behind_best", behind_best(placements)}, {"placements", std::move(rows)}};
}

std::vector<std::string> fleets_in(const std::filesystem::path& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".toml") paths.push_back(entry.path().string());
  std::ranges::sort(paths);
  return paths;
}

Status compare(const BenchOptions& bench, const std::string& program) {
  Verdict verdict;
  auto kept = nlohmann::json::array();
  for (const std::string& path :
       bench.fleets.empty() ? fleets_in(FLOTILLA_SOURCE_DIR "/bench/ring/fleets") : bench.fleets) {
    FLOTILLA_TRY(Fleet fleet, open_fleet(path));
    fleet.wishes.use.prompt_tokens = bench.prompt;
    FLOTILLA_TRY(const auto placements, measure(fleet, bench, program));
    print_fleet(fleet, placements, verdict);
    std::fflush(stdout);
    kept.push_back(fleet_json(fleet, placements));
  }
  std::println(
      "\n{} placements on {} fleets: {} foretold within {:.0f} %, the worst {:.0f} % off; chosen ones at most "
      "{:.1f} % behind the best tried (goal: {:.0f} %).",
      verdict.placements, verdict.fleets, verdict.within, off_max * 100, verdict.worst_off * 100,
      verdict.worst_behind * 100, behind_best_max * 100);
  if (bench.json.empty()) return {};
  std::ofstream file(bench.json);
  file << kept.dump(1) << '\n';
  if (!file.flush()) return fail(Code::unavailable, "[bench] expected to write {}", bench.json);
  return {};
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::BenchOptions bench;
  flotilla::MachineOptions stage;
  CLI::App app(
      "Placements on machines that are not here, as the planner foretold them and as real rings of stages that "
      "only take their time did them");
  app.add_option("fleets", bench.fleets, "fleets with one model each (docs/planner.md); default: bench/ring/fleets/*");
  app.add_option("--rounds", bench.rounds, "in which the placements of a fleet take turns")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--rivals", bench.rivals, "other placements to try beside the chosen one")->capture_default_str();
  app.add_option("--prompt", bench.prompt, "tokens of the prompt")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--tokens", bench.tokens, "of the answer")->capture_default_str()->check(CLI::Range(2, 4096));
  app.add_option("--json", bench.json, "a file for every run's figures");
  // How this program starts itself as one machine; nothing for people.
  app.add_option("--fd", stage.fd)->group("");
  app.add_option("--fleet", stage.fleet)->group("");
  app.add_option("--machine", stage.machine)->group("");
  app.add_option("--link", stage.link)->group("");
  CLI11_PARSE(app, argc, argv);
  const auto status = stage.fd >= 0 ? flotilla::run_stage(stage) : flotilla::compare(bench, argv[0]);
  if (status) return 0;
  std::println(stderr, "{}", status.error().message);
  return 1;
}
