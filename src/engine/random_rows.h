// Rows of random weights of one type and length, from which matrices draw theirs: making each weight anew would take as
// long as a download, and what a kernel takes does not depend on what it multiplies, but for how much the scales of
// blocks differ; they do as in trained models.
// Thread: one at a time.
#pragma once

#include <ggml.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flotilla {

class RandomRows {
 public:
  RandomRows(ggml_type type, std::int64_t columns);

  std::size_t row_bytes() const { return row_bytes_; }
  // The next row; valid as long as this object.
  std::span<const std::byte> draw();

 private:
  static constexpr std::int64_t rows = 512;
  std::minstd_rand random_{11};
  std::size_t row_bytes_;
  std::vector<std::byte> bytes_;
};

// "Q4_K", "F16": how files and people write a type's name. GGML_TYPE_COUNT for a name of none that we can make.
std::string type_name(ggml_type type);
ggml_type type_named(std::string_view name);

}  // namespace flotilla
