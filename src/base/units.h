// Sizes as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

inline constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

// "24 GiB", "1.5 GiB", "93.8 MiB", "512 B": three digits at most, binary units.
std::string format_bytes(std::uint64_t bytes);

// "8G", "8GiB", "512m", "1.5 GiB", "1048576": units are binary whether or not the i is written.
Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace flotilla
