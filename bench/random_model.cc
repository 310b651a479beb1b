// Writes a model of a given shape with random weights, so that any size can be timed without a download.
//
//   random_model --vocabulary-of FILE --out FILE [--shape 1b] [--quantization Q4_K_M]
//
// The family is llama; tokenizer and chat template are those of FILE. What it says is noise; what it costs is real: the
// same kernels, bytes and shapes as a trained model's.
#include <ggml-cpp.h>
#include <gguf.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/result.h"

namespace flotilla {
namespace {

struct Shape {
  std::int64_t layers = 0, width = 0, heads = 0, kv_heads = 0, feed_forward = 0;
};

// "1b" is TinyLlama's, the others are those of Llama 3.1 and 3.2.
const std::map<std::string, Shape> shapes = {
    {"1b", {22, 2048, 32, 4, 5632}},
    {"1b-wide", {16, 2048, 32, 8, 8192}},
    {"3b", {28, 3072, 24, 8, 8192}},
    {"8b", {32, 4096, 32, 8, 14336}},
};

struct Options {
  std::string vocabulary_of, out, shape = "1b", quantization = "Q4_K_M";
};

enum class Part { embedding, matrix, sensitive };  // sensitive: what mixed quantizations keep finer

constexpr const char* mixed = "Q4_K_M";

// The type of a name like "Q8_0"; GGML_TYPE_COUNT where there is none.
ggml_type type_named(const std::string& name) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K,
                               GGML_TYPE_Q6_K, GGML_TYPE_F16, GGML_TYPE_F32}) {
    std::string upper = ggml_type_name(type);
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
    if (upper == name) return type;
  }
  return GGML_TYPE_COUNT;
}

// Q4_K_M keeps the embedding and half of the sensitive matrices in Q6_K; any other name is the type of all.
ggml_type type_of(const std::string& quantization, Part part, std::int64_t layer, std::int64_t layers) {
  if (quantization != mixed) return type_named(quantization);
  const bool finer = layer < layers / 8 || layer >= layers * 7 / 8 || (layer - layers / 8) % 3 == 2;
  const bool is_finer = part == Part::embedding || (part == Part::sensitive && finer);
  return is_finer ? GGML_TYPE_Q6_K : GGML_TYPE_Q4_K;
}

// Rows of random weights of one type and length, from which matrices draw theirs: making each weight would take as long
// as a download.
class RowPool {
 public:
  RowPool(ggml_type type, std::int64_t columns) : row_bytes_(ggml_row_size(type, columns)) {
    std::vector<float> values(static_cast<std::size_t>(rows * columns));
    std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(columns)));
    for (float& value : values) value = normal(random_);
    bytes_.resize(static_cast<std::size_t>(rows) * row_bytes_);
    ggml_quantize_chunk(type, values.data(), bytes_.data(), 0, rows, columns, nullptr);
  }

  void write(std::FILE* file, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const char* row = bytes_.data() + (random_() % rows) * row_bytes_;
      std::fwrite(row, 1, row_bytes_, file);  // RandomModel::write asks ferror() at the end
    }
  }

 private:
  static constexpr std::int64_t rows = 512;
  std::minstd_rand random_{11};
  std::size_t row_bytes_;
  std::vector<char> bytes_;
};

class RandomModel {
 public:
  RandomModel(const Options& options, const gguf_context& donor, std::int64_t vocabulary)
      : options_(options), shape_(shapes.at(options.shape)), out_(gguf_init_empty()) {
    gguf_set_kv(out_.get(), &donor);
    set_keys();
    context_.reset(
        ggml_init({static_cast<std::size_t>(shape_.layers * 9 + 8) * ggml_tensor_overhead(), nullptr, true}));
    describe(vocabulary);
  }

