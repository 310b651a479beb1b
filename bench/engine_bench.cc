// What one machine computes alone: prefill and decode of a whole model in one stage, measured as llama-bench measures
// it.
//
//   engine_bench --model FILE [--threads 1] [--shards 1] [--prompt 512] [--step-rows 512] [--generate 128] [--repeat 5]
//                [--json] [--gate]
//
// Prefill: random tokens into an empty cache, --step-rows to a step, logits for the last. Decode: random tokens one by
// one into an empty cache, logits for each, nothing chosen. One run of each beforehand is not counted. With --gate it
// then says "ready" and waits for a line of standard input, so that several copies can be measured at the same time.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>

#include "base/limits.h"
#include "engine/stage.h"

namespace flotilla {
namespace {

struct Options {
  std::string model;
  std::uint32_t threads = 1, shards = 1, prompt = 512, step_rows = 512, generate = 128, repeat = 5;
  bool json = false, gate = false;
};

using Rates = std::vector<double>;  // tokens per second

class Measurement {
 public:
  Measurement(Stage& stage, const Options& options) : stage_(stage), options_(options) {}

  Rates prefill() { return measure(options_.prompt, options_.step_rows); }
  Rates decode() { return measure(options_.generate, 1); }

 private:
  Rates measure(std::uint32_t tokens, std::uint32_t step_rows) {
    Rates rates;
    if (tokens == 0) return rates;
    run(tokens, step_rows);
    if (options_.gate) wait_at_gate();
    for (std::uint32_t i = 0; i < options_.repeat; ++i) {
      const auto start = std::chrono::steady_clock::now();
      run(tokens, step_rows);
      rates.push_back(tokens / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return rates;
  }

  static void wait_at_gate() {
    std::puts("ready");
    std::fflush(stdout);
    while (std::getchar() != '\n' && std::feof(stdin) == 0) continue;
  }

  void run(std::uint32_t tokens, std::uint32_t step_rows) {
    for (std::uint32_t first = 0; first < tokens; first += step_rows) {
      StepBatch batch;
      for (std::uint32_t position = first; position < std::min(tokens, first + step_rows); ++position)
        batch.rows.push_back({SeqId{0}, position, random_token(), false});
      batch.rows.back().wants_logits = step_rows == 1 || batch.rows.back().position + 1 == tokens;
      auto rows = stage_.embed(batch);
      if (rows) rows = stage_.step(batch, *rows);
      if (rows) rows = stage_.logits(*rows);
      if (!rows) throw std::runtime_error(rows.error().message);
    }
  }

  TokenId random_token() { return static_cast<TokenId>(random_() % stage_.spec().vocabulary); }

  Stage& stage_;
  const Options& options_;
  std::minstd_rand random_{7};
};

double median(Rates rates) {
  if (rates.empty()) return 0;
  std::ranges::sort(rates);
  return rates[rates.size() / 2];
}

void print(const Options& options, const Stage& stage, const Rates& prefill, const Rates& decode) {
  const StageMemory memory = stage.memory();
  if (options.json) {
    const nlohmann::json result = {{"model", options.model},
                                   {"threads", options.threads},
                                   {"shards", options.shards},
                                   {"prompt_tokens", options.prompt},
                                   {"step_rows", options.step_rows},
                                   {"generated_tokens", options.generate},
                                   {"prefill_tok_per_s", prefill},
                                   {"decode_tok_per_s", decode},
                                   {"weight_bytes", memory.weight_bytes},
                                   {"kv_bytes", memory.kv_bytes},
                                   {"compute_bytes", memory.compute_bytes}};
    std::printf("%s\n", result.dump().c_str());
    return;
  }
  std::printf(
      "%s, %u shard(s) of %u thread(s): prefill %.1f tok/s over %u tokens, decode %.1f tok/s over %u (medians of %u)\n",
      stage.spec().name.c_str(), options.shards, options.threads, median(prefill), options.prompt, median(decode),
      options.generate, options.repeat);
}

Status run(const Options& options) {
  FLOTILLA_TRY(auto gguf, Gguf::open(options.model));
  FLOTILLA_TRY(const ModelSpec spec, read_spec(*gguf));
  const StageOptions stage_options{.layers = {0, static_cast<std::uint32_t>(spec.blocks.size())},
                                   .is_head = true,
                                   .threads = options.threads,
                                   .shards = options.shards,
                                   .context_tokens = std::max({options.prompt, options.generate, 1u}),
                                   .sequences = 1};
  FLOTILLA_TRY(auto stage, Stage::load(gguf, {}, stage_options, {}));
  Measurement measurement(*stage, options);
  const Rates prefill = measurement.prefill(), decode = measurement.decode();
  print(options, *stage, prefill, decode);
  return {};
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::Options options;
  CLI::App app("Measures prefill and decode of a model on this machine alone.");
  app.add_option("--model", options.model, "GGUF file")->required();
  app.add_option("--threads", options.threads, "compute threads")->capture_default_str();
  app.add_option("--shards", options.shards, "slices of every layer, each with its threads")->capture_default_str();
  app.add_option("--prompt", options.prompt, "tokens to prefill, 0 for none")->capture_default_str();
  app.add_option("--step-rows", options.step_rows, "tokens of the prompt to a step")
      ->check(CLI::Range(1u, flotilla::limits::step_rows_max))
      ->capture_default_str();
  app.add_option("--generate", options.generate, "tokens to decode, 0 for none")->capture_default_str();
  app.add_option("--repeat", options.repeat, "counted runs of each")->capture_default_str();
  app.add_flag("--json", options.json, "one JSON object on stdout");
  app.add_flag("--gate", options.gate, "say \"ready\" before counting and wait for a line of standard input");
  CLI11_PARSE(app, argc, argv);
  try {
    if (const auto status = flotilla::run(options); !status) {
      std::fprintf(stderr, "%s\n", status.error().message.c_str());
      return 1;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
