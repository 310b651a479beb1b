// What a hop of the ring costs beyond computing: `ring_bench [--json]`.
//
// Rings of one, two and three runner processes stand side by side on loopback and answer one request each in turn. A
// ring of n > 1 stages has n hops (the last leads back to the head). Three figures, because they answer three
// questions:
//
//   hop       (the head's time outside its own computing - what the other stages computed) / n, by the stages' own
//             clocks and over the same steps of all rounds: encode, checksum, socket, wake-up, decode.
//   link      what as many bytes take between two processes that do nothing else, the receiver asleep for as long as a
//             stage waits for its turn (bare_link.h). What a hop takes beyond it is ours.
//   all told  (time per token of the ring - of the single process in the same round) / n, median over rounds: also what
//             cutting one graph into several costs, and caches that another process's turn left cold.
//
// Two kinds of stages: scripted ones that compute next to nothing, and the real model.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <print>
#include <string>
#include <vector>

#include "bare_link.h"
#include "median.h"
#include "pipeline/local_ring.h"
#include "told_stats.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double target_ms_beyond_link = 0.1;

struct BenchOptions {
  std::uint32_t rounds = 15, tokens = 200, model_rounds = 9, model_tokens = 48, stages_max = 3;
  std::vector<std::uint32_t> spins_us = {0, 50, 200};
  std::uint32_t width = 576;  // SmolLM2-135M's
  std::string model = FLOTILLA_SOURCE_DIR "/.cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  std::uint32_t model_layers = 30;
  bool json = false;
};

struct Series {
  std::string stage_kind;
  std::uint32_t stages = 0, spin_us = 0;
  std::vector<double> ms_per_token, all_told_ms, link_ms;  // one per round
  double hop_ms = 0;                                       // by the stages' own clocks
  // Means, like hop_ms: now and then a wake-up takes long, on either.
  double link_mean_ms() const { return std::reduce(link_ms.begin(), link_ms.end()) / double(link_ms.size()); }
  double beyond_link_ms() const { return hop_ms - link_mean_ms(); }
};

// A ring and the processes it runs in.
class BenchRing {
 public:
  static Result<std::unique_ptr<BenchRing>> start(std::vector<std::string> command, LocalRingOptions options) {
    auto ring = std::unique_ptr<BenchRing>(new BenchRing(std::move(command)));
    FLOTILLA_TRY(auto formed, LocalRing::form(ring->runners_, std::move(options)));
    ring->ring_ = std::make_unique<LocalRing>(std::move(formed));
    return ring;
  }

  // From the first token to the last: the prompt is not part of it.
  Result<double> ms_per_token(std::uint32_t tokens) {
    GenerateRequest request;
    request.id = RequestId{++requests_};
    request.prompt = {1, 2, 3, 4};
    request.tokens_max = tokens;
    request.sampling.temperature = 0;
    FLOTILLA_TRY_STATUS(ring_->send(request));
    Clock::time_point first{};
    for (std::uint32_t count = 0;; ++count) {
      FLOTILLA_TRY(const auto event, ring_->next_event());
      if (count == 0) first = Clock::now();
      if (event.finish == FinishReason::none) continue;
      if (event.finish != FinishReason::length)
        return fail(Code::internal, "[bench] the answer ended before its length");
      return std::chrono::duration<double, std::milli>(Clock::now() - first).count() / count;
    }
  }

  // What follows counts for hop_ms(): the first steps of a ring also touch its memory for the first time.
  void begin_counting() { begun_ = told_stats(*ring_); }

  // Per hop and step since then. 0 where the stages told nothing.
  double hop_ms() {
    const auto stages = told_stats(*ring_);
    if (stages.size() < 2 || stages.size() != begun_.size()) return 0;
    double seconds = stages[0].wait_seconds - begun_[0].wait_seconds;
    for (std::size_t index = 1; index < stages.size(); ++index)
      seconds -= stages[index].compute_seconds - begun_[index].compute_seconds;
    const auto steps = static_cast<double>(stages[0].steps - begun_[0].steps);
    return 1000 * seconds / steps / static_cast<double>(stages.size());
  }

