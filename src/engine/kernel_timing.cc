#include "engine/kernel_timing.h"

#include <ggml-cpp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <utility>

#include "base/quantile.h"
#include "base/units.h"
#include "engine/attention_op.h"
#include "engine/backend.h"
#include "engine/core_team.h"
#include "engine/lazy_memory.h"
#include "engine/random_rows.h"

namespace flotilla {
namespace {

// One matrix as of a model of some 1 B weights; blocks of 256 fit its rows. A larger one takes as long a byte.
constexpr std::int64_t matrix_columns = 2048, matrix_rows = 2048;
// Keys and values as of a model of some 8 B weights.
constexpr std::int64_t timed_length = 128, timed_kv_heads = 8, timed_heads = 32, timed_positions = 2048;
constexpr std::uint64_t timed_layer_bytes =
    2ull * timed_length * timed_kv_heads * timed_positions * sizeof(ggml_fp16_t);
constexpr double sample_seconds = 0.012;      // of one sample, at least; some matrices at 512 rows take longer
constexpr double all_samples_seconds = 0.25;  // of one number of rows, unless as few as may be take longer
constexpr int samples_min = 3, samples_max = 5;
constexpr std::uint64_t set_bytes_min = 128 * mib, set_bytes_max = 512 * mib;  // of all shards' matrices together

// Four times the last cache, where the system tells its size: with less, what was read a round ago would still be in
// it. Caches that do not simply drop what was used longest ago keep much of twice their size (docs/performance.md).
std::uint64_t set_bytes() {
  std::uint64_t cache = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
  cache = static_cast<std::uint64_t>(std::max(0L, ::sysconf(_SC_LEVEL3_CACHE_SIZE)));
#endif
  return std::clamp(4 * cache, set_bytes_min, set_bytes_max);
}

// Tensors of one shard, each in the buffer a stage would keep it in.
class Tensors {
 public:
  explicit Tensors(std::size_t count) : context_(ggml_init({count * ggml_tensor_overhead(), nullptr, true})) {}
  ggml_context* context() { return context_.get(); }

  Status place(ggml_backend_buffer_type_t type) {
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), type));
    if (!buffer_) return fail(Code::no_memory, "[engine] expected memory to time kernels in but the system gave none");
    ggml_backend_buffer_set_usage(buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    prefer_huge_pages(ggml_backend_buffer_get_base(buffer_.get()), ggml_backend_buffer_get_size(buffer_.get()));
    return {};
  }

 private:
  ggml_context_ptr context_;
  ggml_backend_buffer_ptr buffer_;
};

// A graph whose inputs and results lie in one buffer. All results in the same place: nobody reads them.
class TimedGraph {
 public:
  explicit TimedGraph(std::size_t nodes)
      : context_(ggml_init(
            {nodes * 4 * ggml_tensor_overhead() + ggml_graph_overhead_custom(nodes * 4, false), nullptr, true})),
        graph_(ggml_new_graph_custom(context_.get(), nodes * 4, false)) {}

  ggml_context* context() { return context_.get(); }
  ggml_tensor* input(ggml_tensor* tensor) {
    inputs_.push_back(tensor);
    return tensor;
  }
  void add(ggml_tensor* result) {
    results_.push_back(result);
    ggml_build_forward_expand(graph_, result);
  }

  Status place(const ComputeBackend& backend) {
    std::size_t bytes = 0, widest = 0;
    for (const ggml_tensor* tensor : inputs_) bytes += aligned(ggml_nbytes(tensor));
    for (const ggml_tensor* tensor : results_) widest = std::max(widest, ggml_nbytes(tensor));
    FLOTILLA_TRY(memory_, LazyMemory::map(backend.device(), bytes + aligned(widest), "timing kernels"));
    std::size_t at = 0;
    for (ggml_tensor* tensor : inputs_) {
      ggml_backend_tensor_alloc(memory_.buffer(), tensor, memory_.data() + at);
      at += aligned(ggml_nbytes(tensor));
    }
    for (ggml_tensor* tensor : results_) ggml_backend_tensor_alloc(memory_.buffer(), tensor, memory_.data() + at);
    return {};
  }

