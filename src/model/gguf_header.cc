#include "model/gguf_header.h"

#include <gguf.h>

#include <array>
#include <bit>

#include "base/bytes.h"
#include "base/limits.h"
#include "model/excerpt.h"

namespace flotilla {
namespace {

constexpr std::uint32_t gguf_magic = 0x46554747;  // "GGUF" as it lies in the bytes

// Bytes of one value, by gguf_type; 0 for those of no fixed size.
constexpr std::array<std::uint8_t, GGUF_TYPE_COUNT> scalar_bytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

class HeaderWalk {
 public:
  HeaderWalk(std::span<const std::byte> bytes, std::string_view name) : bytes_(bytes), reader_(bytes), name_(name) {}

  // Each step stops quietly where the bytes run out; the reader remembers, and run() asks once at the end.
  Result<GgufHeaderLength> run() {
    FLOTILLA_TRY_STATUS(preamble());
    for (std::uint64_t i = 0; i < keys_ && reader_.ok(); ++i) FLOTILLA_TRY_STATUS(key_and_value());
    for (std::uint64_t i = 0; i < tensors_ && reader_.ok(); ++i) FLOTILLA_TRY_STATUS(tensor());
    if (!reader_.ok()) return GgufHeaderLength{};
    const std::uint64_t length = bytes_.size() - reader_.left();
    if (length > limits::header_bytes_max) {
      return fail(Code::too_large, "[model] expected a header of at most {} bytes in '{}' but got {}",
                  limits::header_bytes_max, name_, length);
    }
    const std::uint64_t data_offset = tensors_ == 0 ? length : (length + alignment_ - 1) / alignment_ * alignment_;
    return GgufHeaderLength{.complete = true, .header_bytes = length, .data_offset = data_offset};
  }

 private:
  Status preamble() {
    const auto magic = reader_.number<std::uint32_t>();
    const auto version = reader_.number<std::uint32_t>();
    tensors_ = reader_.number<std::uint64_t>();
    keys_ = reader_.number<std::uint64_t>();
    if (bytes_.size() >= sizeof(magic) && magic != gguf_magic) {
      return fail(Code::corrupt, "[model] expected '{}' to start with \"GGUF\" but got {:#010x}; it is not a GGUF file",
                  name_, std::byteswap(magic));
    }
    if (!reader_.ok()) return {};
    if (version != 2 && version != GGUF_VERSION) {
      const bool swapped = std::byteswap(version) == 2 || std::byteswap(version) == GGUF_VERSION;
      return fail(Code::unsupported,
                  "[model] expected GGUF version 2 or {} in '{}' but got {}{}; convert the model again", GGUF_VERSION,
                  name_, version, swapped ? " (a big-endian file)" : "");
    }
    if (tensors_ > gguf_tensors_max) return too_many("tensors", tensors_, gguf_tensors_max);
    if (keys_ > gguf_keys_max) return too_many("keys", keys_, gguf_keys_max);
    return {};
  }

  Status key_and_value() {
    FLOTILLA_TRY(const auto key, text("a key"));
    const auto type = reader_.number<std::uint32_t>();
    if (!reader_.ok()) return {};
    if (key.empty() || key.size() > 65535 || key.contains('\0')) return bad_name("a key", key);
    if (key == GGUF_KEY_GENERAL_ALIGNMENT) return alignment(type);  // first: ggml aborts on one of another type
    if (type == GGUF_TYPE_ARRAY) return array(key);
    if (type >= GGUF_TYPE_COUNT) return unknown_type(key, type);
    return values(key, type, 1);
  }

  Status array(std::string_view key) {
    const auto type = reader_.number<std::uint32_t>();
    const auto count = reader_.number<std::uint64_t>();
    if (!reader_.ok()) return {};
    if (type >= GGUF_TYPE_COUNT || type == GGUF_TYPE_ARRAY) return unknown_type(key, type);
    return values(key, type, count);
  }

