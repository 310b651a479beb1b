// How busy a ring of several stages keeps its cores: `pipeline_bench [--json] [--link delay=25ms]`.
//
// The ring has a runner process on a core for each stage. The yardstick is the ceiling: as many copies of the whole
// model, each a process on a core of its own, that work at the same time and never talk. Both stand side by side and
// take turns; a round gives one ratio for each workload:
//
//   prefill   a prompt of --prompt tokens, from asking to the first token; the ceiling is what the copies read
//   together.
//             C pieces over k stages can reach C / (C + k - 1) of it.
//   streams   tokens a second of --streams answers at once, from when all have begun; each copy has its share of them.
//             Beside it, how each stage spent that time to a second or two, as often as stages say: computing or waiting,
//             and how many rows its steps had.
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <print>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "median.h"
#include "pipeline/local_ring.h"
#include "scheduler/chunk_size.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  std::string model = FLOTILLA_SOURCE_DIR "/.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  std::vector<std::uint32_t> layers = {15, 15};
  std::vector<int> cores;  // empty: 0, 1, ...
  std::uint32_t rounds = 5, prompt = 2048, streams = 64, stream_prompt = 16, tokens = 24;
  std::string link;
  bool json = false;
};

constexpr std::uint32_t answer_tokens_max = 240;

double seconds_since(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

// Each runner on a core of its own: a process is born with its parent's cores.
class PinnedRunners final : public Runners {
 public:
  PinnedRunners(std::vector<std::string> command, std::vector<int> cores)
      : runners_(std::move(command)), cores_(std::move(cores)) {}
  Result<std::unique_ptr<Link>> start(std::size_t index) override {
    cpu_set_t before, one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cores_[index % cores_.size()]), &one);
    sched_getaffinity(0, sizeof before, &before);
    sched_setaffinity(0, sizeof one, &one);
    auto line = runners_.start(index);
    sched_setaffinity(0, sizeof before, &before);
    return line;
  }

 private:
  ProcessRunners runners_;
  const std::vector<int> cores_;
};

// A ring and the processes it runs in.
class BenchRing {
 public:
  static Result<std::unique_ptr<BenchRing>> start(std::vector<std::string> command, std::vector<int> cores,
                                                  LocalRingOptions options) {
    auto ring = std::unique_ptr<BenchRing>(new BenchRing(std::move(command), std::move(cores)));
    FLOTILLA_TRY(auto formed, LocalRing::form(ring->runners_, std::move(options)));
    ring->ring_ = std::make_unique<LocalRing>(std::move(formed));
    return ring;
  }

  Status ask(std::uint32_t prompt_tokens, std::uint32_t tokens) {
    GenerateRequest request;
    request.id = RequestId{++requests_};
    request.prompt.resize(prompt_tokens);
    for (auto& token : request.prompt) token = static_cast<TokenId>(1000 + random_() % 19'000);
    request.tokens_max = tokens;
    request.sampling.temperature = 0;
    request.speculate = false;
    ++open_;
    return ring_->send(request);
  }
  Result<TokenEvent> next_event() {
    FLOTILLA_TRY(auto event, ring_->next_event());
    if (event.finish == FinishReason::failed) return fail(*event.error);
    if (event.finish != FinishReason::none) --open_;
    return event;
  }
  std::vector<StageStats> stats() const { return ring_->newest_stats(); }
  Status cancel_all() {
    for (std::uint64_t id = 1; id <= requests_; ++id) FLOTILLA_TRY_STATUS(ring_->cancel({id}));
    return finish();
  }
  Status finish() {
    while (open_ > 0) FLOTILLA_TRY_STATUS(next_event().transform([](const TokenEvent&) {}));
    return {};
  }

 private:
  BenchRing(std::vector<std::string> command, std::vector<int> cores)
      : runners_(std::move(command), std::move(cores)) {}
  PinnedRunners runners_;  // outlives the ring, which hangs up first
  std::unique_ptr<LocalRing> ring_;
  std::uint64_t requests_ = 0, open_ = 0;
  std::mt19937 random_{7};
};

using Rings = std::vector<std::unique_ptr<BenchRing>>;  // that work at the same time

// What `measure` gives for each, all at once. Each has a thread, so that none waits for its events to be read.
template <class T>
Result<std::vector<T>> of_all(const Rings& rings, const std::function<Result<T>(BenchRing&)>& measure) {
  std::vector<Result<T>> results(rings.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t index = 0; index < rings.size(); ++index)
      threads.emplace_back([&, index] { results[index] = measure(*rings[index]); });
  }
  std::vector<T> measured;
  for (auto& result : results) {
    if (!result) return fail(std::move(result).error());
    measured.push_back(*std::move(result));
  }
  return measured;
}

Result<double> prefill_rate(BenchRing& ring, std::uint32_t prompt_tokens) {
  const auto begun = Clock::now();
  FLOTILLA_TRY_STATUS(ring.ask(prompt_tokens, 1));
  FLOTILLA_TRY_STATUS(ring.finish());
  return prompt_tokens / seconds_since(begun);
}

