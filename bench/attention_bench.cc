// Our attention beside ggml's, on one thread: how long each takes, and how far each is from the definition.
//
//   attention_bench [--repeat 5] [--json]
//
// Random queries over random cells, in the shapes of known models; each of the two in turns, the shortest of the rounds
// counts. Errors are against the definition in F64, the largest of some rows and heads.
#include <CLI/CLI.hpp>
#include <ggml-cpp.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>

#include "engine/attention_op.h"
#include "engine/backend.h"

namespace flotilla {
namespace {

using Clock = std::chrono::steady_clock;

struct Shape {
  const char* name;
  std::uint32_t heads, kv_heads, length, rows, cells;
};
constexpr Shape shapes[] = {
    {"1.1 B llama, an answer", 32, 4, 64, 1, 2048},        {"1.1 B llama, a prompt", 32, 4, 64, 64, 2048},
    {"8 B llama, an answer", 32, 8, 128, 1, 4096},         {"8 B llama, a prompt", 32, 8, 128, 64, 1024},
    {"SmolLM2, an answer", 9, 3, 64, 1, 1024},             {"SmolLM2, 21 rows of a prompt", 9, 3, 64, 21, 1024},
    {"Gemma 3 270M, an answer", 4, 1, 256, 1, 1024},       {"as many heads for keys, an answer", 16, 16, 64, 1, 1024},
};

// The same attention twice, as graphs: by our operation and by ggml's.
class Problem {
 public:
  Problem(const Shape& shape, const ComputeBackend& backend) : shape_(shape), backend_(backend), op_(1) {
    context_.reset(ggml_init({32 * ggml_tensor_overhead() + 2 * ggml_graph_overhead(), nullptr, true}));
    ggml_context* context = context_.get();
    queries_ = ggml_new_tensor_3d(context, GGML_TYPE_F32, shape.length, shape.heads, shape.rows);
    cache_.keys = ggml_new_tensor_2d(context, GGML_TYPE_F16, shape.length * shape.kv_heads, shape.cells);
    cache_.values = ggml_new_tensor_2d(context, GGML_TYPE_F16, shape.length * shape.kv_heads, shape.cells);
    rows_ = AttentionOp::new_rows(context, shape.rows);
    mask_ = ggml_new_tensor_2d(context, GGML_TYPE_F16, shape.cells, shape.rows);
    build_ours();
    build_ggmls();
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context, backend.plain()));
    fill();
  }

  double seconds_of_ours() const { return seconds_of(our_graph_); }
  double seconds_of_ggmls() const { return seconds_of(ggml_graph_); }
  double error_of_ours() const { return worst_error(ours_); }
  double error_of_ggmls() const { return worst_error(ggmls_); }

 private:
  float scale() const { return 1 / std::sqrt(static_cast<float>(shape_.length)); }

  void build_ours() {
    BlockSpec block;
    block.heads = shape_.heads;
    block.kv_heads = shape_.kv_heads;
    block.key_length = block.value_length = shape_.length;
    block.attention_scale = scale();
    ours_ = op_.add_to(context_.get(), queries_, cache_, rows_, block);
    our_graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(our_graph_, ours_);
  }

  void build_ggmls() {
    const auto head_cells = [&](ggml_tensor* cells) {
      return ggml_view_3d(context_.get(), cells, shape_.length, shape_.cells, shape_.kv_heads, cells->nb[1],
                          shape_.length * sizeof(ggml_fp16_t), 0);
    };
    ggmls_ = ggml_flash_attn_ext(context_.get(), ggml_permute(context_.get(), queries_, 0, 2, 1, 3),
                                 head_cells(cache_.keys), head_cells(cache_.values), mask_, scale(), 0, 0);
    ggml_graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(ggml_graph_, ggmls_);
  }

