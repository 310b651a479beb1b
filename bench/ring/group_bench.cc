// What computing one stage on two machines costs and gains: `group_bench MODEL [--link MODEL] [--bf16] [--overlap]
// [--json]`.
//
// Side by side, in turns: one process on one core; two such processes at once, which together are the ceiling of what
// two cores can do without ever talking; one process of two shards; two processes of one shard each, which exchange
// their summands over loopback (or a modelled link). Every process is pinned to a core of its own, but for the one of
// two shards, which has both. Medians of rounds; a ratio is to the ceiling of the same round. With --overlap only two
// groups take turns: one that computes while it exchanges, as over slow links (model/overlap.h), and one that does
// not, which stands for the ceiling.
//
// Under the table stands where a token's time goes on two machines, by the first one's clock: what it computes and
// sends, beside what it would take at the sum of the two copies' rates, and the rest, in which it waits for the other.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <future>
#include <nlohmann/json.hpp>
#include <print>
#include <string>
#include <vector>

#include "io/modelled_link.h"
#include "median.h"
#include "model/gguf.h"
#include "model/spec.h"
#include "pipeline/local_ring.h"
#include "told_stats.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  std::string model, link;
  std::uint32_t rounds = 5, tokens = 48, prompt = 512;
  std::vector<std::uint32_t> cores = {0, 1};
  double told_rate = 0;  // bytes per second
  bool bf16 = false, overlap = false, json = false;
};

// Runners of one ring, each on its own cores.
class PinnedRunners final : public Runners {
 public:
  PinnedRunners(const std::vector<std::string>& cores, const std::string& link) {
    for (const auto& list : cores)
      each_.push_back(std::make_unique<ProcessRunners>(std::vector<std::string>{
          "/usr/bin/taskset", "--cpu-list", list, FLOTILLA_RUNNER_TOOL, "--link", link, "--spin", "100"}));
  }
  Result<std::unique_ptr<Link>> start(std::size_t index) override { return each_.at(index)->start(0); }

 private:
  std::vector<std::unique_ptr<ProcessRunners>> each_;
};

struct Rates {
  double decode = 0, prefill = 0;  // tokens per second
};

// Of one token's step, by the first member's clock.
struct TokenTime {
  double whole_ms = 0, computing_ms = 0;
};

class Contender {
 public:
  Contender(std::string title, const std::vector<std::string>& cores, const std::string& link)
      : name(std::move(title)), runners_(cores, link) {}

  Status form(LocalRingOptions options) {
    FLOTILLA_TRY(auto ring, LocalRing::form(runners_, std::move(options)));
    ring_ = std::make_unique<LocalRing>(std::move(ring));
    return {};
  }

  Result<Rates> answer(std::uint32_t prompt, std::uint32_t tokens) {
    GenerateRequest request;
    request.id = RequestId{++requests_};
    request.prompt.assign(prompt, 7);
    for (std::uint32_t i = 0; i < prompt; ++i)
      request.prompt[i] = static_cast<TokenId>(11 + (i * 7919 + requests_) % 900);
    request.tokens_max = tokens;
    request.sampling.temperature = 0;
    request.speculate = false;
    const auto begun = Clock::now();
    FLOTILLA_TRY_STATUS(ring_->send(request));
    Clock::time_point first{};
    for (std::uint32_t count = 0;; ++count) {
      FLOTILLA_TRY(const auto event, ring_->next_event());
      if (count == 0) first = Clock::now();
      if (event.finish == FinishReason::failed) return fail(*event.error);
      if (event.finish != FinishReason::none)
        return Rates{.decode = count / seconds(Clock::now() - first), .prefill = prompt / seconds(first - begun)};
    }
  }

  // What follows counts for token_time().
  void begin_counting() { begun_ = of_head(); }

  TokenTime token_time() {
    const auto told = of_head();
    const auto steps = static_cast<double>(told.single_steps - begun_.single_steps);
    if (steps == 0) return {};
    return {.whole_ms = 1000 * (told.single_round_seconds - begun_.single_round_seconds) / steps,
            .computing_ms = 1000 * (told.single_compute_seconds - begun_.single_compute_seconds) / steps};
  }

  std::string name;

 private:
  StageStats of_head() {
    auto stages = told_stats(*ring_);
    return stages.empty() ? StageStats{} : std::move(stages.front());
  }

