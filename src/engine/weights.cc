#include "engine/weights.h"

#include <algorithm>
#include <map>
#include <string>

#include "engine/file_reader.h"

namespace flotilla {
namespace {

enum class Use { read, multiply };  // only what is multiplied alone may be rearranged

// What a shard holds of a tensor: rows of a matrix (elements of its bias) or columns, those of its heads or of its
// hidden values.
enum class Cut { whole, query_rows, key_rows, value_rows, value_columns, hidden_rows, hidden_columns, vocabulary_rows };

struct Part {
  const char* name;
  ggml_tensor* LayerWeights::* tensor;
  Use use;
  Cut cut = Cut::whole;
};

constexpr Part layer_parts[] = {
    {"attn_norm.weight", &LayerWeights::attention_norm, Use::read},
    {"attn_q.weight", &LayerWeights::query, Use::multiply, Cut::query_rows},
    {"attn_q.bias", &LayerWeights::query_bias, Use::read, Cut::query_rows},
    {"attn_k.weight", &LayerWeights::key, Use::multiply, Cut::key_rows},
    {"attn_k.bias", &LayerWeights::key_bias, Use::read, Cut::key_rows},
    {"attn_v.weight", &LayerWeights::value, Use::multiply, Cut::value_rows},
    {"attn_v.bias", &LayerWeights::value_bias, Use::read, Cut::value_rows},
    {"attn_q_norm.weight", &LayerWeights::query_norm, Use::read},
    {"attn_k_norm.weight", &LayerWeights::key_norm, Use::read},
    {"attn_output.weight", &LayerWeights::attention_output, Use::multiply, Cut::value_columns},
    {"attn_output.bias", &LayerWeights::attention_output_bias, Use::read},
    {"post_attention_norm.weight", &LayerWeights::post_attention_norm, Use::read},
    {"ffn_norm.weight", &LayerWeights::feed_forward_norm, Use::read},
    {"ffn_gate.weight", &LayerWeights::gate, Use::multiply, Cut::hidden_rows},
    {"ffn_up.weight", &LayerWeights::up, Use::multiply, Cut::hidden_rows},
    {"ffn_down.weight", &LayerWeights::down, Use::multiply, Cut::hidden_columns},
    {"post_ffw_norm.weight", &LayerWeights::post_feed_forward_norm, Use::read},
    {"ffn_up.bias", &LayerWeights::up_bias, Use::read, Cut::hidden_rows},
    {"ffn_down.bias", &LayerWeights::down_bias, Use::read},
    {"attn_output_norm.weight", &LayerWeights::attention_output_norm, Use::read},
    {"attn_output_norm.bias", &LayerWeights::attention_output_norm_bias, Use::read},
    {"layer_output_norm.weight", &LayerWeights::layer_output_norm, Use::read},
    {"layer_output_norm.bias", &LayerWeights::layer_output_norm_bias, Use::read},
};

constexpr std::size_t read_bytes_max = 4u << 20;  // of rows that are cut
constexpr std::size_t alignment_bytes = 64;       // a cache line; ggml asks for 32

// The part of a matrix that is held, in elements.
struct Rectangle {
  std::int64_t first_column = 0, columns = 0, first_row = 0, rows = 0;
};

Rectangle whole(const TensorPlace& place) {
  std::int64_t rows = 1;
  for (std::size_t i = 1; i < place.shape.size(); ++i) rows *= place.shape[i];
  return {0, place.shape[0], 0, rows};
}

Rectangle rectangle_of(const TensorPlace& place, Cut cut, const BlockSpec* block, const BlockSlice* slice,
                       const IndexRange& vocabulary) {
  const Rectangle all = whole(place);
  const auto columns = [&](const IndexRange& range, std::int64_t each) {
    return Rectangle{range.first * each, range.count() * each, 0, all.rows};
  };
  // A bias has no rows: its elements are those of the matrix's rows.
  const auto rows = [&](const IndexRange& range, std::int64_t each) {
    if (place.shape.size() == 1) return columns(range, each);
    return Rectangle{0, all.columns, range.first * each, range.count() * each};
  };
  switch (cut) {
    case Cut::whole:
      return all;
    case Cut::vocabulary_rows:
      return rows(vocabulary, 1);
    case Cut::query_rows:
      return rows(slice->heads, block->key_length);
    case Cut::key_rows:
      return rows(slice->kv_heads, block->key_length);
    case Cut::value_rows:
      return rows(slice->kv_heads, block->value_length);
    case Cut::value_columns:
      return columns(slice->heads, block->value_length);
    case Cut::hidden_rows:
      return rows(slice->feed_forward, 1);
    case Cut::hidden_columns:
      return columns(slice->feed_forward, 1);
  }
  return all;
}

std::size_t aligned(std::size_t bytes) { return (bytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes; }

}  // namespace

// Three passes: describe every tensor, give each a place in a buffer, read them in the files' order.
class WeightsLoader {
 public:
  WeightsLoader(const Gguf& gguf, const ComputeBackend& backend, bool repack, const ShardSlice* slice)
      : gguf_(gguf), backend_(backend), repack_(repack), slice_(slice) {}

