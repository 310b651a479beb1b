#include "engine/embedder.h"

#include <ggml-backend.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/units.h"
#include "engine/input_values.h"

namespace flotilla {
namespace {

// False where it has no length: all zero, infinite or not a number.
bool make_unit(std::span<float> vector) {
  double squares = 0;
  for (const float value : vector) squares += double{value} * value;
  if (!std::isfinite(squares) || squares <= 0) return false;
  const auto shrink = static_cast<float>(1 / std::sqrt(squares));
  for (float& value : vector) value *= shrink;
  return true;
}

}  // namespace

Result<std::unique_ptr<Embedder>> Embedder::load(const Gguf& gguf, std::span<const std::filesystem::path> files,
                                                 std::uint32_t threads, const LoadProgressFn& progress) {
  FLOTILLA_TRY(ModelSpec spec, read_spec(gguf));
  if (!spec.embeds())
    return fail(Code::unsupported, "[engine] expected a model that makes vectors of texts but {} generates text",
                spec.name);
  if (threads == 0) return fail(Code::invalid_argument, "[engine] expected a thread or more but got none");
  FLOTILLA_TRY(ComputeBackend backend, ComputeBackend::open(threads));
  const StageOptions all{.layers = {0, static_cast<std::uint32_t>(spec.blocks.size())}, .is_head = true, .shares = {}};
  FLOTILLA_TRY(Weights weights, Weights::load(gguf, files, spec, all, nullptr, true, backend, progress));
  std::unique_ptr<Embedder> embedder(new Embedder(std::move(spec), std::move(backend), std::move(weights), threads));
  // What the largest step needs, so that a machine without it learns so now.
  FLOTILLA_TRY_STATUS(embedder->allocate(
      build_embed_graph(embedder->spec_, embedder->weights_, embedder->attention_, embedder->tokens_max())));
  const StageMemory memory = embedder->memory();
  log(LogLevel::info, "engine", "all {} layers of an embedder loaded: {} weights, {} for computing",
      embedder->spec_.blocks.size(), format_bytes(memory.weight_bytes), format_bytes(memory.compute_bytes));
  return embedder;
}

Embedder::Embedder(ModelSpec spec, ComputeBackend backend, Weights weights, std::uint32_t threads)
    : spec_(std::move(spec)),
      backend_(std::move(backend)),
      weights_(std::move(weights)),
      attention_(threads),
      allocator_(ggml_gallocr_new(backend_.plain())) {}

std::uint32_t Embedder::tokens_max() const { return std::max(limits::step_rows_max, spec_.context_length); }

StageMemory Embedder::memory() const {
  return {.weight_bytes = weights_.bytes(), .compute_bytes = ggml_gallocr_get_buffer_size(allocator_.get(), 0)};
}

Status Embedder::check_text(const TextTokens& text) const {
  if (text.empty() || text.size() > spec_.context_length)
    return fail(Code::invalid_argument, "[engine] expected a text of 1 to {} tokens but got {}", spec_.context_length,
                text.size());
  const auto foreign = std::ranges::find_if(
      text, [&](TokenId token) { return token < 0 || std::cmp_greater_equal(token, spec_.vocabulary); });
  if (foreign == text.end()) return {};
  return fail(Code::invalid_argument, "[engine] expected tokens below {} but got {}", spec_.vocabulary, *foreign);
}

// Reserving makes the allocator plan anew for this graph; its buffer only ever grows.
Status Embedder::allocate(const EmbedGraph& graph) {
  if (ggml_gallocr_reserve(allocator_.get(), graph.graph) && ggml_gallocr_alloc_graph(allocator_.get(), graph.graph))
    return {};
  return fail(Code::no_memory, "[engine] expected memory for the step's buffers but the system gave none");
}

Result<std::span<const float>> Embedder::embed(std::span<const TextTokens* const> texts) {
  std::size_t rows = 0;
  for (const TextTokens* text : texts) {
    FLOTILLA_TRY_STATUS(check_text(*text));
    rows += text->size();
  }
  if (rows == 0 || rows > tokens_max())
    return fail(Code::invalid_argument, "[engine] expected texts of 1 to {} tokens together but got {}", tokens_max(),
                rows);
  const EmbedGraph graph = build_embed_graph(spec_, weights_, attention_, static_cast<std::int64_t>(rows));
  FLOTILLA_TRY_STATUS(allocate(graph));
  write(graph, texts);
  FLOTILLA_TRY_STATUS(backend_.compute(graph.graph));
  rows_.resize(rows * spec_.embedding_length);
  ggml_backend_tensor_get(graph.result, rows_.data(), 0, ggml_nbytes(graph.result));
  FLOTILLA_TRY_STATUS(pool(texts));
  return std::span<const float>(vectors_);
}

// A row sees its own text, all of it.
void Embedder::write(const EmbedGraph& graph, std::span<const TextTokens* const> texts) {
  tokens_.clear();
  positions_.clear();
  seen_.clear();
  for (const TextTokens* text : texts) {
    const AttendingRow own{
        .slot = static_cast<std::int32_t>(tokens_.size()), .first = 0, .end = static_cast<std::int32_t>(text->size())};
    for (std::size_t position = 0; position < text->size(); ++position) {
      positions_.push_back(static_cast<std::int32_t>(position));
      seen_.push_back(own);
    }
    tokens_.insert(tokens_.end(), text->begin(), text->end());
  }
  set_all(graph.tokens, tokens_);
  set_all(graph.positions, positions_);
  set_all(graph.kind, std::array<std::int32_t, 1>{0});  // the first text of a pair: there is no second
  set_all(graph.seen, seen_);
}

// A sum has the direction of a mean, and only that is left.
Status Embedder::pool(std::span<const TextTokens* const> texts) {
  const std::size_t width = spec_.embedding_length;
  vectors_.assign(texts.size() * width, 0);
  const float* row = rows_.data();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::span<float> vector(vectors_.data() + i * width, width);
    const std::size_t pooled = spec_.pooling == Pooling::mean ? texts[i]->size() : 1;
    for (std::size_t at = 0; at < pooled; ++at)
      for (std::size_t k = 0; k < width; ++k) vector[k] += row[at * width + k];
    row += texts[i]->size() * width;
    if (!make_unit(vector))
      return fail(Code::internal,
                  "[engine] expected a vector with a length but got one without; compare the model's file with its "
                  "source (flotilla verify)");
  }
  return {};
}

}  // namespace flotilla
