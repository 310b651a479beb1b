#include "engine/random_model.h"

#include <ggml-cpp.h>
#include <gguf.h>

#include <cstdio>
#include <map>
#include <memory>
#include <vector>

#include "engine/random_rows.h"

namespace flotilla {
namespace {

enum class Part { embedding, matrix, sensitive };  // sensitive: what mixed quantizations keep finer

constexpr std::string_view mixed = "Q4_K_M";

// Q4_K_M keeps the embedding and half of the sensitive matrices in Q6_K; any other name is the type of all.
ggml_type type_of(const std::string& quantization, Part part, std::int64_t layer, std::int64_t layers) {
  if (quantization != mixed) return type_named(quantization);
  const bool finer = layer < layers / 8 || layer >= layers * 7 / 8 || (layer - layers / 8) % 3 == 2;
  const bool is_finer = part == Part::embedding || (part == Part::sensitive && finer);
  return is_finer ? GGML_TYPE_Q6_K : GGML_TYPE_Q4_K;
}

class RandomModel {
 public:
  RandomModel(const RandomShape& shape, const std::string& quantization, const std::string& name,
              const gguf_context* donor)
      : shape_(shape), quantization_(quantization), out_(gguf_init_empty()) {
    if (donor) gguf_set_kv(out_.get(), donor);
    set_keys(name);
    context_.reset(
        ggml_init({static_cast<std::size_t>(shape_.layers * 9 + 8) * ggml_tensor_overhead(), nullptr, true}));
    describe();
  }

  Status write(const std::filesystem::path& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
    if (!file) return fail(Code::permission, "[engine] expected to write {} but could not", path.string());
    std::vector<char> header(gguf_get_meta_size(out_.get()));
    gguf_get_meta_data(out_.get(), header.data());
    std::fwrite(header.data(), 1, header.size(), file.get());
    for (std::int64_t i = 0; i < gguf_get_n_tensors(out_.get()); ++i)
      write_tensor(file.get(), header.size() + gguf_get_tensor_offset(out_.get(), i),
                   *ggml_get_tensor(context_.get(), gguf_get_tensor_name(out_.get(), i)));
    std::fseek(file.get(), 0, SEEK_END);
    while (std::ftell(file.get()) % static_cast<long>(gguf_get_alignment(out_.get())) != 0) std::fputc(0, file.get());
    if (std::fflush(file.get()) != 0 || std::ferror(file.get()) != 0)
      return fail(Code::no_space, "[engine] expected room for {} but the disk is full", path.string());
    return {};
  }

 private:
  void set_keys(const std::string& name) {
    gguf_context* out = out_.get();
    const auto set = [out](const char* key, std::int64_t value) {
      gguf_set_val_u32(out, key, static_cast<std::uint32_t>(value));
    };
    gguf_set_val_str(out, "general.architecture", "llama");
    gguf_set_val_str(out, "general.name", name.c_str());
    set("llama.block_count", shape_.layers);
    set("llama.embedding_length", shape_.width);
    set("llama.attention.head_count", shape_.heads);
    set("llama.attention.head_count_kv", shape_.kv_heads);
    set("llama.feed_forward_length", shape_.feed_forward);
    set("llama.rope.dimension_count", shape_.width / shape_.heads);
    set("llama.context_length", 8192);
    gguf_set_val_f32(out, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_set_val_f32(out, "llama.rope.freq_base", 10000);
  }

  void describe() {
    const std::int64_t width = shape_.width, kv_width = width / shape_.heads * shape_.kv_heads;
    matrix("token_embd.weight", width, shape_.vocabulary, Part::embedding, 0);
    if (!shape_.tied) matrix("output.weight", width, shape_.vocabulary, Part::embedding, 0);
    vector("output_norm.weight", width);
    for (std::int64_t layer = 0; layer < shape_.layers; ++layer) {
      const std::string block = "blk." + std::to_string(layer) + ".";
      vector(block + "attn_norm.weight", width);
      matrix(block + "attn_q.weight", width, width, Part::matrix, layer);
      matrix(block + "attn_k.weight", width, kv_width, Part::matrix, layer);
      matrix(block + "attn_v.weight", width, kv_width, Part::sensitive, layer);
      matrix(block + "attn_output.weight", width, width, Part::matrix, layer);
      vector(block + "ffn_norm.weight", width);
      matrix(block + "ffn_gate.weight", width, shape_.feed_forward, Part::matrix, layer);
      matrix(block + "ffn_up.weight", width, shape_.feed_forward, Part::matrix, layer);
      matrix(block + "ffn_down.weight", shape_.feed_forward, width, Part::sensitive, layer);
    }
  }

  void vector(const std::string& name, std::int64_t elements) {
    add(name, ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, elements));
  }

  void matrix(const std::string& name, std::int64_t columns, std::int64_t rows, Part part, std::int64_t layer) {
    const ggml_type type = type_of(quantization_, part, layer, shape_.layers);
    add(name, ggml_new_tensor_2d(context_.get(), type, columns, rows));
  }

  void add(const std::string& name, ggml_tensor* tensor) {
    ggml_set_name(tensor, name.c_str());
    gguf_add_tensor(out_.get(), tensor);
  }

  // write() asks ferror() at the end.
  void write_tensor(std::FILE* file, std::size_t offset, const ggml_tensor& tensor) {
    std::fseek(file, static_cast<long>(offset), SEEK_SET);
    if (tensor.ne[1] == 1) {  // a norm's scale
      const std::vector<float> ones(static_cast<std::size_t>(tensor.ne[0]), 1.0f);
      std::fwrite(ones.data(), sizeof(float), ones.size(), file);
      return;
    }
    auto& rows = rows_[{tensor.type, tensor.ne[0]}];
    if (!rows) rows = std::make_unique<RandomRows>(tensor.type, tensor.ne[0]);
    for (std::int64_t i = 0; i < tensor.ne[1]; ++i) {
      const auto row = rows->draw();
      std::fwrite(row.data(), 1, row.size(), file);
    }
  }

  const RandomShape shape_;
  const std::string quantization_;
  gguf_context_ptr out_;
  ggml_context_ptr context_;
  std::map<std::pair<ggml_type, std::int64_t>, std::unique_ptr<RandomRows>> rows_;
};

}  // namespace

bool is_quantization(std::string_view name) { return name == mixed || type_named(name) != GGML_TYPE_COUNT; }

Status write_random_model(const std::filesystem::path& path, const RandomShape& shape, const std::string& quantization,
                          const std::string& name, const gguf_context* donor) {
  if (!is_quantization(quantization))
    return fail(Code::invalid_argument, "[engine] expected a quantization like {}, Q4_0, Q8_0 or F16 but got {}", mixed,
                quantization);
  return RandomModel(shape, quantization, name, donor).write(path);
}

}  // namespace flotilla
