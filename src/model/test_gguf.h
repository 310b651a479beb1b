// Builds GGUF bytes for tests, truthful or lying: every field is written as told.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ggml.h>
#include <gguf.h>

#include "base/bytes.h"
#include "base/sha256.h"
#include "model/gguf.h"

namespace flotilla {

class TestGguf {
 public:
  std::uint32_t magic = 0x46554747, version = 3;
  std::int64_t tensors_more = 0, keys_more = 0;  // added to the true counts

  TestGguf& raw_key(std::string_view key, std::int32_t type, std::function<void(ByteWriter&)> value) {
    ByteWriter writer(keys_);
    text(writer, key);
    writer.number(type);
    value(writer);
    ++key_count_;
    return *this;
  }
  TestGguf& key(std::string_view name, std::uint32_t value) {
    return raw_key(name, GGUF_TYPE_UINT32, [&](ByteWriter& w) { w.number(value); });
  }
  TestGguf& key(std::string_view name, float value) {
    return raw_key(name, GGUF_TYPE_FLOAT32, [&](ByteWriter& w) { w.number(value); });
  }
  TestGguf& key(std::string_view name, const char* value) {
    return raw_key(name, GGUF_TYPE_STRING, [&](ByteWriter& w) { text(w, value); });
  }
  TestGguf& flag(std::string_view name, std::uint8_t value) {
    return raw_key(name, GGUF_TYPE_BOOL, [&](ByteWriter& w) { w.number(value); });
  }
  template <class T>
  TestGguf& array(std::string_view name, std::int32_t type, const std::vector<T>& values, std::int64_t count_more = 0) {
    return raw_key(name, GGUF_TYPE_ARRAY, [&](ByteWriter& w) {
      w.number(type);
      w.number<std::uint64_t>(values.size() + count_more);
      for (const T& value : values) {
        if constexpr (std::is_arithmetic_v<T>) {
          w.number(value);
        } else {
          text(w, value);
        }
      }
    });
  }

  // A tensor behind the ones before it, or at `offset` where one is given.
  TestGguf& tensor(std::string_view name, const std::vector<std::int64_t>& shape, std::int32_t type = GGML_TYPE_F32,
                   std::int64_t offset = -1, std::int64_t dimensions = -1) {
    ByteWriter writer(tensors_);
    text(writer, name);
    writer.number(static_cast<std::uint32_t>(dimensions < 0 ? shape.size() : dimensions));
    std::uint64_t elements = 1;
    for (const std::int64_t n : shape) {
      writer.number(n);
      elements *= static_cast<std::uint64_t>(n);
    }
    writer.number(type);
    writer.number(static_cast<std::uint64_t>(offset < 0 ? data_bytes_ : offset));
    const bool known = type >= 0 && type < GGML_TYPE_COUNT && ggml_blck_size(static_cast<ggml_type>(type)) > 0;
    if (known) {
      const auto block = static_cast<std::uint64_t>(ggml_blck_size(static_cast<ggml_type>(type)));
      const std::uint64_t bytes = elements / block * ggml_type_size(static_cast<ggml_type>(type));
      data_bytes_ += (bytes + 31) / 32 * 32;
    }
    ++tensor_count_;
    return *this;
  }

  Bytes header() const {
    Bytes out;
    ByteWriter writer(out);
    writer.number(magic);
    writer.number(version);
    writer.number(tensor_count_ + tensors_more);
    writer.number(key_count_ + keys_more);
    writer.raw(keys_);
    writer.raw(tensors_);
    return out;
  }
  std::uint64_t data_bytes() const { return data_bytes_; }
  std::uint64_t file_bytes() const { return (header().size() + 31) / 32 * 32 + data_bytes_; }

  Result<std::shared_ptr<const Gguf>> parse(std::string name = "test") const {
    const GgufPart part{.header = header(), .file_bytes = file_bytes()};
    return Gguf::parse(std::span(&part, 1), std::move(name));
  }

  static void text(ByteWriter& writer, std::string_view value) {
    writer.number<std::uint64_t>(value.size());
    writer.raw(bytes_of(value));
  }

 private:
  Bytes keys_, tensors_;
  std::int64_t key_count_ = 0, tensor_count_ = 0;
  std::uint64_t data_bytes_ = 0;
};

// A model small enough to read in full: 2 layers, 4 heads of 16 on 2 KV heads, vocabulary 10. Change what a test is
// about.
struct TinyModel {
  std::string architecture = "llama";
  bool qk_norm = false, post_norms = false, qkv_bias = false, output = false;
  std::function<void(TestGguf&)> more = [](TestGguf&) {};             // further keys and tensors
  std::string leave_out;                                              // a tensor or a key (without its family)
  std::pair<std::string, std::vector<std::int64_t>> reshape;          // a tensor's other shape
  std::pair<std::string, std::int32_t> retype = {"", GGML_TYPE_F32};  // a tensor's other type