  Status compute(const ComputeBackend& backend) const { return backend.compute(graph_); }

 private:
  static std::size_t aligned(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

  ggml_context_ptr context_;
  ggml_cgraph* graph_;
  std::vector<ggml_tensor*> inputs_, results_;
  LazyMemory memory_;
};

void fill(ggml_tensor* activations) {
  auto* values = static_cast<float*>(activations->data);
  std::uint32_t x = 12345;
  for (std::int64_t i = 0; i < ggml_nelements(activations); ++i)
    values[i] = static_cast<float>((x = x * 1664525 + 1013904223) >> 8) / (1 << 24) - 0.5f;
}

// How often a graph is computed for a sample, and how many samples are taken: as shard 0 finds, so that all do alike.
struct SampleSize {
  std::atomic<int> repeats = 1, samples = samples_min;

  void fit(double once) {
    repeats = std::clamp(static_cast<int>(sample_seconds / std::max(once, 1e-7)), 1, 10'000);
    samples =
        std::clamp(static_cast<int>(all_samples_seconds / std::max(once, sample_seconds)), samples_min, samples_max);
  }
};

// Computes a graph twice on every shard; seconds of the second time, as the first one also finds pages and wakes
// threads.
Result<double> try_graph(CoreTeam& team, std::uint32_t shard, const TimedGraph& graph, const ComputeBackend& backend,
                         SampleSize& size) {
  Status status = graph.compute(backend);
  const double once = team.time([&] {
    if (status) status = graph.compute(backend);
  });
  if (shard == 0) size.fit(once);
  team.wait();
  if (!status) return fail(status.error());
  return once;
}

// Takes the same graph on every shard until a sample is long enough; seconds of one computing.
Result<double> sample_graph(CoreTeam& team, const TimedGraph& graph, const ComputeBackend& backend,
                            const SampleSize& size) {
  Status status;
  const int repeats = size.repeats;
  const double seconds = team.time([&] {
    for (int i = 0; i < repeats && status; ++i) status = graph.compute(backend);
  });
  if (!status) return fail(status.error());
  return seconds / repeats;
}

// What memory and the machine beneath this one do is there in every step to come: the middle, not the shortest.
double middle(const std::vector<double>& samples) { return quantile(samples, 0.5); }

Status make_matrices(Tensors& tensors, std::vector<ggml_tensor*>& matrices, ggml_type type,
                     const ComputeBackend& backend, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    matrices.push_back(ggml_new_tensor_2d(tensors.context(), type, matrix_columns, matrix_rows));
  FLOTILLA_TRY_STATUS(tensors.place(backend.best_for_matrix(type, matrix_columns, matrix_rows)));
  RandomRows rows(type, matrix_columns);
  std::vector<std::byte> bytes(ggml_nbytes(matrices.front()));
  for (std::size_t row = 0; row < matrix_rows; ++row)
    std::ranges::copy(rows.draw(), bytes.begin() + static_cast<std::ptrdiff_t>(row * rows.row_bytes()));
  for (ggml_tensor* matrix : matrices) ggml_backend_tensor_set(matrix, bytes.data(), 0, bytes.size());
  return {};
}

// As many products as a sample has time for, each with another matrix, and one at least.
std::size_t products_for(double seconds_each, std::size_t matrices) {
  return std::clamp<std::size_t>(static_cast<std::size_t>(sample_seconds / seconds_each), 1, matrices);
}

Result<TimedGraph> multiply(std::span<ggml_tensor* const> matrices, std::uint32_t rows, const ComputeBackend& backend) {
  TimedGraph graph(matrices.size() + 1);
  auto* activations = graph.input(ggml_new_tensor_2d(graph.context(), GGML_TYPE_F32, matrix_columns, rows));
  for (ggml_tensor* matrix : matrices) graph.add(ggml_mul_mat(graph.context(), matrix, activations));
  FLOTILLA_TRY_STATUS(graph.place(backend));
  fill(activations);
  return graph;
}

// Keys of each layer, then its values.
Status make_cells(Tensors& tensors, std::vector<ggml_tensor*>& cells, const ComputeBackend& backend,
                  std::size_t layers) {
  for (std::size_t i = 0; i < 2 * layers; ++i)
    cells.push_back(
        ggml_new_tensor_2d(tensors.context(), GGML_TYPE_F16, timed_length * timed_kv_heads, timed_positions));
  FLOTILLA_TRY_STATUS(tensors.place(backend.plain()));
  RandomRows random(GGML_TYPE_F16, timed_length * timed_kv_heads);
  for (ggml_tensor* matrix : cells)
    for (std::int64_t i = 0; i < timed_positions; ++i) {
      const auto row = random.draw();
      ggml_backend_tensor_set(matrix, row.data(), static_cast<std::size_t>(i) * row.size(), row.size());
    }
  return {};
}

// Each row looks back on all positions of every layer.
Result<TimedGraph> attend(AttentionOp& attention, std::span<ggml_tensor* const> cells, std::uint32_t rows,
                          const ComputeBackend& backend) {
  BlockSpec spec;
  spec.heads = timed_heads;
  spec.kv_heads = timed_kv_heads;
  spec.key_length = spec.value_length = timed_length;
  TimedGraph graph(cells.size() / 2 + 2);
  auto* query = graph.input(ggml_new_tensor_3d(graph.context(), GGML_TYPE_F32, timed_length, timed_heads, rows));
  auto* seen = graph.input(AttentionOp::new_rows(graph.context(), rows));
  for (std::size_t i = 0; i < cells.size(); i += 2)
    graph.add(attention.add_to(graph.context(), query, {cells[i], cells[i + 1]}, seen, spec));
  FLOTILLA_TRY_STATUS(graph.place(backend));
  fill(query);
  std::fill_n(static_cast<AttendingRow*>(seen->data), rows, AttendingRow{0, 0, timed_positions});
  return graph;
}

// With nothing between its samples.
Result<std::vector<double>> sample_alone(CoreTeam& team, const TimedGraph& graph, const ComputeBackend& backend,
                                         const SampleSize& size) {
  std::vector<double> samples;
  const int wanted = size.samples;
  while (std::ssize(samples) < wanted) {
    FLOTILLA_TRY(const double seconds, sample_graph(team, graph, backend, size));
    samples.push_back(seconds);
  }
  return samples;
}

}  // namespace

Result<std::vector<double>> time_matrices(ggml_type type, const CoreDivision& division) {
  const std::size_t matrix_bytes = ggml_row_size(type, matrix_columns) * matrix_rows;
  const auto count = std::max<std::size_t>(2, set_bytes() / division.shards / matrix_bytes);
  CoreTeam team(division.shards);
  std::array<SampleSize, kernel_rows.size()> sizes;
  std::array<std::vector<double>, kernel_rows.size()> samples;  // seconds of one product, as shard 0 found them
  std::atomic<std::size_t> wanted = count;                      // products, as shard 0 decides, so that all do the same
  const Status ended = team.run([&](std::uint32_t shard) -> Status {
    FLOTILLA_TRY(const auto backend, ComputeBackend::open(division.threads));
    Tensors tensors(count);
    std::vector<ggml_tensor*> matrices;
    FLOTILLA_TRY_STATUS(make_matrices(tensors, matrices, type, backend, count));
    std::vector<TimedGraph> graphs;
    std::array<std::size_t, kernel_rows.size()> products{};
    for (std::size_t i = 0; i < kernel_rows.size(); ++i) {
      products[i] = wanted;
      FLOTILLA_TRY(auto graph, multiply(std::span(matrices).first(products[i]), kernel_rows[i], backend));
      FLOTILLA_TRY(const double once, try_graph(team, shard, graph, backend, sizes[i]));
      graphs.push_back(std::move(graph));
      // The next has about twice the rows.
      if (shard == 0) wanted = products_for(2 * once / static_cast<double>(products[i]), count);
      team.wait();
    }
    // One sample of each before the next of any: what disturbs a machine for a moment then meets one sample of many
    // numbers of rows, not all samples of one.
    for (int sample = 0; sample < samples_max; ++sample)
      for (std::size_t i = 0; i < graphs.size(); ++i) {
        if (sample >= sizes[i].samples) continue;
        FLOTILLA_TRY(const double seconds, sample_graph(team, graphs[i], backend, sizes[i]));
        if (shard == 0) samples[i].push_back(seconds / static_cast<double>(products[i]));
      }
    return {};
  });
  if (!ended) return fail(ended.error());
  std::vector<double> result;
  const double matrices_per_gib = static_cast<double>(gib) / static_cast<double>(matrix_bytes);
  for (const auto& of_rows : samples) result.push_back(middle(of_rows) / division.shards * matrices_per_gib);
  return result;
}

Result<double> attention_rate(const CoreDivision& division, std::uint32_t rows) {
  // Many rows are bound by arithmetic, so what they read need not be more than a cache.
  const auto layers =
      rows > 1 ? std::size_t{1} : std::max<std::size_t>(2, set_bytes() / division.shards / timed_layer_bytes);
  CoreTeam team(division.shards);
  SampleSize size;
  double rate = 0;
  const Status ended = team.run([&](std::uint32_t shard) -> Status {
    FLOTILLA_TRY(const auto backend, ComputeBackend::open(division.threads));
    Tensors tensors(2 * layers);
    std::vector<ggml_tensor*> cells;
    FLOTILLA_TRY_STATUS(make_cells(tensors, cells, backend, layers));
    AttentionOp attention(division.threads);
    FLOTILLA_TRY(const auto graph, attend(attention, cells, rows, backend));
    FLOTILLA_TRY_STATUS(try_graph(team, shard, graph, backend, size));
    FLOTILLA_TRY(const auto samples, sample_alone(team, graph, backend, size));
    if (shard == 0) rate = static_cast<double>(timed_layer_bytes * layers * rows) * division.shards / middle(samples);
    return {};
  });
  if (!ended) return fail(ended.error());
  return rate;
}

double memory_rate(std::uint32_t cores) {
  const std::size_t each = std::max<std::size_t>(set_bytes() / cores, mib) / sizeof(std::uint64_t);
  CoreTeam team(cores);
  double rate = 0;
  (void)team.run([&](std::uint32_t core) -> Status {
    const std::unique_ptr<std::uint64_t[]> numbers(new std::uint64_t[each]);
    prefer_huge_pages(numbers.get(), each * sizeof(std::uint64_t));
    std::fill_n(numbers.get(), each, core + 1);
    std::array<double, samples_min> seconds{};  // of which the shortest counts: it is a bound
    std::uint64_t sum = 0;
    for (double& sample : seconds) {
      sample = team.time([&] {
        std::array<std::uint64_t, 16> sums{};
        for (std::size_t i = 0; i + sums.size() <= each; i += sums.size())
          for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += numbers[i + lane];
        for (const std::uint64_t lane : sums) sum += lane;
      });
    }
    if (core == 0) rate = static_cast<double>(each * sizeof(std::uint64_t)) * cores / std::ranges::min(seconds);
    return sum == 0 ? fail(Code::internal, "[engine] expected a sum")
                    : Status{};  // so that the reading is not left out
  });
  return rate;
}

}  // namespace flotilla
