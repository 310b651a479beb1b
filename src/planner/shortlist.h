// Which of very many units are worth the exact search. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "planner/search.h"

namespace flotilla {

// At most `most` units, or as many more as the memory of all layers needs: those of the best plan on a switch, then the
// fastest tensor groups, then machines by what a layer there costs with its hops; where these hold too little, the ones
// with most memory.
std::vector<std::size_t> shortlist(const SearchProblem& problem, std::size_t most);

}  // namespace flotilla
