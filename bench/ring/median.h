// The middle of a benchmark's rounds, in which a disturbed one does not count.
#pragma once

#include <algorithm>
#include <vector>

namespace flotilla {

// Of an even count the mean of the middle two; 0 where there is none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace flotilla
