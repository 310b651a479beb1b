// Secrets that nobody can guess. Thread: any.
#pragma once

#include <array>
#include <cstddef>

namespace flotilla {

// 256 bits from OpenSSL's generator, which the system's seeds. A generator that fails stops the process: there is no
// going on with a secret that is none.
std::array<std::byte, 32> random_secret();

}  // namespace flotilla
