// Threads that do the same at the same time, for measuring: what one core takes while the others rest is not what it
// takes in a step.
// Thread: any; run() starts the threads and joins them.
#pragma once

#include <barrier>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/result.h"

namespace flotilla {

class CoreTeam {
 public:
  explicit CoreTeam(std::uint32_t members) : members_(members), barrier_(members) {}

  // Calls work(member) on a thread each. The first failure is given; a member that fails must not wait() again, and the
  // others do not wait for it.
  Status run(const std::function<Status(std::uint32_t member)>& work) {
    std::vector<Status> ends(members_);
    {
      std::vector<std::jthread> threads;
      for (std::uint32_t member = 0; member < members_; ++member)
        threads.emplace_back([&, member] {
          ends[member] = work(member);
          barrier_.arrive_and_drop();
        });
    }
    for (Status& end : ends)
      if (!end) return std::move(end);
    return {};
  }

  // Inside run(): until all are here.
  void wait() { barrier_.arrive_and_wait(); }

  // Inside run(): seconds from when all began until all have ended. Each member gets the same.
  template <class Work>
  double time(const Work& work) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    work();
    wait();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  const std::uint32_t members_;
  std::barrier<> barrier_;
};

}  // namespace flotilla