  // The rows are the last of their sequence.
  void fill() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    auto* queries = static_cast<float*>(queries_->data);
    for (std::int64_t i = 0; i < ggml_nelements(queries_); ++i) queries[i] = 3 * normal(random);
    for (ggml_tensor* cells : {cache_.keys, cache_.values}) {
      auto* halves = static_cast<ggml_fp16_t*>(cells->data);
      for (std::int64_t i = 0; i < ggml_nelements(cells); ++i) halves[i] = ggml_fp32_to_fp16(normal(random));
    }
    constexpr ggml_fp16_t shown = 0, hidden = 0xFC00;
    for (std::uint32_t row = 0; row < shape_.rows; ++row) {
      const std::uint32_t end = end_of(row);
      static_cast<AttendingRow*>(rows_->data)[row] = {0, 0, static_cast<std::int32_t>(end)};
      auto* mask = static_cast<ggml_fp16_t*>(mask_->data) + std::size_t{row} * shape_.cells;
      std::fill(mask, mask + end, shown);
      std::fill(mask + end, mask + shape_.cells, hidden);
    }
  }

  std::uint32_t end_of(std::uint32_t row) const { return shape_.cells - shape_.rows + row + 1; }

  double seconds_of(ggml_cgraph* graph) const {
    constexpr double sample_seconds = 0.05;
    int times = 0;
    const auto begun = Clock::now();
    double seconds = 0;
    while (seconds < sample_seconds) {
      if (!backend_.compute(graph)) return 0;
      ++times;
      seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    }
    return seconds / times;
  }

  double worst_error(const ggml_tensor* results) const {
    double worst = 0;
    for (std::uint32_t row = 0; row < shape_.rows; row += std::max(1u, shape_.rows / 3))
      for (std::uint32_t head = 0; head < shape_.heads; head += std::max(1u, shape_.heads / 4)) {
        const auto expected = by_definition(row, head);
        const float* result =
            static_cast<const float*>(results->data) + (std::size_t{row} * shape_.heads + head) * shape_.length;
        for (std::uint32_t i = 0; i < shape_.length; ++i) worst = std::max(worst, std::abs(expected[i] - result[i]));
      }
    return worst;
  }

  std::vector<double> by_definition(std::uint32_t row, std::uint32_t head) const {
    const std::uint32_t kv_head = head / (shape_.heads / shape_.kv_heads);
    const float* query =
        static_cast<const float*>(queries_->data) + (std::size_t{row} * shape_.heads + head) * shape_.length;
    const auto number = [&](const ggml_tensor* cells, std::uint32_t cell, std::uint32_t i) {
      const std::size_t at = (std::size_t{cell} * shape_.kv_heads + kv_head) * shape_.length + i;
      return ggml_fp16_to_fp32(static_cast<const ggml_fp16_t*>(cells->data)[at]);
    };
    std::vector<double> result(shape_.length);
    double sum = 0;
    for (std::uint32_t cell = 0; cell < end_of(row); ++cell) {
      double score = 0;
      for (std::uint32_t i = 0; i < shape_.length; ++i) score += double{query[i]} * number(cache_.keys, cell, i);
      const double weight = std::exp(score * scale());
      sum += weight;
      for (std::uint32_t i = 0; i < shape_.length; ++i) result[i] += weight * number(cache_.values, cell, i);
    }
    for (double& value : result) value /= sum;
    return result;
  }

  const Shape& shape_;
  const ComputeBackend& backend_;
  AttentionOp op_;
  ggml_context_ptr context_;
  ggml_backend_buffer_ptr buffer_;
  LayerCache cache_;
  ggml_tensor *queries_ = nullptr, *rows_ = nullptr, *mask_ = nullptr, *ours_ = nullptr, *ggmls_ = nullptr;
  ggml_cgraph *our_graph_ = nullptr, *ggml_graph_ = nullptr;
};

void measure(const Shape& shape, const ComputeBackend& backend, int repeat, bool json) {
  const Problem problem(shape, backend);
  double ours = problem.seconds_of_ours(), ggmls = problem.seconds_of_ggmls();
  for (int round = 1; round < repeat; ++round) {
    ours = std::min(ours, problem.seconds_of_ours());
    ggmls = std::min(ggmls, problem.seconds_of_ggmls());
  }
  constexpr double micro = 1e6;
  if (json)
    std::printf("{\"shape\":\"%s\",\"rows\":%u,\"cells\":%u,\"ours_us\":%.2f,\"ggml_us\":%.2f,\"our_error\":%.3g,\"ggml_error\":%.3g}\n",
                shape.name, shape.rows, shape.cells, ours * micro, ggmls * micro, problem.error_of_ours(),
                problem.error_of_ggmls());
  else
    std::printf("%-36s %5u %6u %9.1f %9.1f %7.2f %10.1e %10.1e\n", shape.name, shape.rows, shape.cells, ours * micro,
                ggmls * micro, ggmls / ours, problem.error_of_ours(), problem.error_of_ggmls());
}

}  // namespace
}  // namespace flotilla

int main(int count, char** words) {
  using namespace flotilla;
  CLI::App app("Our attention beside ggml's, on one thread: how long each takes, and how far each is from the definition.");
  int repeat = 5;
  bool json = false;
  app.add_option("--repeat", repeat, "rounds, of which the shortest counts")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_flag("--json", json, "a JSON object a line");
  CLI11_PARSE(app, count, words);
  const auto backend = ComputeBackend::open(1);
  if (!backend) {
    std::fprintf(stderr, "attention_bench: %s\n", backend.error().message.c_str());
    return 1;
  }
  if (!json)
    std::printf("%-36s %5s %6s %9s %9s %7s %10s %10s\n", "", "rows", "cells", "ours, us", "ggml, us", "ratio", "our error",
                "ggml's");
  for (const Shape& shape : shapes) measure(shape, *backend, repeat, json);
}