 private:
  explicit BenchRing(std::vector<std::string> command) : runners_(std::move(command)) {}
  ProcessRunners runners_;  // outlives the ring, which hangs up first
  std::unique_ptr<LocalRing> ring_;
  std::vector<StageStats> begun_;
  std::uint64_t requests_ = 0;
};

struct Contender {
  std::unique_ptr<BenchRing> ring;
  Series series;
};

// Every round runs every contender once, and the bare link beside each ring; the first contender is the single process
// that the others are compared with.
Status run_rounds(std::vector<Contender>& contenders, BareLink& link, std::size_t row_bytes, std::uint32_t rounds,
                  std::uint32_t tokens) {
  for (auto& contender : contenders) FLOTILLA_TRY_STATUS(contender.ring->ms_per_token(tokens).transform([](double) {}));
  for (auto& contender : contenders) contender.ring->begin_counting();
  for (std::uint32_t round = 0; round < rounds; ++round) {
    double alone = 0;
    for (auto& [ring, series] : contenders) {
      FLOTILLA_TRY(const double ms, ring->ms_per_token(tokens));
      series.ms_per_token.push_back(ms);
      if (series.stages == 1) {
        alone = ms;
        continue;
      }
      series.all_told_ms.push_back((ms - alone) / series.stages);
      const std::chrono::duration<double, std::milli> computing(alone / series.stages);
      FLOTILLA_TRY(const double link_ms,
                   link.one_way_ms(row_bytes, std::chrono::duration_cast<std::chrono::nanoseconds>(computing), tokens));
      series.link_ms.push_back(link_ms);
    }
  }
  for (auto& [ring, series] : contenders) series.hop_ms = ring->hop_ms();
  return {};
}

Result<std::vector<Series>> measure(const std::string& kind, const std::vector<std::string>& command,
                                    const LocalRingOptions& like, std::uint32_t layers, BareLink& link,
                                    const BenchOptions& bench, std::uint32_t rounds, std::uint32_t tokens) {
  std::vector<Contender> contenders;
  for (std::uint32_t stages = 1; stages <= bench.stages_max; ++stages) {
    for (const auto spin_us : bench.spins_us) {
      if (stages == 1 && !contenders.empty()) break;  // a ring of one has no socket to spin on
      auto options = like;
      options.stages = even_stages(layers, stages);
      auto spinning = command;
      spinning.insert(spinning.end(), {"--spin", std::to_string(stages == 1 ? 0 : spin_us)});
      FLOTILLA_TRY(auto ring, BenchRing::start(std::move(spinning), std::move(options)));
      contenders.push_back({std::move(ring), {kind, stages, stages == 1 ? 0 : spin_us, {}, {}, {}}});
    }
  }
  FLOTILLA_TRY_STATUS(run_rounds(contenders, link, bench.width * sizeof(float), rounds, tokens));
  std::vector<Series> series;
  for (auto& contender : contenders) series.push_back(std::move(contender.series));
  return series;
}

Result<std::vector<Series>> measure_all(const BenchOptions& bench) {
  FLOTILLA_TRY(auto link, BareLink::open());
  const std::uint32_t scripted_layers = bench.stages_max;
  const std::vector<std::string> scripted = {FLOTILLA_RUNNER_TOOL, "--scripted", std::to_string(bench.width),
                                             "--scripted-layers", std::to_string(scripted_layers)};
  LocalRingOptions options{.context_tokens = 1024, .sequences = 1, .threads = 1};
  FLOTILLA_TRY(auto series,
               measure("scripted", scripted, options, scripted_layers, link, bench, bench.rounds, bench.tokens));
  if (bench.model_rounds == 0) return series;
  if (!std::filesystem::exists(bench.model))
    return fail(Code::not_found,
                "[bench] expected a model at {} but there is none; run scripts/setup or name one with --model",
                bench.model);
  options.model = std::filesystem::path(bench.model).stem().string();
  options.files = {bench.model};
  FLOTILLA_TRY(auto real, measure(options.model, {FLOTILLA_RUNNER_TOOL}, options, bench.model_layers, link, bench,
                                  bench.model_rounds, bench.model_tokens));
  series.insert(series.end(), std::make_move_iterator(real.begin()), std::make_move_iterator(real.end()));
  return series;
}

