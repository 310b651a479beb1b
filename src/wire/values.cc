#include "wire/values.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace flotilla {
namespace {

// Round to nearest, ties to even. Adding just under half a unit carries into the exponent by itself where it must, up
// to infinity. A NaN whose payload lies in the lost bits would become infinity, so NaNs are made quiet instead.
std::uint16_t bf16_from_f32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<std::uint16_t>(nan ? (bits >> 16) | 0x40u : rounded);
}

float f32_from_bf16(std::uint16_t half) { return std::bit_cast<float>(std::uint32_t{half} << 16); }

}  // namespace

void put_values(std::byte* to, std::span<const float> values, ActivationType type) {
  if (values.empty()) return;
  if (type == ActivationType::f32) {
    std::memcpy(to, values.data(), values.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half = bf16_from_f32(values[i]);
    std::memcpy(to + 2 * i, &half, 2);
  }
}

void take_values(const std::byte* from, std::span<float> values, ActivationType type) {
  if (values.empty()) return;
  if (type == ActivationType::f32) {
    std::memcpy(values.data(), from, values.size_bytes());
    return;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half;
    std::memcpy(&half, from + 2 * i, 2);
    values[i] = f32_from_bf16(half);
  }
}

void round_values(std::span<float> values, ActivationType type) {
  if (type == ActivationType::f32) return;
  for (float& value : values) value = f32_from_bf16(bf16_from_f32(value));
}

}  // namespace flotilla