  void describe(const ModelSpec& spec, const StageOptions& options, bool embeds) {
    weights_.first_layer_ = options.layers.first;
    for (std::uint32_t layer = options.layers.first; layer < options.layers.end; ++layer) {
      auto& tensors = weights_.layers_.emplace_back();
      for (const Part& part : layer_parts)
        tensors.*part.tensor = add("blk." + std::to_string(layer) + "." + part.name, part.use, part.cut,
                                   &spec.blocks[layer], slice_ ? &slice_->blocks[layer] : nullptr);
    }
    weights_.rope_factors_ = add("rope_freqs.weight", Use::read);
    if (options.is_head) describe_head(spec, embeds);
  }

  Status place() {
    std::size_t plain_bytes = 0;
    for (const Entry& entry : entries_)
      if (entry.type == backend_.plain()) plain_bytes += aligned(ggml_nbytes(entry.tensor));
    FLOTILLA_TRY(weights_.plain_, LazyMemory::map(backend_.device(), plain_bytes, "weights"));
    prefer_huge_pages(weights_.plain_.data(), plain_bytes);
    weights_.bytes_ = plain_bytes;
    std::size_t offset = 0;
    for (const Entry& entry : entries_) {
      if (entry.type != backend_.plain()) continue;
      ggml_backend_tensor_alloc(weights_.plain_.buffer(), entry.tensor, weights_.plain_.data() + offset);
      offset += aligned(ggml_nbytes(entry.tensor));
    }
    if (weights_.plain_.buffer())
      ggml_backend_buffer_set_usage(weights_.plain_.buffer(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    for (const auto& [type, context] : contexts_)
      if (type != backend_.plain()) FLOTILLA_TRY_STATUS(place_repacked(type, context));
    return {};
  }

  Status read(std::span<const std::filesystem::path> files, const LoadProgressFn& progress) {
    std::ranges::sort(entries_, {},
                      [](const Entry& entry) { return std::pair(entry.place->file_index, entry.place->offset); });
    FileReader reader(files);
    Bytes scratch;  // as large as the largest rearranged tensor, which ggml takes only whole
    std::uint64_t done = 0, total = 0;
    for (const Entry& entry : entries_) total += ggml_nbytes(entry.tensor);
    if (progress) progress(0, total);
    for (const Entry& entry : entries_) {
      const std::size_t bytes = ggml_nbytes(entry.tensor);
      const bool in_place = entry.type == backend_.plain();
      if (!in_place && scratch.size() < bytes) scratch.resize(bytes);
      auto* target = in_place ? static_cast<std::byte*>(entry.tensor->data) : scratch.data();
      FLOTILLA_TRY_STATUS(read_rectangle(reader, entry, {target, bytes}));
      if (!in_place) ggml_backend_tensor_set(entry.tensor, scratch.data(), 0, bytes);
      done += bytes;
      if (progress) progress(done, total);
    }
    return {};
  }

  // What read_spec promised, asked once more where a wrong answer would write past a buffer.
  Status check_sizes() const {
    for (const Entry& entry : entries_)
      if (const std::size_t bytes = row_bytes(*entry.place) * static_cast<std::size_t>(whole(*entry.place).rows);
          bytes != entry.place->bytes)
        return fail(Code::corrupt, "[engine] expected {} bytes of '{}' but the file has {}; get the file again", bytes,
                    entry.place->name, entry.place->bytes);
    return {};
  }

  Weights take() {
    for (auto& [type, context] : contexts_) weights_.contexts_.push_back(std::move(context));
    return std::move(weights_);
  }

 private:
  struct Entry {
    const TensorPlace* place;
    Rectangle held;
    ggml_tensor* tensor;
    ggml_backend_buffer_type_t type;
  };

  static std::size_t row_bytes(const TensorPlace& place) {
    return ggml_row_size(static_cast<ggml_type>(place.type), place.shape[0]);
  }

  // Whole rows lie together in the file. Of parts of rows, whole rows are read some MiB at a time and cut.
  Status read_rectangle(FileReader& reader, const Entry& entry, std::span<std::byte> target) {
    const TensorPlace& place = *entry.place;
    const Rectangle& held = entry.held;
    const auto type = static_cast<ggml_type>(place.type);
    const std::size_t row = row_bytes(place), part = ggml_row_size(type, held.columns);
    const std::uint64_t first = place.offset + static_cast<std::uint64_t>(held.first_row) * row;
    if (part == row) return reader.read(place.file_index, first, target, place.name);
    const std::size_t skipped = ggml_row_size(type, held.first_column);
    const std::int64_t rows_at_once = std::max<std::int64_t>(1, static_cast<std::int64_t>(read_bytes_max / row));
    for (std::int64_t done = 0; done < held.rows; done += rows_at_once) {
      const auto count = static_cast<std::size_t>(std::min(rows_at_once, held.rows - done));
      rows_.resize(count * row);
      FLOTILLA_TRY_STATUS(
          reader.read(place.file_index, first + static_cast<std::uint64_t>(done) * row, rows_, place.name));
      for (std::size_t i = 0; i < count; ++i, target = target.subspan(part))
        std::copy_n(rows_.begin() + static_cast<std::ptrdiff_t>(i * row + skipped), part, target.begin());
    }
    return {};
  }

  // A tied output head is the embedding table itself. Where multiplying gains from rearranging it, that copy is the
  // only one, and EmbeddingTable reads its rows from the file.
  void describe_head(const ModelSpec& spec, bool embeds) {
    HeadWeights& head = weights_.head_;
    if (spec.embeds()) return describe_inputs(head);
    head.output_norm = add("output_norm.weight", Use::read);
    head.output = add(spec.tied_output ? "token_embd.weight" : "output.weight", Use::multiply, Cut::vocabulary_rows);
    const Entry& output = entries_.back();
    if (spec.tied_output && output.type == backend_.plain() && output.held.rows == spec.vocabulary)
      head.embedding = head.output;
    if (!spec.tied_output && embeds) head.embedding = add("token_embd.weight", Use::read);
  }

  void describe_inputs(HeadWeights& head) {
    head.embedding = add("token_embd.weight", Use::read);
    head.token_kinds = add("token_types.weight", Use::read);
    head.positions = add("position_embd.weight", Use::read);
    head.embedding_norm = add("token_embd_norm.weight", Use::read);
    head.embedding_norm_bias = add("token_embd_norm.bias", Use::read);
  }

  ggml_backend_buffer_type_t best_type(const TensorPlace& place, const Rectangle& held) const {
    if (!repack_ || place.shape.size() != 2) return backend_.plain();
    return backend_.best_for_matrix(static_cast<ggml_type>(place.type), held.columns, held.rows);
  }

  ggml_tensor* add(const std::string& name, Use use, Cut cut = Cut::whole, const BlockSpec* block = nullptr,
                   const BlockSlice* slice = nullptr) {
    const TensorPlace* place = gguf_.find(name);
    if (!place) return nullptr;
    const Rectangle held = slice_ ? rectangle_of(*place, cut, block, slice, slice_->vocabulary) : whole(*place);
    const auto type = use == Use::multiply ? best_type(*place, held) : backend_.plain();
    auto& context = contexts_[type];
    if (!context) context.reset(ggml_init({(gguf_.tensors().size() + 2) * ggml_tensor_overhead(), nullptr, true}));
    auto shape = place->shape;
    shape[0] = held.columns;
    if (shape.size() == 2) shape[1] = held.rows;
    auto* tensor = ggml_new_tensor(context.get(), static_cast<ggml_type>(place->type), static_cast<int>(shape.size()),
                                   shape.data());
    ggml_set_name(tensor, name.c_str());
    entries_.push_back({place, held, tensor, type});
    return tensor;
  }

  Status place_repacked(ggml_backend_buffer_type_t type, const ggml_context_ptr& context) {
    ggml_backend_buffer_ptr buffer(ggml_backend_alloc_ctx_tensors_from_buft(context.get(), type));
    if (!buffer)
      return fail(Code::no_memory,
                  "[engine] expected memory for weights in '{}' but the system gave none; "
                  "give this machine fewer layers",
                  ggml_backend_buft_name(type));
    ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    const std::size_t bytes = ggml_backend_buffer_get_size(buffer.get());
    prefer_huge_pages(ggml_backend_buffer_get_base(buffer.get()), bytes);
    weights_.bytes_ += bytes;
    weights_.repacked_.push_back(std::move(buffer));
    return {};
  }

  const Gguf& gguf_;
  const ComputeBackend& backend_;
  const bool repack_;
  const ShardSlice* slice_;  // null: everything
  Weights weights_;
  std::map<ggml_backend_buffer_type_t, ggml_context_ptr> contexts_;
  std::vector<Entry> entries_;
  Bytes rows_;
};

Result<Weights> Weights::load(const Gguf& gguf, std::span<const std::filesystem::path> files, const ModelSpec& spec,
                              const StageOptions& options, const ShardSlice* slice, bool embeds,
                              const ComputeBackend& backend, const LoadProgressFn& progress) {
  WeightsLoader loader(gguf, backend, options.repack, slice);
  loader.describe(spec, options, embeds);
  FLOTILLA_TRY_STATUS(loader.check_sizes());
  FLOTILLA_TRY_STATUS(loader.place());
  FLOTILLA_TRY_STATUS(loader.read(files, progress));
  return loader.take();
}

}  // namespace flotilla
