// Waiting for another thread that is about to be done: by looking for a while, then asleep. Waking a sleeper takes 20 to
// 60 µs, as long as a shard computes between two exchanges; looking takes a core, so it ends.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace flotilla {

inline void relax_processor() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns once `value` is not `old`.
inline void wait_while_equal(const std::atomic<std::uint32_t>& value, std::uint32_t old,
                             std::chrono::microseconds patience = std::chrono::microseconds(200)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    for (int looks = 0; looks < 64; ++looks) {
      if (value.load(std::memory_order_acquire) != old) return;
      relax_processor();
    }
  } while (std::chrono::steady_clock::now() < end);
  value.wait(old, std::memory_order_acquire);
}

}  // namespace flotilla
