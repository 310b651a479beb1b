// Sums of exponentials over a whole vocabulary, fast enough to run once a token: e^x by a polynomial that the compiler
// turns into vector code (relative error below 1e-5; what is not a number counts as nothing).
#pragma once

#include <span>

namespace flotilla {

// The largest value that is a number; minus infinity where there is none.
float largest(std::span<const float> values);

// Σ e^((value - highest) / temperature). No value may exceed `highest`, temperature > 0.
double sum_of_exponentials(std::span<const float> values, float highest, float temperature = 1);

// Puts e^((value - highest) / temperature) in each value's place and gives their sum.
double exponentiate(std::span<float> values, float highest, float temperature);

// ln Σ e^value: the logarithm of what a softmax divides by.
double log_sum_exp(std::span<const float> values);

}  // namespace flotilla
