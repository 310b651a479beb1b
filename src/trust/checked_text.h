// 32 bytes as text that people read out, copy and mistype: base32 (RFC 4648's letters) with a check digit behind every
// 13 letters, 56 letters in all.
//
// Pure. A check digit finds any single wrong letter and most swapped neighbours; it is no defence against forgery.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flotilla {

inline constexpr std::size_t checked_text_letters = 56;

std::string to_checked_text(std::span<const std::byte, 32> bytes);

// The same in groups of seven with dashes between, for the eye: "AAAAAAA-BBBBBBB-…".
std::string in_groups(std::string_view checked_text);

// Small letters, spaces and dashes are allowed, and 0, 1 and 8 read as the O, I and B they were meant to be.
// invalid_argument says what is wrong with it; `what` names the thing in the sentence ("a join token").
Result<std::array<std::byte, 32>> from_checked_text(std::string_view text, std::string_view what);

}  // namespace flotilla
