#include "engine/random_rows.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace flotilla {

RandomRows::RandomRows(ggml_type type, std::int64_t columns) : row_bytes_(ggml_row_size(type, columns)) {
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(columns)));
  for (float& value : values) value = normal(random_);
  bytes_.resize(static_cast<std::size_t>(rows) * row_bytes_);
  ggml_quantize_chunk(type, values.data(), bytes_.data(), 0, rows, columns, nullptr);
}

std::span<const std::byte> RandomRows::draw() { return {bytes_.data() + (random_() % rows) * row_bytes_, row_bytes_}; }

std::string type_name(ggml_type type) {
  std::string name = ggml_type_name(type);
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
  return name;
}

ggml_type type_named(std::string_view name) {
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    const ggml_type_traits* traits = ggml_get_type_traits(type);
    const bool is_made = type == GGML_TYPE_F32 || (traits->to_float && traits->from_float_ref);
    if (is_made && !ggml_quantize_requires_imatrix(type) && type_name(type) == name) return type;
  }
  return GGML_TYPE_COUNT;
}

}  // namespace flotilla
