#include "engine/weights.h"

#include <algorithm>
#include <map>
#include <string>

#include "engine/file_reader.h"

namespace flotilla {
namespace {

enum class Use { read, multiply };  // only what is multiplied alone may be rearranged

struct Part {
  const char* name;
  ggml_tensor* LayerWeights::* tensor;
  Use use;
};

constexpr Part layer_parts[] = {
    {"attn_norm.weight", &LayerWeights::attention_norm, Use::read},
    {"attn_q.weight", &LayerWeights::query, Use::multiply},
    {"attn_q.bias", &LayerWeights::query_bias, Use::read},
    {"attn_k.weight", &LayerWeights::key, Use::multiply},
    {"attn_k.bias", &LayerWeights::key_bias, Use::read},
    {"attn_v.weight", &LayerWeights::value, Use::multiply},
    {"attn_v.bias", &LayerWeights::value_bias, Use::read},
    {"attn_q_norm.weight", &LayerWeights::query_norm, Use::read},
    {"attn_k_norm.weight", &LayerWeights::key_norm, Use::read},
    {"attn_output.weight", &LayerWeights::attention_output, Use::multiply},
    {"attn_output.bias", &LayerWeights::attention_output_bias, Use::read},
    {"post_attention_norm.weight", &LayerWeights::post_attention_norm, Use::read},
    {"ffn_norm.weight", &LayerWeights::feed_forward_norm, Use::read},
    {"ffn_gate.weight", &LayerWeights::gate, Use::multiply},
    {"ffn_up.weight", &LayerWeights::up, Use::multiply},
    {"ffn_down.weight", &LayerWeights::down, Use::multiply},
    {"post_ffw_norm.weight", &LayerWeights::post_feed_forward_norm, Use::read},
};

constexpr std::size_t alignment_bytes = 64;  // a cache line; ggml asks for 32

std::size_t aligned(std::size_t bytes) { return (bytes + alignment_bytes - 1) / alignment_bytes * alignment_bytes; }

}  // namespace

// Three passes: describe every tensor, give each a place in a buffer, read them in the files' order.
class WeightsLoader {
 public:
  WeightsLoader(const Gguf& gguf, const ComputeBackend& backend, bool repack)
      : gguf_(gguf), backend_(backend), repack_(repack) {}

  void describe(const ModelSpec& spec, const StageOptions& options) {
    weights_.first_layer_ = options.layers.first;
    for (std::uint32_t layer = options.layers.first; layer < options.layers.end; ++layer) {
      auto& tensors = weights_.layers_.emplace_back();
      for (const Part& part : layer_parts)
        tensors.*part.tensor = add("blk." + std::to_string(layer) + "." + part.name, part.use);
    }
    weights_.rope_factors_ = add("rope_freqs.weight", Use::read);
    if (options.is_head) describe_head(spec);
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
    for (const Entry& entry : entries_) total += entry.place->bytes;
    if (progress) progress(0, total);
    for (const Entry& entry : entries_) {
      const TensorPlace& place = *entry.place;
      const bool in_place = entry.type == backend_.plain();
      if (!in_place && scratch.size() < place.bytes) scratch.resize(place.bytes);
      auto* target = in_place ? static_cast<std::byte*>(entry.tensor->data) : scratch.data();
      FLOTILLA_TRY_STATUS(reader.read(place.file_index, place.offset, {target, place.bytes}, place.name));
      if (!in_place) ggml_backend_tensor_set(entry.tensor, scratch.data(), 0, place.bytes);
      done += place.bytes;
      if (progress) progress(done, total);
    }
    return {};
  }

  // What read_spec promised, asked once more where a wrong answer would write past a buffer.
  Status check_sizes() const {
    for (const Entry& entry : entries_)
      if (ggml_nbytes(entry.tensor) != entry.place->bytes)
        return fail(Code::corrupt, "[engine] expected {} bytes of '{}' but the file has {}; get the file again",
                    ggml_nbytes(entry.tensor), entry.place->name, entry.place->bytes);
    return {};
  }

  Weights take() {
    for (auto& [type, context] : contexts_) weights_.contexts_.push_back(std::move(context));
    return std::move(weights_);
  }

 private:
  struct Entry {
    const TensorPlace* place;
    ggml_tensor* tensor;
    ggml_backend_buffer_type_t type;
  };

  // A tied output head is the embedding table itself. Where multiplying gains from rearranging it, that copy is the
  // only one, and EmbeddingTable reads its rows from the file.
  void describe_head(const ModelSpec& spec) {
    HeadWeights& head = weights_.head_;
    head.output_norm = add("output_norm.weight", Use::read);
    head.output = add(spec.tied_output ? "token_embd.weight" : "output.weight", Use::multiply);
    if (!spec.tied_output)
      head.embedding = add("token_embd.weight", Use::read);
    else if (entries_.back().type == backend_.plain())
      head.embedding = head.output;
  }

  ggml_backend_buffer_type_t best_type(const TensorPlace& place) const {
    if (!repack_ || place.shape.size() != 2) return backend_.plain();
    return backend_.best_for_matrix(static_cast<ggml_type>(place.type), place.shape[0], place.shape[1]);
  }

  ggml_tensor* add(const std::string& name, Use use) {
    const TensorPlace* place = gguf_.find(name);
    if (!place) return nullptr;
    const auto type = use == Use::multiply ? best_type(*place) : backend_.plain();
    auto& context = contexts_[type];
    if (!context) context.reset(ggml_init({(gguf_.tensors().size() + 2) * ggml_tensor_overhead(), nullptr, true}));
    auto* tensor = ggml_new_tensor(context.get(), static_cast<ggml_type>(place->type),
                                   static_cast<int>(place->shape.size()), place->shape.data());
    ggml_set_name(tensor, name.c_str());
    entries_.push_back({place, tensor, type});
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
  Weights weights_;
  std::map<ggml_backend_buffer_type_t, ggml_context_ptr> contexts_;
  std::vector<Entry> entries_;
};

Result<Weights> Weights::load(const Gguf& gguf, std::span<const std::filesystem::path> files, const ModelSpec& spec,
                              const StageOptions& options, const ComputeBackend& backend,
                              const LoadProgressFn& progress) {
  WeightsLoader loader(gguf, backend, options.repack);
  loader.describe(spec, options);
  FLOTILLA_TRY_STATUS(loader.check_sizes());
  FLOTILLA_TRY_STATUS(loader.place());
  FLOTILLA_TRY_STATUS(loader.read(files, progress));
  return loader.take();
}

}  // namespace flotilla