  static double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

  PinnedRunners runners_;  // outlives the ring
  std::unique_ptr<LocalRing> ring_;
  StageStats begun_;
  std::uint64_t requests_ = 0;
};

struct Series {
  std::string name;
  std::vector<double> decode, prefill, of_ceiling_decode, of_ceiling_prefill;
};

struct Measured {
  std::vector<Series> series;
  std::array<TokenTime, 2> of_copies;  // at once
  TokenTime of_group;                  // 0 with --overlap

  // What computing a token would take two machines that compute nothing twice: at the sum of the copies' rates.
  double ideal_ms() const { return 1 / (1 / of_copies[0].computing_ms + 1 / of_copies[1].computing_ms); }
};

Result<Rates> both_at_once(Contender& one, Contender& other, const BenchOptions& bench) {
  auto second = std::async(std::launch::async, [&] { return other.answer(bench.prompt, bench.tokens); });
  FLOTILLA_TRY(Rates sum, one.answer(bench.prompt, bench.tokens));
  FLOTILLA_TRY(const Rates more, second.get());
  return Rates{sum.decode + more.decode, sum.prefill + more.prefill};
}

void add(Series& series, const Rates& rates, const Rates& ceiling) {
  series.decode.push_back(rates.decode);
  series.prefill.push_back(rates.prefill);
  series.of_ceiling_decode.push_back(rates.decode / ceiling.decode);
  series.of_ceiling_prefill.push_back(rates.prefill / ceiling.prefill);
}

Result<Measured> measure_overlap(const BenchOptions& bench, const LocalRingOptions& group) {
  const std::vector cores = {std::to_string(bench.cores.at(0)), std::to_string(bench.cores.at(1))};
  Contender first("computes, then exchanges", cores, bench.link),
      both("computes while it exchanges", cores, bench.link);
  auto in_turn = group;
  in_turn.exchange_bytes_per_second = 0;
  FLOTILLA_TRY_STATUS(first.form(in_turn));
  FLOTILLA_TRY_STATUS(both.form(group));
  std::vector<Series> all(2);
  all[0].name = first.name;
  all[1].name = both.name;
  for (std::uint32_t round = 0; round <= bench.rounds; ++round) {
    FLOTILLA_TRY(const Rates without, first.answer(bench.prompt, bench.tokens));
    FLOTILLA_TRY(const Rates with, both.answer(bench.prompt, bench.tokens));
    if (round == 0) continue;  // warms up
    add(all[0], without, without);
    add(all[1], with, without);
  }
  return Measured{.series = std::move(all), .of_copies = {}, .of_group = {}};
}

Result<Measured> measure(const BenchOptions& bench) {
  FLOTILLA_TRY(const auto gguf, Gguf::open(bench.model));
  FLOTILLA_TRY(const auto spec, read_spec(*gguf));
  LocalRingOptions alone{.model = "bench", .files = {bench.model}, .stages = {{0, std::uint32_t(spec.blocks.size())}}};
  alone.context_tokens = bench.prompt + bench.tokens + 64;
  alone.sequences = 1;
  auto shards = alone, group = alone;
  shards.shards = 2;
  group.shares = {1.0, 1.0};
  FLOTILLA_TRY(const LinkModel link, link_model_from_text(bench.link.empty() ? "rate=0" : bench.link));
  const double link_rate = bytes_per_second(link);
  if (std::isfinite(link_rate)) group.exchange_bytes_per_second = link_rate;
  if (bench.told_rate > 0) group.exchange_bytes_per_second = bench.told_rate;
  if (bench.bf16) group.activation_type = ActivationType::bf16;
  if (bench.overlap) return measure_overlap(bench, group);
  const auto first = std::to_string(bench.cores.at(0)), second = std::to_string(bench.cores.at(1));
  Contender one("one core", {first}, ""), copy("a copy", {first}, ""), other("the other copy", {second}, ""),
      threads("two shards, one process", {first + "," + second}, ""),
      machines("two members, two processes", {first, second}, bench.link);
  FLOTILLA_TRY_STATUS(one.form(alone));
  FLOTILLA_TRY_STATUS(copy.form(alone));
  FLOTILLA_TRY_STATUS(other.form(alone));
  FLOTILLA_TRY_STATUS(threads.form(shards));
  FLOTILLA_TRY_STATUS(machines.form(group));
  std::vector<Series> all(4);
  all[1].name = "two copies at once (the ceiling)";
  for (std::uint32_t round = 0; round <= bench.rounds; ++round) {
    FLOTILLA_TRY(const Rates ceiling, both_at_once(copy, other, bench));
    const auto note = [&](Series& series, const Rates& rates, const std::string& name) {
      if (round == 0) return;  // warms up
      series.name = name;
      add(series, rates, ceiling);
    };
    note(all[1], ceiling, all[1].name);
    std::size_t place = 0;
    for (Contender* contender : {&one, &threads, &machines}) {
      FLOTILLA_TRY(const Rates rates, contender->answer(bench.prompt, bench.tokens));
      note(all[place], rates, contender->name);
      place = place == 0 ? 2 : place + 1;
    }
    if (round > 0) continue;
    for (Contender* contender : {&copy, &other, &machines}) contender->begin_counting();
  }
  return Measured{.series = std::move(all),
                  .of_copies = {copy.token_time(), other.token_time()},
                  .of_group = machines.token_time()};
}

