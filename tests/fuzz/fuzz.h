// What the fuzz targets share: claims about the code under test, and the input taken apart from its front.
//
// A target is LLVMFuzzerTestOneInput(): libFuzzer calls it by the million (make fuzz), replay.cc with the files of
// corpus/ (every build). Both keep what stops the process, so a claim that does not hold stops it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/sha256.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace flotilla::fuzz {

inline void claim(bool holds, std::string_view what) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "claim does not hold: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

inline std::span<const std::byte> bytes_of_input(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

inline std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where the input ends, numbers are 0 and stretches shorter.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(bytes_of_input(data, size)) {}

  template <class Number>
  Number number() {
    Number value{};
    const auto raw = bytes(sizeof value);
    if (!raw.empty()) std::memcpy(&value, raw.data(), raw.size());
    return value;
  }
  std::span<const std::byte> bytes(std::size_t count) {
    const auto taken = rest_.first(count < rest_.size() ? count : rest_.size());
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  // Up to the next `mark`, which is passed over.
  std::string_view text_until(char mark) {
    const auto text = text_of(rest_);
    const auto part = text.substr(0, text.find(mark));
    bytes(part.size() + 1);
    return part;
  }
  std::span<const std::byte> rest() const { return rest_; }
  std::string_view rest_text() const { return text_of(rest_); }

 private:
  std::span<const std::byte> rest_;
};

}  // namespace flotilla::fuzz