  Status values(std::string_view key, std::uint32_t type, std::uint64_t count) {
    const std::uint64_t bytes_each = type == GGUF_TYPE_STRING ? sizeof(std::uint64_t) : scalar_bytes[type];
    if (count > limits::header_bytes_max / bytes_each) {
      return fail(Code::corrupt, "[model] expected the values of {} in '{}' to fit a header but got {} of them",
                  excerpt(key), name_, count);
    }
    if (type == GGUF_TYPE_STRING) {
      for (std::uint64_t i = 0; i < count && reader_.ok(); ++i) FLOTILLA_TRY_STATUS(text(key));
      return {};
    }
    const auto raw = reader_.raw(count * bytes_each);
    if (type != GGUF_TYPE_BOOL) return {};
    for (const std::byte value : raw) {
      if (std::to_integer<int>(value) > 1) {
        return fail(Code::corrupt, "[model] expected true (1) or false (0) for {} in '{}' but got {}", excerpt(key),
                    name_, std::to_integer<int>(value));
      }
    }
    return {};
  }

  Status alignment(std::uint32_t type) {
    if (type != GGUF_TYPE_UINT32) return unknown_type(GGUF_KEY_GENERAL_ALIGNMENT, type);
    alignment_ = reader_.number<std::uint32_t>();
    if (reader_.ok() && (!std::has_single_bit(alignment_) || alignment_ > gguf_alignment_max)) {
      return fail(Code::corrupt, "[model] expected general.alignment in '{}' to be a power of two up to {} but got {}",
                  name_, gguf_alignment_max, alignment_);
    }
    return {};
  }

  // Sizes, types and offsets are ggml's and Gguf's to judge; here only what ggml lets pass.
  Status tensor() {
    FLOTILLA_TRY(const auto tensor_name, text("a tensor's name"));
    const auto dimensions = reader_.number<std::uint32_t>();
    if (!reader_.ok()) return {};
    if (tensor_name.empty() || tensor_name.contains('\0')) return bad_name("a tensor's name", tensor_name);
    if (dimensions < 1 || dimensions > GGML_MAX_DIMS) {
      return fail(Code::corrupt, "[model] expected 1 to {} dimensions of {} in '{}' but got {}", GGML_MAX_DIMS,
                  excerpt(tensor_name), name_, dimensions);
    }
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      const auto elements = reader_.number<std::int64_t>();
      if (reader_.ok() && elements < 1) {
        return fail(Code::corrupt, "[model] expected dimension {} of {} in '{}' to be positive but got {}", i,
                    excerpt(tensor_name), name_, elements);
      }
    }
    reader_.number<std::uint32_t>();
    reader_.number<std::uint64_t>();
    return {};
  }

  Result<std::string_view> text(std::string_view what) {
    const auto length = reader_.number<std::uint64_t>();
    if (length > limits::header_bytes_max) {
      return fail(Code::corrupt, "[model] expected a text that fits a header in '{}' ({}) but got {} bytes", name_,
                  excerpt(what), length);
    }
    const auto raw = reader_.raw(length);
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }

  Status too_many(std::string_view what, std::uint64_t count, std::uint64_t count_max) {
    return fail(Code::corrupt, "[model] expected at most {} {} in '{}' but got {}", count_max, what, name_, count);
  }
  Status bad_name(std::string_view what, std::string_view text) {
    return fail(Code::corrupt, "[model] expected {} in '{}' to be 1 to 65535 bytes without zeros but got {} bytes",
                what, name_, text.size());
  }
  Status unknown_type(std::string_view key, std::uint32_t type) {
    return fail(Code::corrupt, "[model] expected a value type GGUF has for {} in '{}' but got type {}", excerpt(key),
                name_, type);
  }

  std::span<const std::byte> bytes_;
  ByteReader reader_;
  std::string_view name_;
  std::uint64_t tensors_ = 0, keys_ = 0;
  std::uint32_t alignment_ = GGUF_DEFAULT_ALIGNMENT;
};

}  // namespace

Result<GgufHeaderLength> measure_gguf_header(std::span<const std::byte> bytes, std::string_view name) {
  return HeaderWalk(bytes, name).run();
}

}  // namespace flotilla
