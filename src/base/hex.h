// Bytes as lower-case hexadecimal text and back.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flotilla {

std::string to_hex(std::span<const std::byte> bytes);
Result<std::vector<std::byte>> from_hex(std::string_view hex);  // upper case accepted too

}  // namespace flotilla
