#include "engine/core_division.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <memory>

#include "base/log.h"
#include "base/quantile.h"
#include "engine/random_model.h"
#include "engine/stage.h"

namespace flotilla {
namespace {

// Larger than most caches as a whole: 71 MB. Blocks of 32 can be cut into eight shards, which models with eight KV
// heads can be as well.
constexpr RandomShape wide = {
    .layers = 8, .width = 1024, .heads = 16, .kv_heads = 8, .feed_forward = 4096, .vocabulary = 32};
// A quarter of a MB a layer, which stays in a cache.
constexpr RandomShape narrow = {
    .layers = 16, .width = 256, .heads = 8, .kv_heads = 8, .feed_forward = 256, .vocabulary = 32};
constexpr const char* model_quantization = "Q4_0";
constexpr std::uint32_t shards_max = 8, candidates_max = 4;
constexpr std::uint32_t read_rows = 64, tokens_a_round = 8, rounds = 3;
constexpr double rounds_seconds = 3;  // on a machine where even this takes long, fewer rounds must do
constexpr double chat_read_tokens = 256, chat_written_tokens = 256;
constexpr double worth_more_shards = 0.97;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A moment in which others computed says nothing of a division; the luckiest one says little either.
double lower_quartile(const std::vector<double>& values) { return quantile(values, 0.25); }

// A file that goes with its owner, or before. Always the same name: a process that measures may be ended at any moment,
// and the next one writes over what that left.
class ScratchFile {
 public:
  explicit ScratchFile(const std::filesystem::path& folder) : path_(folder / "measure.gguf") { remove_old(folder); }
  ~ScratchFile() { remove(); }
  void remove() const {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  // Earlier versions called it measure-PID.gguf, and left them.
  static void remove_old(const std::filesystem::path& folder) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
      if (const std::string name = entry.path().filename(); name.starts_with("measure-") && name.ends_with(".gguf"))
        std::filesystem::remove(entry.path(), ignored);
  }

  std::filesystem::path path_;
};

// One division at work, with a cache of its own.
class Candidate {
 public:
  static Result<Candidate> load(const std::shared_ptr<const Gguf>& gguf, const RandomShape& shape,
                                const CoreDivision& division) {
    const StageOptions options{.layers = {0, static_cast<std::uint32_t>(shape.layers)},
                               .threads = division.threads,
                               .shards = division.shards,
                               .context_tokens = 256};
    Candidate candidate;
    candidate.division = division;
    candidate.width_ = static_cast<std::size_t>(shape.width);
    FLOTILLA_TRY(candidate.stage_, Stage::load(gguf, {}, options, {}));
    return candidate;
  }

  // Reads 64 rows, then writes some tokens after them: nine steps.
  Status round(bool counts) {
    auto start = std::chrono::steady_clock::now();
    FLOTILLA_TRY_STATUS(step(0, read_rows));
    if (counts) read.push_back(seconds_since(start) / read_rows);
    for (std::uint32_t i = 0; i < tokens_a_round; ++i) {
      start = std::chrono::steady_clock::now();
      FLOTILLA_TRY_STATUS(step(read_rows + i, 1));
      if (counts) token.push_back(seconds_since(start));
    }
    return {};
  }

  CoreDivision division;
  std::vector<double> token, read;  // seconds a row

 private:
  Status step(std::uint32_t position, std::uint32_t rows) {
    StepBatch batch;
    if (position == 0) batch.free.push_back(SeqId{0});
    for (std::uint32_t i = 0; i < rows; ++i) batch.rows.push_back({SeqId{0}, position + i, TokenId{1}, false});
    batch.rows.back().wants_logits = true;
    activations_.resize(rows * width_, 0.01f);
    FLOTILLA_TRY([[maybe_unused]] const auto result, stage_->step(batch, activations_));
    return {};
  }

  std::unique_ptr<Stage> stage_;
  std::size_t width_ = 0;
  std::vector<float> activations_;
};

Result<std::shared_ptr<const Gguf>> write_model(const ScratchFile& file, const RandomShape& shape) {
  FLOTILLA_TRY_STATUS(write_random_model(file.path(), shape, model_quantization, "measure", nullptr));
  return Gguf::open(file.path());
}

}  // namespace

std::vector<CoreDivision> divisions_of(std::uint32_t cores) {
  std::vector<CoreDivision> list;
  for (std::uint32_t shards = std::min(cores, shards_max); shards > 1 && list.size() + 1 < candidates_max; --shards)
    if (cores % shards == 0) list.push_back({shards, cores / shards});
  list.push_back({1, cores});
  return list;
}

double chat_seconds(const DivisionTime& time) {
  return chat_written_tokens * time.token_seconds + chat_read_tokens * time.read_row_seconds;
}

const DivisionTime& fastest(std::span<const DivisionTime> times) {
  const DivisionTime* chosen = &*std::ranges::min_element(times, {}, chat_seconds);
  const double best = chat_seconds(*chosen);
  for (const DivisionTime& time : times)
    if (chat_seconds(time) * worth_more_shards <= best && time.division.shards < chosen->division.shards)
      chosen = &time;
  return *chosen;
}

Result<std::vector<DivisionTime>> measure_divisions(std::uint32_t cores, const std::filesystem::path& scratch) {
  const ScratchFile file(scratch);
  FLOTILLA_TRY(const auto gguf, write_model(file, wide));
  std::vector<Candidate> candidates;
  for (const CoreDivision& division : divisions_of(cores)) {
    auto candidate = Candidate::load(gguf, wide, division);
    if (candidate)
      candidates.push_back(*std::move(candidate));
    else
      log(LogLevel::warning, "engine", "{} shards of {} threads are not tried: {}", division.shards, division.threads,
          candidate.error().message);
  }
  file.remove();  // they hold all of it
  if (candidates.empty()) return fail(Code::no_memory, "[engine] expected to load a small model but could not");
  const auto start = std::chrono::steady_clock::now();
  for (std::uint32_t round = 0; round <= rounds; ++round) {
    if (round > 1 && seconds_since(start) > rounds_seconds) break;
    for (Candidate& candidate : candidates) FLOTILLA_TRY_STATUS(candidate.round(round > 0));
  }
  std::vector<DivisionTime> times;
  for (const Candidate& candidate : candidates)
    times.push_back({candidate.division, lower_quartile(candidate.token), lower_quartile(candidate.read)});
  return times;
}

Result<double> measure_layer(const CoreDivision& division, const std::filesystem::path& scratch) {
  const ScratchFile file(scratch);
  FLOTILLA_TRY(const auto gguf, write_model(file, narrow));
  FLOTILLA_TRY(auto candidate, Candidate::load(gguf, narrow, division));
  file.remove();
  for (std::uint32_t round = 0; round <= 2 * rounds; ++round) FLOTILLA_TRY_STATUS(candidate.round(round > 0));
  return lower_quartile(candidate.token) / static_cast<double>(narrow.layers);
}

}  // namespace flotilla
