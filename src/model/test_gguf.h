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

}  // namespace flotilla
