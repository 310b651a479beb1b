// Where a share of some values lies below.  Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace flotilla {

// One of the values, of which there is at least one; `share` of them lie below it, at most. 0.5: their middle.
inline double quantile(std::vector<double> values, double share) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size()));
  std::ranges::nth_element(values, place);
  return *place;
}

}  // namespace flotilla
