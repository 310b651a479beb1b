// Which tokens of a vocabulary may be chosen: a bit for each, the lowest of a word first. Tokens beyond it may not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace flotilla {

struct TokenMask {
  std::vector<std::uint32_t> words;

  bool contains(TokenId token) const {
    const auto index = static_cast<std::size_t>(token);
    return token >= 0 && index / 32 < words.size() && (words[index / 32] >> (index % 32) & 1) != 0;
  }
};

}  // namespace flotilla
