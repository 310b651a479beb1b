// Little-endian numbers in and out of byte buffers, bounds checked. The writer grows a vector; the reader never reads
// past the end: after the first short read every later read gives zero and ok() is false, so a decoder reads all its
// fields and asks once.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla {

using Bytes = std::vector<std::byte>;

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  void number(T value) {
    raw(std::as_bytes(std::span(&value, 1)));
  }
  void raw(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // A u32 count of bytes, then the bytes.
  void text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    raw(std::as_bytes(std::span(value.data(), value.size())));
  }

 private:
  Bytes& out_;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : rest_(bytes) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  T number() {
    T value{};
    if (const auto bytes = raw(sizeof(T)); !bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  // The next `count` bytes, valid as long as the buffer; empty (and ok() false) where fewer are left.
  std::span<const std::byte> raw(std::size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  std::string text(std::size_t bytes_max) {
    const auto count = number<std::uint32_t>();
    if (count > bytes_max) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto bytes = raw(count);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::size_t left() const { return rest_.size(); }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && rest_.empty(); }

 private:
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace flotilla
