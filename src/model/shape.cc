#include "model/shape.h"

#include <ggml.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/limits.h"
#include "base/units.h"
#include "model/slice_units.h"
#include "model/spec.h"

namespace flotilla {
namespace {

std::vector<const TensorPlace*> tensors_where(const Gguf& gguf, auto wanted) {
  std::vector<const TensorPlace*> out;
  for (const TensorPlace& place : gguf.tensors()) {
    if (wanted(place.name)) out.push_back(&place);
  }
  return out;
}

bool is_head_tensor(std::string_view name) {
  return name == "token_embd.weight" || name == "output_norm.weight" || name == "output.weight" ||
         name == "token_types.weight" || name == "position_embd.weight" || name == "token_embd_norm.weight" ||
         name == "token_embd_norm.bias";
}

bool is_shared_tensor(std::string_view name) { return name == "rope_freqs.weight"; }

// The layer of "blk.17.attn_q.weight"; nothing for other tensors.
std::optional<std::uint32_t> layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  std::uint32_t layer = 0;
  std::size_t at = 4;
  for (; at < name.size() && name[at] >= '0' && name[at] <= '9' && layer < limits::layers_max; ++at) {
    layer = layer * 10 + static_cast<std::uint32_t>(name[at] - '0');
  }
  if (at == 4 || at >= name.size() || name[at] != '.') return std::nullopt;
  return layer;
}

// Masks are F16, one per kind of window, one value per row and visible token; a window's reach in one step is itself
// and the step's rows, in units of 256 tokens.
std::uint64_t mask_bytes(const ModelShape& shape, std::uint64_t context_tokens, std::uint64_t rows) {
  std::set<std::uint32_t> windows;
  for (const LayerShape& layer : shape.layers) windows.insert(layer.cache.window);
  std::uint64_t bytes = 0;
  for (const std::uint32_t window : windows) {
    bytes += rows * 2 * (window == 0 ? context_tokens : std::min(context_tokens, window + rows + 512));
  }
  return bytes;
}

void add_matrix(std::vector<TypedBytes>& matrices, const TensorPlace& place) {
  if (place.shape.size() < 2) return;  // norms and biases: their time is the layer's own, whatever its size
  const std::string type = ggml_type_name(static_cast<ggml_type>(place.type));
  const auto same = std::ranges::find(matrices, type, &TypedBytes::type);
  if (same != matrices.end()) {
    same->bytes += place.bytes;
  } else {
    matrices.push_back({.type = type, .bytes = place.bytes});
  }
}

// Of a layer's cache, what a part holds.
double cache_share(const CacheSpec& cache, const StagePart& part) {
  if (cache.heads == 0 || part.all_shards <= cache.heads) return part.share;
  return static_cast<double>(part.shards) / cache.heads;
}

}  // namespace

std::vector<const TensorPlace*> layer_tensors(const Gguf& gguf, std::uint32_t layer) {
  return tensors_where(gguf, [layer](std::string_view name) { return layer_of(name) == layer; });
}

std::vector<const TensorPlace*> head_tensors(const Gguf& gguf) { return tensors_where(gguf, is_head_tensor); }

std::vector<const TensorPlace*> shared_tensors(const Gguf& gguf) { return tensors_where(gguf, is_shared_tensor); }

Result<ModelShape> read_shape(const Gguf& gguf) {
  FLOTILLA_TRY(const ModelSpec spec, read_spec(gguf));
  ModelShape shape;
  shape.name = spec.name;
  shape.architecture = spec.architecture;
  shape.context_length = spec.context_length;
  shape.embedding_length = spec.embedding_length;
  shape.vocabulary = spec.vocabulary;
  shape.embeds = spec.embeds();
  const std::uint64_t cached_bytes = spec.embeds() ? 0 : 2;  // F16, of what is kept from step to step
  for (const BlockSpec& block : spec.blocks) {
    const std::uint64_t values_per_token = std::uint64_t{block.kv_heads} * (block.key_length + block.value_length);
    shape.layers.push_back(
        {.cache = {
             .bytes_per_token = values_per_token * cached_bytes, .window = block.window, .heads = block.kv_heads}});
    shape.attention_length =
        std::max(shape.attention_length, block.heads * std::max(block.key_length, block.value_length));
    shape.feed_forward_length = std::max(shape.feed_forward_length, block.feed_forward_length);
  }
  shape.shards_max = spec.embeds() ? 1 : UINT32_MAX;
  for (std::uint32_t layer = 0; layer < spec.blocks.size() && !spec.embeds(); ++layer) {
    const BlockSpec& block = spec.blocks[layer];
    shape.shards_max = std::min(shape.shards_max, slices_max(block, slice_units(gguf, block, layer)));
  }
  const TensorPlace* output = gguf.find(spec.tied_output ? "token_embd.weight" : "output.weight");
  if (output) shape.output_matrix = {ggml_type_name(static_cast<ggml_type>(output->type)), output->bytes};
  for (const TensorPlace& place : gguf.tensors()) {
    if (const auto layer = layer_of(place.name)) {
      shape.layers[*layer].weight_bytes += place.bytes;
      add_matrix(shape.layers[*layer].matrices, place);
    } else if (place.name == "token_embd.weight") {
      shape.embedding_bytes += place.bytes;
    } else if (is_head_tensor(place.name)) {
      shape.output_bytes += place.bytes;
    }
    // The rope factors, half a kilobyte in every stage, are left out.
  }
  return shape;
}

