// Guesses what comes next from the text itself: where its last tokens stood before, and what followed them there.
// Source: prompt lookup decoding (Saxena 2023); n-gram speculation in the sense of Leviathan et al. 2023 with a drafter
// that costs nothing. Pure.
#pragma once

#include <cstdint>
#include <span>

#include "base/ids.h"

namespace flotilla {

struct Draft {
  std::span<const TokenId> tokens;  // within the text; empty where nothing is known
  std::uint32_t match = 0;          // how many of the text's last tokens stood there too, at most match_max
};

inline constexpr std::uint32_t match_min = 2, match_max = 16;

// The longest match of the text's end, the newest among equals, and up to `count_max` tokens that followed it.
// One pass over the text.
Draft look_up(std::span<const TokenId> text, std::uint32_t count_max);

}  // namespace flotilla
