#include "engine/machine_rates.h"

#include <algorithm>
#include <format>

#include "base/log.h"
#include "base/units.h"
#include "engine/backend.h"
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

std::string kernels_version() { return std::format("ggml {} in {}", ggml_version(), backend_folder()); }

namespace {

// Steps of the work, told one by one.
class Steps {
 public:
  Steps(const MeasureProgressFn& progress, std::size_t total)
      : progress_(progress), total_(static_cast<std::uint32_t>(total)) {}
  void next(const std::string& text) {
    if (progress_) progress_(text, done_++, total_);
  }

 private:
  const MeasureProgressFn& progress_;
  std::uint32_t done_ = 0;
  const std::uint32_t total_;
};

Result<std::vector<KernelRate>> time_types(const std::vector<std::string>& names, const CoreDivision& division,
                                           Steps& steps) {
  std::vector<KernelRate> kernels;
  for (const std::string& name : names) {
    const ggml_type type = type_named(name);
    if (type == GGML_TYPE_COUNT) continue;
    steps.next("timing " + name);
    FLOTILLA_TRY(auto seconds, time_matrices(type, division));
    kernels.push_back({name, std::move(seconds)});
  }
  return kernels;
}

}  // namespace

Result<MachineRates> measure_machine(const MeasureOptions& options, const MeasureProgressFn& progress) {
  FLOTILLA_TRY_STATUS(start_engine());
  const CoreDivision all{1, options.cores};
  Steps steps(progress, options.types.size() + (options.division ? 0 : 4));
  MachineRates rates;
  CoreDivision division = options.division.value_or(all);
  if (!options.division) {
    steps.next(std::format("dividing {} cores", options.cores));
    const auto times = measure_divisions(options.cores, options.scratch);
    if (times)
      division = fastest(*times).division;
    else
      log(LogLevel::warning, "engine", "the division of the cores was not measured: {}", times.error().message);
  }
  rates.shards = division.shards;
  rates.threads_per_shard = division.threads;
  FLOTILLA_TRY(rates.kernels, time_types(options.types, division, steps));
  if (options.division) return rates;
  steps.next("computing narrow layers");
  if (const auto layer = measure_layer(division, options.scratch)) rates.layer_seconds = *layer;
  steps.next("reading memory");
  rates.memory_bytes_per_second = memory_rate(options.cores);
  steps.next("reading keys and values");
  FLOTILLA_TRY(rates.attention_bytes_per_second, attention_rate(division, 1));
  FLOTILLA_TRY(rates.attention_prompt_bytes_per_second, attention_rate(division, attention_prompt_rows));
  return rates;
}

}  // namespace flotilla