void print_table(const std::vector<Series>& all) {
  std::println("{:<28} {:>6} {:>8} {:>10} {:>10} {:>10} {:>10} {:>14}", "stages of", "stages", "spin us", "ms/token",
               "hop ms", "link ms", "beyond ms", "all told ms");
  for (const auto& series : all) {
    std::print("{:<28} {:>6} {:>8} {:>10.4f}", series.stage_kind, series.stages, series.spin_us,
               median(series.ms_per_token));
    if (series.stages == 1) {
      std::println(" {:>10} {:>10} {:>10} {:>14}", "-", "-", "-", "-");
      continue;
    }
    std::println(" {:>10.4f} {:>10.4f} {:>10.4f} {:>14.4f}{}", series.hop_ms, series.link_mean_ms(),
                 series.beyond_link_ms(), median(series.all_told_ms),
                 series.beyond_link_ms() <= target_ms_beyond_link ? "" : "  above the target");
  }
  std::println("Target: a hop costs at most {} ms per token beyond computing and the link.", target_ms_beyond_link);
}

void print_json(const std::vector<Series>& all) {
  auto rows = nlohmann::json::array();
  for (const auto& series : all) {
    nlohmann::json row = {{"stages_of", series.stage_kind},
                          {"stages", series.stages},
                          {"spin_us", series.spin_us},
                          {"ms_per_token", median(series.ms_per_token)},
                          {"rounds_ms_per_token", series.ms_per_token}};
    if (series.stages > 1) {
      row["hop_ms"] = series.hop_ms;
      row["link_ms"] = series.link_mean_ms();
      row["rounds_link_ms"] = series.link_ms;
      row["beyond_link_ms"] = series.beyond_link_ms();
      row["all_told_ms_per_hop"] = median(series.all_told_ms);
    }
    rows.push_back(std::move(row));
  }
  std::println("{}", nlohmann::json{{"target_ms_beyond_link", target_ms_beyond_link}, {"series", rows}}.dump(2));
}

int run(const BenchOptions& bench) {
  const auto series = measure_all(bench);
  if (!series) {
    std::println(stderr, "{}", series.error().message);
    return 1;
  }
  bench.json ? print_json(*series) : print_table(*series);
  return 0;
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::BenchOptions bench;
  CLI::App app("What a hop of the ring costs beyond computing, on loopback");
  app.add_option("--rounds", bench.rounds, "rounds with scripted stages")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--tokens", bench.tokens, "tokens of each answer")->capture_default_str()->check(CLI::Range(2, 1000));
  app.add_option("--model-rounds", bench.model_rounds, "rounds with the real model; 0: none")->capture_default_str();
  app.add_option("--model-tokens", bench.model_tokens)->capture_default_str()->check(CLI::Range(2, 1000));
  app.add_option("--model", bench.model, "a GGUF file")->capture_default_str();
  app.add_option("--model-layers", bench.model_layers, "how many layers it has")->capture_default_str();
  app.add_option("--width", bench.width, "values in a row, of the scripted stages and of the bare link")
      ->capture_default_str();
  app.add_option("--spin", bench.spins_us, "microseconds to poll a socket before sleeping, one or several");
  app.add_flag("--json", bench.json, "figures of every round, for programs");
  CLI11_PARSE(app, argc, argv);
  return flotilla::run(bench);
}