// What a stage did between two of its words; nothing where it said none meanwhile.
struct StageUse {
  double computing = 0;      // of its time
  double rows_per_step = 0;  // of its steps
  double row_seconds = 0;    // computing
};

StageUse use_between(const StageStats& before, const StageStats& after) {
  const double compute = after.compute_seconds - before.compute_seconds;
  const double wait = after.wait_seconds - before.wait_seconds;
  const auto rows = static_cast<double>(after.rows - before.rows);
  if (rows == 0) return {};
  return {.computing = compute / (compute + wait),
          .rows_per_step = rows / static_cast<double>(after.steps - before.steps),
          .row_seconds = compute / rows};
}

struct StreamsRound {
  double rate = 0;               // tokens a second
  std::vector<StageUse> stages;  // of all rings, one ring's after the other's
};

// Of `streams` answers, each of about `tokens` from when all of them have begun. Who begins earlier must not end
// before: they are asked for as much as the context holds, and cancelled.
Result<StreamsRound> stream_rate(BenchRing& ring, std::uint32_t streams, const BenchOptions& bench) {
  for (std::uint32_t stream = 0; stream < streams; ++stream)
    FLOTILLA_TRY_STATUS(ring.ask(bench.stream_prompt, answer_tokens_max));
  for (std::uint64_t begun = 0; begun < streams;) {
    FLOTILLA_TRY(const auto event, ring.next_event());
    if (event.finish != FinishReason::none)
      return fail(Code::unsupported,
                  "[bench] expected {} answers at once but the first ended before the last began; "
                  "ask for fewer --streams",
                  streams);
    if (event.index == 3) ++begun;
  }
  const auto before = ring.stats();
  const auto begun = Clock::now();
  const std::uint64_t counted = std::uint64_t{streams} * bench.tokens;
  for (std::uint64_t tokens = 0; tokens < counted; ++tokens) {
    FLOTILLA_TRY(const auto event, ring.next_event());
    if (event.finish != FinishReason::none)
      return fail(Code::unsupported,
                  "[bench] expected {} tokens of each answer but the first ended before; ask for "
                  "fewer --tokens",
                  bench.tokens);
  }
  StreamsRound round{.rate = static_cast<double>(counted) / seconds_since(begun), .stages = {}};
  const auto after = ring.stats();
  for (std::size_t stage = 0; stage < after.size(); ++stage)
    round.stages.push_back(use_between(before[stage], after[stage]));
  FLOTILLA_TRY_STATUS(ring.cancel_all());
  return round;
}

struct Contender {
  std::string name;
  Rings rings;
  std::uint32_t streams_each = 0;
  std::vector<double> prefill, streams;       // tokens a second, one per round
  std::vector<std::vector<StageUse>> stages;  // with the streams; the copies' one after the other
};

Result<Contender> contender(std::string name, const BenchOptions& bench, bool whole, const std::string& link) {
  std::uint32_t layers = 0;
  for (const auto count : bench.layers) layers += count;
  const auto copies = whole ? bench.layers.size() : 1;
  Contender made{
      .name = std::move(name), .rings = {}, .streams_each = bench.streams / static_cast<std::uint32_t>(copies)};
  LocalRingOptions options{.model = std::filesystem::path(bench.model).stem().string(),
                           .files = {bench.model},
                           .stages = {},
                           .context_tokens = bench.prompt + bench.stream_prompt + answer_tokens_max,
                           .sequences = std::max(made.streams_each, 1u),
                           .threads = 1,
                           .patience = std::chrono::minutes(10)};
  if (whole) {
    options.stages = {{.first = 0, .end = layers}};
  } else {
    for (std::uint32_t first = 0; const auto count : bench.layers) {
      options.stages.push_back({.first = first, .end = first + count});
      first += count;
    }
  }
  std::vector<std::string> command = {FLOTILLA_RUNNER_TOOL};
  if (!link.empty()) command.insert(command.end(), {"--link", link});
  for (std::size_t copy = 0; copy < copies; ++copy) {
    const auto cores = whole ? std::vector{bench.cores[copy]} : bench.cores;
    FLOTILLA_TRY(auto ring, BenchRing::start(command, cores, options));
    made.rings.push_back(std::move(ring));
  }
  return made;
}

Status run_round(Contender& contender, const BenchOptions& bench) {
  if (bench.prompt > 0) {
    FLOTILLA_TRY(const auto rates,
                 of_all<double>(contender.rings, [&](BenchRing& ring) { return prefill_rate(ring, bench.prompt); }));
    contender.prefill.push_back(std::ranges::fold_left(rates, 0.0, std::plus()));
  }
  if (bench.streams > 0) {
    FLOTILLA_TRY(auto rounds, of_all<StreamsRound>(contender.rings, [&](BenchRing& ring) {
                   return stream_rate(ring, contender.streams_each, bench);
                 }));
    StreamsRound together;
    for (const auto& round : rounds) {
      together.rate += round.rate;
      together.stages.insert(together.stages.end(), round.stages.begin(), round.stages.end());
    }
    contender.streams.push_back(together.rate);
    contender.stages.push_back(std::move(together.stages));
  }
  return {};
}

