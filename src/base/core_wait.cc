#include "base/core_wait.h"

#include <cstdint>
#include <fstream>

namespace flotilla {

double core_wait_seconds() {
  std::ifstream file("/proc/thread-self/schedstat");
  std::uint64_t ran = 0, waited = 0;  // nanoseconds
  return file >> ran >> waited ? static_cast<double>(waited) * 1e-9 : 0;
}

}  // namespace flotilla
