#include "engine/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>

namespace flotilla {
namespace {

constexpr std::size_t lanes = 16;    // independent sums: the compiler may not reorder one, but may vectorise sixteen
constexpr std::size_t block = 4096;  // values added in float before the sum moves to double

// 2^t for t <= 0: the integer part goes into the exponent's bits, the rest through the series of e^(f ln 2), whose
// first term left out is below (ln 2 / 2)^7 / 7! = 1.2e-7.
inline float power_of_two(float t) {
  constexpr float round = 12582912.0f;  // 1.5 × 2^23: adding it leaves no bits for a fraction
  constexpr double l = std::numbers::ln2;
  constexpr float c1 = l, c2 = l * l / 2, c3 = l * l * l / 6, c4 = l * l * l * l / 24, c5 = l * l * l * l * l / 120,
                  c6 = l * l * l * l * l * l / 720;
  t = t > -126.0f ? t : -126.0f;  // below: nothing, and so is NaN
  const float whole = (t + round) - round;
  const float f = t - whole;
  const float series = 1 + f * (c1 + f * (c2 + f * (c3 + f * (c4 + f * (c5 + f * c6)))));
  return series * std::bit_cast<float>((static_cast<std::int32_t>(whole) + 127) << 23);
}

template <class Use>
double sum_over(std::size_t count, const Use& weight_at) {
  double sum = 0;
  std::size_t i = 0;
  while (count - i >= lanes) {
    std::array<float, lanes> partial{};
    const std::size_t end = i + std::min(block, (count - i) / lanes * lanes);
    for (; i < end; i += lanes)
      for (std::size_t lane = 0; lane < lanes; ++lane) partial[lane] += weight_at(i + lane);
    for (const float value : partial) sum += value;
  }
  for (; i < count; ++i) sum += weight_at(i);
  return sum;
}

float scale_of(float temperature) { return static_cast<float>(std::numbers::log2e) / temperature; }

}  // namespace

float largest(std::span<const float> values) {
  std::array<float, lanes> best;
  best.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; values.size() - i >= lanes; i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane)
      best[lane] = values[i + lane] > best[lane] ? values[i + lane] : best[lane];
  for (; i < values.size(); ++i) best[0] = values[i] > best[0] ? values[i] : best[0];
  float all = best[0];
  for (const float value : best) all = value > all ? value : all;
  return all;
}

double sum_of_exponentials(std::span<const float> values, float highest, float temperature) {
  const float scale = scale_of(temperature);
  const float* data = values.data();
  return sum_over(values.size(), [=](std::size_t i) { return power_of_two((data[i] - highest) * scale); });
}

double exponentiate(std::span<float> values, float highest, float temperature) {
  const float scale = scale_of(temperature);
  float* data = values.data();
  return sum_over(values.size(), [=](std::size_t i) { return data[i] = power_of_two((data[i] - highest) * scale); });
}

double log_sum_exp(std::span<const float> values) {
  const float highest = largest(values);
  return highest + std::log(sum_of_exponentials(values, highest));
}

}  // namespace flotilla