void print_table(const Measured& measured) {
  std::println("{:<34} {:>10} {:>8} {:>10} {:>8}", "", "decode/s", "ceiling", "prefill/s", "ceiling");
  for (const Series& series : measured.series)
    std::println("{:<34} {:>10.2f} {:>8.3f} {:>10.1f} {:>8.3f}", series.name, median(series.decode),
                 median(series.of_ceiling_decode), median(series.prefill), median(series.of_ceiling_prefill));
  const auto& [whole, computing] = measured.of_group;
  if (whole == 0) return;
  std::println(
      "Of a token's {:.2f} ms on two machines, {:.2f} are spent computing and sending, where the copies "
      "(each {:.2f} and {:.2f}) would take {:.2f}; {:.2f} waiting for the other.",
      whole, computing, measured.of_copies[0].computing_ms, measured.of_copies[1].computing_ms, measured.ideal_ms(),
      whole - computing);
}

void print_json(const Measured& measured) {
  auto rows = nlohmann::json::array();
  for (const Series& series : measured.series)
    rows.push_back({{"name", series.name},
                    {"decode", series.decode},
                    {"prefill", series.prefill},
                    {"of_ceiling_decode", series.of_ceiling_decode},
                    {"of_ceiling_prefill", series.of_ceiling_prefill}});
  nlohmann::json all = {{"series", std::move(rows)}};
  if (measured.of_group.whole_ms > 0)
    all["token"] = {{"whole_ms", measured.of_group.whole_ms},
                    {"computing_ms", measured.of_group.computing_ms},
                    {"copies_computing_ms", {measured.of_copies[0].computing_ms, measured.of_copies[1].computing_ms}},
                    {"ideal_ms", measured.ideal_ms()}};
  std::println("{}", all.dump(2));
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::BenchOptions bench;
  CLI::App app("One stage on two machines, beside one machine and the ceiling of two");
  app.add_option("model", bench.model, "a GGUF file")->required();
  app.add_option("--rounds", bench.rounds)->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--tokens", bench.tokens, "tokens of each answer")->capture_default_str()->check(CLI::Range(2, 1000));
  app.add_option("--prompt", bench.prompt, "tokens of each prompt")->capture_default_str()->check(CLI::Range(1, 4000));
  app.add_option("--cores", bench.cores, "the two cores")->expected(2)->capture_default_str();
  app.add_option("--link", bench.link, "slow the exchange down to a modelled link: \"1gbe,scale=0.2\"");
  app.add_option("--told-rate", bench.told_rate,
                 "what members are told of their link, bytes per second; else the model's");
  app.add_flag("--overlap", bench.overlap, "only a group that computes while it exchanges, beside one that does not");
  app.add_flag("--bf16", bench.bf16, "summands travel in two bytes");
  app.add_flag("--json", bench.json, "figures of every round, for programs");
  CLI11_PARSE(app, argc, argv);
  const auto measured = flotilla::measure(bench);
  if (!measured) {
    std::println(stderr, "{}", measured.error().message);
    return 1;
  }
  bench.json ? flotilla::print_json(*measured) : flotilla::print_table(*measured);
}
