// Threads that do the same at the same time, for measuring: what one core takes while the others rest is not what it
// takes in a step. A core that is withheld (a quota, other programs) is not counted, as far as the system tells.
// Thread: any; run() starts the threads and joins them.
#pragma once

#include <barrier>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/core_wait.h"
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

  // Inside run(): seconds from when all began until all have ended, without those that this member waited for a core.
  template <class Work>
  double time(const Work& work) {
    wait();
    const auto start = std::chrono::steady_clock::now();
    const double withheld = core_wait_seconds();
    work();
    wait();
    const double waited = core_wait_seconds() - withheld;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() - waited;
  }

 private:
  const std::uint32_t members_;
  std::barrier<> barrier_;
};

}  // namespace flotilla