Result<std::vector<Contender>> measure(const BenchOptions& bench) {
  if (!std::filesystem::exists(bench.model))
    return fail(Code::not_found, "[bench] expected a model at {} but there is none; name one with --model",
                bench.model);
  std::vector<Contender> contenders;
  FLOTILLA_TRY(auto ceiling, contender("ceiling", bench, true, {}));
  contenders.push_back(std::move(ceiling));
  FLOTILLA_TRY(auto ring, contender("ring", bench, false, {}));
  contenders.push_back(std::move(ring));
  if (!bench.link.empty()) {
    FLOTILLA_TRY(auto far, contender("ring, " + bench.link, bench, false, bench.link));
    contenders.push_back(std::move(far));
  }
  for (std::uint32_t round = 0; round < bench.rounds; ++round) {
    for (auto& contender : contenders) FLOTILLA_TRY_STATUS(run_round(contender, bench));
    std::ranges::reverse(contenders);  // A B, B A: what drifts meets both
  }
  std::ranges::sort(contenders, {}, &Contender::name);
  return contenders;
}

std::vector<double> ratios(const std::vector<double>& rates, const std::vector<double>& of) {
  std::vector<double> ratios;
  for (std::size_t round = 0; round < rates.size(); ++round) ratios.push_back(rates[round] / of[round]);
  return ratios;
}

// Of the last round.
void print_stages(const std::vector<Contender>& all) {
  std::println("\n{:<26} {:>6} {:>10} {:>14} {:>11}", "with the streams", "stage", "computing", "rows a step",
               "ms a row");
  for (const auto& one : all)
    for (std::size_t stage = 0; const auto& [computing, rows_per_step, row_seconds] : one.stages.back())
      std::println("{:<26} {:>6} {:>10.3f} {:>14.1f} {:>11.2f}", one.name, stage++, computing, rows_per_step,
                   1e3 * row_seconds);
}

void print_table(const std::vector<Contender>& all, const BenchOptions& bench) {
  std::println("{:<26} {:>14} {:>11} {:>14} {:>11}", "", "prefill tok/s", "of ceiling", "streams tok/s", "of ceiling");
  for (const auto& one : all)
    std::println("{:<26} {:>14.1f} {:>11.3f} {:>14.1f} {:>11.3f}", one.name, median(one.prefill),
                 median(ratios(one.prefill, all[0].prefill)), median(one.streams),
                 median(ratios(one.streams, all[0].streams)));
  if (bench.streams > 0) print_stages(all);
  if (bench.prompt == 0) return;
  const auto pieces = std::max(1U, bench.prompt / chunk_rows), stages = static_cast<std::uint32_t>(bench.layers.size());
  std::println("{} pieces over {} stages can reach {:.3f} of the ceiling.", pieces, stages,
               static_cast<double>(pieces) / (pieces + stages - 1));
}

nlohmann::json json_of(const std::vector<std::vector<StageUse>>& rounds) {
  auto json = nlohmann::json::array();
  for (const auto& stages : rounds) {
    auto& round = json.emplace_back(nlohmann::json::array());
    for (const auto& [computing, rows_per_step, row_seconds] : stages)
      round.push_back({{"computing", computing}, {"rows_per_step", rows_per_step}, {"row_seconds", row_seconds}});
  }
  return json;
}

void print_json(const std::vector<Contender>& all) {
  auto rows = nlohmann::json::array();
  for (const auto& one : all)
    rows.push_back({{"name", one.name},
                    {"prefill_tok_per_s", one.prefill},
                    {"streams_tok_per_s", one.streams},
                    {"stages", json_of(one.stages)}});
  std::println("{}", rows.dump(1));
}

int run(BenchOptions bench) {
  if (bench.cores.empty())
    for (std::size_t stage = 0; stage < bench.layers.size(); ++stage) bench.cores.push_back(static_cast<int>(stage));
  const auto measured = measure(bench);
  if (!measured) {
    std::println(stderr, "{}", measured.error().message);
    return 1;
  }
  if (bench.json)
    print_json(*measured);
  else
    print_table(*measured, bench);
  return 0;
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::BenchOptions bench;
  CLI::App app("A ring of a core per stage beside as many copies of the whole model on a core each");
  app.add_option("--model", bench.model, "a GGUF file")->capture_default_str();
  app.add_option("--layers", bench.layers, "layers of each stage, the head first")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--cores", bench.cores, "a core per stage; default: 0, 1, ...")->delimiter(',');
  app.add_option("--rounds", bench.rounds)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--prompt", bench.prompt, "tokens of the prompt that is read; 0: none")->capture_default_str();
  app.add_option("--streams", bench.streams, "answers at once; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  app.add_option("--tokens", bench.tokens, "of each stream, about")->capture_default_str();
  app.add_option("--link", bench.link, "a third contender: the ring over such a link (io/modelled_link.h)");
  app.add_flag("--json", bench.json, "every round's figures, for programs");
  CLI11_PARSE(app, argc, argv);
  return flotilla::run(bench);
}
