// Inside frames of steps and sums: floats as they travel, little-endian, in four bytes or rounded to two.
#pragma once

#include <cstddef>
#include <span>

#include "wire/step.h"

namespace flotilla {

inline std::size_t value_bytes(ActivationType type) { return type == ActivationType::f32 ? 4 : 2; }

// value_bytes(type) bytes a value at `to`. BF16 rounds to nearest, ties to even.
void put_values(std::byte* to, std::span<const float> values, ActivationType type);
void take_values(const std::byte* from, std::span<float> values, ActivationType type);

// What the others get of these values: unchanged by F32.
void round_values(std::span<float> values, ActivationType type);

}  // namespace flotilla
