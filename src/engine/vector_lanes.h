// Inside engine: arithmetic on vectors of F32 lanes, for loops that are compiled once for each width a processor may have.
// Everything is inlined into the function that names the instructions; nothing here may be called from elsewhere.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#define FLOTILLA_INLINE [[gnu::always_inline]] inline

namespace flotilla {

template <int lanes>
struct Vector {
  typedef float Floats __attribute__((vector_size(lanes * sizeof(float))));
  typedef std::int32_t Ints __attribute__((vector_size(lanes * sizeof(float))));
};
template <int lanes>
using Floats = typename Vector<lanes>::Floats;
template <int lanes>
using Ints = typename Vector<lanes>::Ints;

template <int lanes>
FLOTILLA_INLINE Floats<lanes> load(const float* from) {
  Floats<lanes> to;
  std::memcpy(&to, from, sizeof to);
  return to;
}

template <int lanes>
FLOTILLA_INLINE void store(float* to, Floats<lanes> from) {
  std::memcpy(to, &from, sizeof from);
}

template <int lanes>
FLOTILLA_INLINE Floats<lanes> all(float value) {
  return value - Floats<lanes>{};
}

template <int lanes>
FLOTILLA_INLINE Floats<lanes> larger(Floats<lanes> x, Floats<lanes> y) {
  return x > y ? x : y;
}

// Lane i of the result is lane Places::of(i) of x, and those of y from `lanes` on.
template <class Places, int lanes, int... i>
FLOTILLA_INLINE Floats<lanes> picked(Floats<lanes> x, Floats<lanes> y, std::integer_sequence<int, i...>) {
  return __builtin_shufflevector(x, y, Places::of(i)...);
}
template <class Places, int lanes>
FLOTILLA_INLINE Floats<lanes> picked(Floats<lanes> x, Floats<lanes> y) {
  return picked<Places, lanes>(x, y, std::make_integer_sequence<int, lanes>());
}

template <int distance>
struct Swapped {
  static constexpr int of(int i) { return i ^ distance; }
};
// The lanes of x, added up in pairs, these in pairs, and so on.
template <int lanes, int distance = lanes / 2>
FLOTILLA_INLINE float sum_of(Floats<lanes> x) {
  x += picked<Swapped<distance>, lanes>(x, x);
  if constexpr (distance > 1)
    return sum_of<lanes, distance / 2>(x);
  else
    return x[0];
}
template <int lanes, int distance = lanes / 2>
FLOTILLA_INLINE float largest_of(Floats<lanes> x) {
  x = larger<lanes>(x, picked<Swapped<distance>, lanes>(x, x));
  if constexpr (distance > 1)
    return largest_of<lanes, distance / 2>(x);
  else
    return x[0];
}

// The three steps by which lane_sums folds vectors, each two into one.
template <int lanes, int offset>  // in every four lanes: x0 y0 x1 y1, or from lane 2 on
struct Zipped {
  static constexpr int of(int i) { return i / 4 * 4 + i % 4 / 2 + i % 2 * lanes + offset; }
};
template <int lanes, int offset>  // in every four lanes: x0 x1 y0 y1, or from lane 2 on
struct Paired {
  static constexpr int of(int i) { return i / 4 * 4 + i % 2 + i % 4 / 2 * lanes + offset; }
};
template <int lanes, int offset>  // every other four lanes of x, then of y, from the first or from the second
struct Fours {
  static constexpr int of(int i) { return i / 4 % (lanes / 8) * 8 + i / (lanes / 2) * lanes + i % 4 + offset; }
};
template <template <int, int> class Step, int lanes, int offset>
FLOTILLA_INLINE Floats<lanes> folded(Floats<lanes> x, Floats<lanes> y) {
  return picked<Step<lanes, 0>, lanes>(x, y) + picked<Step<lanes, offset>, lanes>(x, y);
}

// Lane i of the result is the sum of the lanes of sums[i]; 4, 8 or 16 of them. Spoils `sums`.
template <int lanes>
FLOTILLA_INLINE Floats<lanes> lane_sums(Floats<lanes>* sums) {
  for (int i = 0; i < lanes; i += 4)
    sums[i / 4] = folded<Paired, lanes, 2>(folded<Zipped, lanes, 2>(sums[i], sums[i + 1]),
                                           folded<Zipped, lanes, 2>(sums[i + 2], sums[i + 3]));
  if constexpr (lanes == 16) {
    sums[0] = folded<Fours, lanes, 4>(sums[0], sums[1]);
    sums[1] = folded<Fours, lanes, 4>(sums[2], sums[3]);
  }
  if constexpr (lanes >= 8) sums[0] = folded<Fours, lanes, 4>(sums[0], sums[1]);
  return sums[0];
}

// e to the power of x, for x <= 0, to about one unit in the last place; 0 where it would be denormal. By 2 to the power
// of n and the series of what remains, as in Cephes' expf.
template <int lanes>
FLOTILLA_INLINE Floats<lanes> exponential(Floats<lanes> x) {
  constexpr float smallest = -87.0f, log2_e = 1.44269504088896341f;
  constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  constexpr float to_integer = 12582912.0f;  // 1.5 × 2^23: adding it rounds
  const auto vanishes = x < smallest;
  const Floats<lanes> at = vanishes ? all<lanes>(smallest) : x;
  const Floats<lanes> n = (at * log2_e + to_integer) - to_integer;
  const Floats<lanes> r = (at - n * ln2_high) - n * ln2_low;
  Floats<lanes> series = all<lanes>(1.9875691500e-4f);
  series = series * r + 1.3981999507e-3f;
  series = series * r + 8.3334519073e-3f;
  series = series * r + 4.1665795894e-2f;
  series = series * r + 1.6666665459e-1f;
  series = series * r + 5.0000001201e-1f;
  series = series * (r * r) + r + 1.0f;
  const Ints<lanes> exponent = (__builtin_convertvector(n, Ints<lanes>) + 127) << 23;
  Floats<lanes> power;
  std::memcpy(&power, &exponent, sizeof power);
  return vanishes ? Floats<lanes>{} : series * power;
}

}  // namespace flotilla
