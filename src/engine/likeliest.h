// Which token of a row of logits is the likeliest: what a greedy choice is. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "wire/likeliest.h"

namespace flotilla {

// Of logits of the tokens from `first` on. What is not a number counts as nothing; `first` where there is no number.
LikeliestToken likeliest(std::span<const float> logits, std::uint32_t first = 0);

// Of each row of logits [rows, tokens].
void likeliest_of_rows(std::span<const float> logits, std::size_t tokens, std::uint32_t first,
                       std::vector<LikeliestToken>& rows);

// Takes what is likelier among later tokens, row by row; of equals the earlier token stays.
void keep_likeliest(std::span<LikeliestToken> rows, std::span<const LikeliestToken> later);

}  // namespace flotilla