  Status write(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "wb"), std::fclose);
    if (!file) return fail(Code::permission, "random_model: expected to write {} but could not", path);
    std::vector<char> header(gguf_get_meta_size(out_.get()));
    gguf_get_meta_data(out_.get(), header.data());
    std::fwrite(header.data(), 1, header.size(), file.get());
    for (std::int64_t i = 0; i < gguf_get_n_tensors(out_.get()); ++i)
      write_tensor(file.get(), header.size() + gguf_get_tensor_offset(out_.get(), i),
                   *ggml_get_tensor(context_.get(), gguf_get_tensor_name(out_.get(), i)));
    std::fseek(file.get(), 0, SEEK_END);
    while (std::ftell(file.get()) % static_cast<long>(gguf_get_alignment(out_.get())) != 0) std::fputc(0, file.get());
    if (std::fflush(file.get()) != 0 || std::ferror(file.get()) != 0)
      return fail(Code::no_space, "random_model: expected room for {} but the disk is full", path);
    return {};
  }

 private:
  void set_keys() {
    gguf_context* out = out_.get();
    const auto set = [out](const char* key, std::int64_t value) {
      gguf_set_val_u32(out, key, static_cast<std::uint32_t>(value));
    };
    const std::string name = "random-" + options_.shape + "." + options_.quantization;
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

  void describe(std::int64_t vocabulary) {
    const std::int64_t width = shape_.width, kv_width = width / shape_.heads * shape_.kv_heads;
    matrix("token_embd.weight", width, vocabulary, Part::embedding, 0);
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
    const ggml_type type = type_of(options_.quantization, part, layer, shape_.layers);
    add(name, ggml_new_tensor_2d(context_.get(), type, columns, rows));
  }

  void add(const std::string& name, ggml_tensor* tensor) {
    ggml_set_name(tensor, name.c_str());
    gguf_add_tensor(out_.get(), tensor);
  }

  void write_tensor(std::FILE* file, std::size_t offset, const ggml_tensor& tensor) {
    std::fseek(file, static_cast<long>(offset), SEEK_SET);
    if (tensor.ne[1] == 1) {  // a norm's scale
      const std::vector<float> ones(static_cast<std::size_t>(tensor.ne[0]), 1.0f);
      std::fwrite(ones.data(), sizeof(float), ones.size(), file);
      return;
    }
    auto& pool = pools_[{tensor.type, tensor.ne[0]}];
    if (!pool) pool = std::make_unique<RowPool>(tensor.type, tensor.ne[0]);
    pool->write(file, tensor.ne[1]);
  }

  const Options& options_;
  const Shape shape_;
  gguf_context_ptr out_;
  ggml_context_ptr context_;
  std::map<std::pair<ggml_type, std::int64_t>, std::unique_ptr<RowPool>> pools_;
};

Status run(const Options& options) {
  if (!shapes.contains(options.shape))
    return fail(Code::invalid_argument, "random_model: expected the shape 1b, 1b-wide, 3b or 8b but got {}",
                options.shape);
  if (options.quantization != mixed && type_named(options.quantization) == GGML_TYPE_COUNT)
    return fail(Code::invalid_argument, "random_model: expected a quantization like {}, Q4_0, Q8_0 or F16 but got {}",
                mixed, options.quantization);
  const gguf_context_ptr donor(gguf_init_from_file(options.vocabulary_of.c_str(), {true, nullptr}));
  const auto key = donor ? gguf_find_key(donor.get(), "tokenizer.ggml.tokens") : -1;
  if (key < 0)
    return fail(Code::not_found, "random_model: expected a GGUF file with a vocabulary but got {}",
                options.vocabulary_of);
  // Whole or not at all: a benchmark that finds the file takes it for good.
  const std::string part = options.out + ".part";
  const auto vocabulary = static_cast<std::int64_t>(gguf_get_arr_n(donor.get(), key));
  FLOTILLA_TRY_STATUS(RandomModel(options, *donor, vocabulary).write(part));
  std::filesystem::rename(part, options.out);
  std::printf("%s: %ju MB\n", options.out.c_str(),
              static_cast<std::uintmax_t>(std::filesystem::file_size(options.out) >> 20));
  return {};
}

}  // namespace
}  // namespace flotilla

int main(int argc, char** argv) {
  flotilla::Options options;
  CLI::App app("Writes a model of a given shape with random weights.");
  app.add_option("--vocabulary-of", options.vocabulary_of, "GGUF file whose tokenizer to take")->required();
  app.add_option("--out", options.out, "GGUF file to write")->required();
  app.add_option("--shape", options.shape, "1b, 1b-wide, 3b or 8b")->capture_default_str();
  app.add_option("--quantization", options.quantization, "Q4_K_M, or one type for all matrices")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto status = flotilla::run(options);
  if (!status) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