std::uint64_t ModelShape::weight_bytes() const {
  return std::accumulate(layers.begin(), layers.end(), embedding_bytes + output_bytes,
                         [](std::uint64_t sum, const LayerShape& layer) { return sum + layer.weight_bytes; });
}

// Per row, in F32: the residual, its normed copy, one sum in the making and the copy that leaves (4 x embedding); then
// either attention (queries before and after rope, keys and values, the result: 4 x attention, for keys and values are
// never wider than queries) or feed-forward (gate, up and their product: 3 x feed-forward), whichever is more. ggml's
// threads need the right-hand side of a product once more, converted: at most the widest of the three again. The head
// embeds rows, and turns those that want logits (one per sequence, as a rule) into vocabulary-wide ones, 16 MiB at a
// time. Plus 8 MiB for graphs and ggml's own structures. Measured: for 512 rows, 4 contexts of 4096 tokens and a head,
// the engine takes 15.3 MiB of our 30.4 for SmolLM2-135M and 21.5 of our 38.3 for Gemma-3-270M.
std::uint64_t compute_bytes(const ModelShape& shape, const StageUse& use) {
  const std::uint64_t embedding = shape.embedding_length, attention = shape.attention_length;
  const std::uint64_t forward = shape.feed_forward_length, rows = use.step_rows_max;
  std::uint64_t bytes = 8 * mib;
  if (use.has_layers) {
    const std::uint64_t widest = std::max({embedding, attention, forward});
    const std::uint64_t floats = 4 * embedding + std::max(4 * attention, 3 * forward) + widest;
    bytes += rows * floats * sizeof(float) + mask_bytes(shape, use.context_tokens, rows);
  }
  if (use.is_head) {
    bytes += 2 * rows * embedding * sizeof(float) + 16 * mib +
             std::uint64_t{use.sequences} * shape.vocabulary * sizeof(float);
  }
  return bytes;
}

// A head that is the embedding table itself is parted like any other; else the table is the first member's.
StageNeed stage_need(const ModelShape& shape, LayerRange layers, bool is_head, std::uint32_t context_tokens,
                     std::uint32_t sequences, const StagePart& part) {
  StageNeed need;
  double weights = 0, cache_bytes_per_token = 0;
  const std::uint32_t end = std::min<std::uint32_t>(layers.end, static_cast<std::uint32_t>(shape.layers.size()));
  for (std::uint32_t layer = layers.first; layer < end; ++layer) {
    weights += static_cast<double>(shape.layers[layer].weight_bytes);
    cache_bytes_per_token +=
        cache_share(shape.layers[layer].cache, part) * static_cast<double>(shape.layers[layer].cache.bytes_per_token);
  }
  if (is_head) {
    const bool is_tied = shape.output_bytes < shape.output_matrix.bytes;
    weights += static_cast<double>(shape.output_bytes + (is_tied ? shape.embedding_bytes : 0));
    if (!is_tied && part.is_first) need.weights = shape.embedding_bytes;
  }
  need.weights += static_cast<std::uint64_t>(std::ceil(part.share * weights));
  need.kv = static_cast<std::uint64_t>(std::ceil(cache_bytes_per_token * context_tokens * sequences));
  need.compute = compute_bytes(shape, {.has_layers = layers.first < end,
                                       .is_head = is_head,
                                       .context_tokens = context_tokens,
                                       .sequences = sequences,
                                       .step_rows_max = limits::step_rows_max});
  return need;
}

// Two ranges become one exactly where the tensors between them are wanted too, so that only padding comes along and
// never another layer's byte.
std::vector<FileRange> stage_ranges(const Gguf& gguf, LayerRange layers, bool is_head) {
  std::vector<const TensorPlace*> in_file_order;
  for (const TensorPlace& place : gguf.tensors()) in_file_order.push_back(&place);
  std::ranges::sort(in_file_order, {},
                    [](const TensorPlace* place) { return std::pair(place->file_index, place->offset); });
  std::vector<FileRange> ranges;
  bool joins = false;
  for (const TensorPlace* place : in_file_order) {
    const auto layer = layer_of(place->name);
    const bool wanted =
        layer ? layers.contains(*layer) : is_shared_tensor(place->name) || (is_head && is_head_tensor(place->name));
    if (wanted && joins && ranges.back().file_index == place->file_index) {
      ranges.back().bytes = place->offset + place->bytes - ranges.back().offset;
    } else if (wanted) {
      ranges.push_back({.file_index = place->file_index, .offset = place->offset, .bytes = place->bytes});
    }
    joins = wanted;
  }
  return ranges;
}

}  // namespace flotilla
