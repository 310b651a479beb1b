#include "engine/random_rows.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace flotilla {
namespace {

// What a kernel takes does depend on how many different scales it meets: ggml's look each up in a table of 256 KiB. Of
// trained models' blocks (SmolLM2 135M, Gemma 3 270M) the logarithm of the scale spreads by 0.2 to 0.5; a block of
// normal numbers alone has 0.15 of it, the rest is this.
constexpr std::int64_t block_values = 32;  // of the smallest blocks that have a scale
constexpr float scale_spread = 0.25f;

}  // namespace

RandomRows::RandomRows(ggml_type type, std::int64_t columns) : row_bytes_(ggml_row_size(type, columns)) {
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(columns)));
  std::lognormal_distribution<float> scale(0, scale_spread);
  for (auto block = values.begin(); block != values.end();) {
    const auto end = block + std::min<std::ptrdiff_t>(block_values, values.end() - block);
    const float size = scale(random_);
    for (; block != end; ++block) *block = size * normal(random_);
  }
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
