// What code that holds a bare socket needs of the system's calls. Thread: any.
#pragma once

#include <sys/socket.h>

#include <chrono>

namespace flotilla {

// A peer that is gone is an error of send(), not a signal.
#ifdef MSG_NOSIGNAL
inline constexpr int no_signal = MSG_NOSIGNAL;
#else
inline constexpr int no_signal = 0;  // macOS: SO_NOSIGPIPE on the socket, or a process that ignores SIGPIPE
#endif

// 1 where `events` are there (POLLIN, POLLOUT), 0 where the time is over, -1 (errno) where the system refused.
int poll_until(int fd, short events, std::chrono::steady_clock::time_point deadline);

}  // namespace flotilla
