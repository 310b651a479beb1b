// Threads for work that blocks. They start with the first work; who wants no threads takes the work over.
// Thread: post() and take_over() the loop's.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

namespace flotilla {

class WorkPool {
 public:
  using Work = std::function<void()>;
  explicit WorkPool(std::size_t threads) : threads_(threads) {}

  void post(Work work) {
    if (taker_) return taker_(std::move(work));
    if (!pool_) pool_.emplace(threads_);
    boost::asio::post(*pool_, std::move(work));
  }
  void take_over(std::function<void(Work)> taker) { taker_ = std::move(taker); }
  // Until all that was posted is done.
  void wait() {
    if (pool_) pool_->wait();
  }
  void join() {
    if (pool_) pool_->join();
  }

 private:
  const std::size_t threads_;
  std::optional<boost::asio::thread_pool> pool_;
  std::function<void(Work)> taker_;
};

}  // namespace flotilla
