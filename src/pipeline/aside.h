// A thread for work that must not hold up the computing one: started by the first work, one piece after the other.
//
// Thread: post() of one thread.   Never: begins work after it is being destroyed; what is begun is waited for.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <utility>

#include "base/bounded_queue.h"
#include "base/result.h"

namespace flotilla {

class Aside {
 public:
  using Work = std::function<void()>;
  explicit Aside(std::size_t waiting_max) : queue_(waiting_max) {}
  ~Aside() {
    stopping_ = true;
    queue_.close({Code::closed, "[pipeline] the stage has ended"});
    if (thread_.joinable()) thread_.join();
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  Status post(Work work) {  // busy where too much waits
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    return queue_.try_push(std::move(work));
  }

 private:
  void run() {
    while (auto work = queue_.pop())
      if (!stopping_) (*work)();
  }

  BoundedQueue<Work> queue_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace flotilla
