#include "engine/machine_rates.h"

#include <algorithm>
#include <format>

#include "base/log.h"
#include "base/units.h"
#include "engine/core_division.h"
#include "engine/kernel_timing.h"
#include "engine/random_rows.h"
#include "engine/stage.h"

namespace flotilla {

const std::vector<std::string>& common_types() {
  static const std::vector<std::string> types{"Q4_0", "Q4_K", "Q6_K"};
  return types;
}

std::vector<std::string> measurable_types(const std::vector<int>& types) {
  std::vector<std::string> names;
  for (const int type : types) {
    if (type < 0 || type >= GGML_TYPE_COUNT) continue;
    const std::string name = type_name(static_cast<ggml_type>(type));
    if (type_named(name) != GGML_TYPE_COUNT && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

double layer_overhead(double step_seconds, std::uint64_t weight_bytes, double seconds_per_gib, std::uint32_t layers) {
  const double weights = static_cast<double>(weight_bytes) / static_cast<double>(gib) * seconds_per_gib;
  return std::max(0.0, step_seconds - weights) / layers;
}

Result<MachineRates> measure_machine(const MeasureOptions& options, const MeasureProgressFn& progress) {
  FLOTILLA_TRY_STATUS(start_engine());
  const auto total = static_cast<std::uint32_t>(options.types.size()) + 3;
  std::uint32_t done = 0;
  const auto say = [&](const std::string& text) {
    if (progress) progress(text, done++, total);
  };
  MachineRates rates;
  say(std::format("dividing {} cores", options.cores));
  auto divisions = measure_divisions(options.cores, options.scratch);
  CoreDivision division{1, options.cores};
  double token_seconds = 0;
  if (divisions) {
    const DivisionTime& best = fastest(divisions->times);
    division = best.division;
    token_seconds = best.token_seconds;
  } else {
    log(LogLevel::warning, "engine", "the division of the cores was not measured: {}", divisions.error().message);
  }
  rates.shards = division.shards;
  rates.threads_per_shard = division.threads;
  for (const std::string& name : options.types) {
    const ggml_type type = type_named(name);
    if (type == GGML_TYPE_COUNT) continue;
    say("timing " + name);
    FLOTILLA_TRY(auto seconds, time_matrices(type, division));
    if (divisions && type == divisions->model.type)
      rates.layer_seconds =
          layer_overhead(token_seconds, divisions->model.weight_bytes, seconds.front(), divisions->model.layers);
    rates.kernels.push_back({name, std::move(seconds)});
  }
  say("reading memory");
  rates.memory_bytes_per_second = memory_rate(options.cores);
  say("reading keys and values");
  FLOTILLA_TRY(rates.attention_bytes_per_second, attention_rate(division));
  return rates;
}

}  // namespace flotilla