  TestGguf build() const {
    TestGguf gguf;
    gguf.key("general.architecture", architecture.c_str());
    number(gguf, "block_count", 2);
    number(gguf, "context_length", 256);
    number(gguf, "embedding_length", 64);
    number(gguf, "feed_forward_length", 96);
    number(gguf, "attention.head_count", 4);
    number(gguf, "attention.head_count_kv", 2);
    if (leave_out != "attention.layer_norm_rms_epsilon") {
      gguf.key(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
    }
    tensor(gguf, "token_embd.weight", {64, 10});
    tensor(gguf, "output_norm.weight", {64});
    if (output) tensor(gguf, "output.weight", {64, 10});
    for (int layer = 0; layer < 2; ++layer) block(gguf, "blk." + std::to_string(layer) + ".");
    more(gguf);
    return gguf;
  }
  Result<std::shared_ptr<const Gguf>> parse() const { return build().parse("tiny"); }

 private:
  void number(TestGguf& gguf, const std::string& key, std::uint32_t value) const {
    if (key != leave_out) gguf.key(architecture + "." + key, value);
  }
  void tensor(TestGguf& gguf, const std::string& name, const std::vector<std::int64_t>& shape) const {
    if (name == leave_out) return;
    gguf.tensor(name, name == reshape.first ? reshape.second : shape,
                name == retype.first ? retype.second : GGML_TYPE_F32);
  }
  void block(TestGguf& gguf, const std::string& layer) const {
    tensor(gguf, layer + "attn_norm.weight", {64});
    tensor(gguf, layer + "attn_q.weight", {64, 64});
    tensor(gguf, layer + "attn_k.weight", {64, 32});
    tensor(gguf, layer + "attn_v.weight", {64, 32});
    tensor(gguf, layer + "attn_output.weight", {64, 64});
    tensor(gguf, layer + "ffn_norm.weight", {64});
    tensor(gguf, layer + "ffn_gate.weight", {64, 96});
    tensor(gguf, layer + "ffn_up.weight", {64, 96});
    tensor(gguf, layer + "ffn_down.weight", {96, 64});
    if (qkv_bias) {
      tensor(gguf, layer + "attn_q.bias", {64});
      tensor(gguf, layer + "attn_k.bias", {32});
      tensor(gguf, layer + "attn_v.bias", {32});
    }
    if (qk_norm) {
      tensor(gguf, layer + "attn_q_norm.weight", {16});
      tensor(gguf, layer + "attn_k_norm.weight", {16});
    }
    if (post_norms) {
      tensor(gguf, layer + "post_attention_norm.weight", {64});
      tensor(gguf, layer + "post_ffw_norm.weight", {64});
    }
  }
};

// The same of a model that makes vectors of texts: 2 layers, 4 heads of 8, vocabulary 10, 16 positions.
struct TinyEmbedder {
  std::uint32_t pooling = 1, context = 16, width = 32;
  std::uint8_t causal = 0;
  std::string leave_out;                                   // a tensor
  std::function<void(TestGguf&)> more = [](TestGguf&) {};  // further keys and tensors

  TestGguf build() const {
    TestGguf gguf;
    gguf.key("general.architecture", "bert");
    gguf.key("bert.block_count", 2u).key("bert.context_length", context).key("bert.embedding_length", width);
    gguf.key("bert.feed_forward_length", 2 * width).key("bert.attention.head_count", 4u);
    gguf.key("bert.attention.layer_norm_epsilon", 1e-12f).flag("bert.attention.causal", causal);
    gguf.key("bert.pooling_type", pooling);
    matrix(gguf, "token_embd.weight", width, 10);
    matrix(gguf, "token_types.weight", width, 2);
    matrix(gguf, "position_embd.weight", width, 16);
    norm(gguf, "token_embd_norm");
    for (int layer = 0; layer < 2; ++layer) {
      const std::string block = "blk." + std::to_string(layer) + ".";
      for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output"}) {
        matrix(gguf, block + part + ".weight", width, width);
        vector(gguf, block + part + ".bias", width);
      }
      norm(gguf, block + "attn_output_norm");
      matrix(gguf, block + "ffn_up.weight", width, 2 * width);
      vector(gguf, block + "ffn_up.bias", 2 * width);
      matrix(gguf, block + "ffn_down.weight", 2 * width, width);
      vector(gguf, block + "ffn_down.bias", width);
      norm(gguf, block + "layer_output_norm");
    }
    more(gguf);
    return gguf;
  }
  Result<std::shared_ptr<const Gguf>> parse() const { return build().parse("tiny-embedder"); }

 private:
  void matrix(TestGguf& gguf, const std::string& name, std::int64_t columns, std::int64_t rows) const {
    if (name != leave_out) gguf.tensor(name, {columns, rows});
  }
  void vector(TestGguf& gguf, const std::string& name, std::int64_t elements) const {
    if (name != leave_out) gguf.tensor(name, {elements});
  }
  void norm(TestGguf& gguf, const std::string& name) const {
    vector(gguf, name + ".weight", width);
    vector(gguf, name + ".bias", width);
  }
};

}  // namespace flotilla
