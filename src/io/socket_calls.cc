#include "io/socket_calls.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace flotilla {

int poll_until(int fd, short events, std::chrono::steady_clock::time_point deadline) {
  using Clock = std::chrono::steady_clock;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    const int ready = poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, INT32_MAX)));
    if (ready > 0) return 1;
    if (ready < 0 && errno != EINTR) return -1;
    if (ready == 0 && Clock::now() >= deadline) return 0;
  }
}

}  // namespace flotilla
