// The only way things pass between our threads: a queue with a bound. Full means back-pressure, never growth.
//
// Any number of producers and consumers. close(cause) wakes everyone: pushes fail at once with the cause; pops drain
// what is left and then fail with it. A closed queue answers, it does not hang.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>

#include "base/result.h"

namespace flotilla {

template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t items_max) : items_max_(items_max) {}

  // Never waits. busy where full (`item` is left untouched), the cause where closed.
  Status try_push(T&& item) {
    const std::scoped_lock lock(mutex_);
    if (closed_) return fail(*closed_);
    if (items_.size() >= items_max_) return fail(Code::busy, "[base] the queue is full ({} items)", items_max_);
    items_.push_back(std::move(item));
    ready_.notify_one();
    return {};
  }

  // Waits for room.
  Status push(T item) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return closed_ || items_.size() < items_max_; });
    if (closed_) return fail(*closed_);
    items_.push_back(std::move(item));
    ready_.notify_one();
    return {};
  }

  std::optional<T> try_pop() {
    const std::scoped_lock lock(mutex_);
    if (items_.empty()) return std::nullopt;
    return take();
  }

  // Waits for an item; the cause where closed and empty.
  Result<T> pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) return fail(*closed_);
    return take();
  }

  // Waits at most `patience`; timeout where nothing came.
  Result<T> pop_for(std::chrono::nanoseconds patience) {
    std::unique_lock lock(mutex_);
    ready_.wait_for(lock, patience, [&] { return closed_ || !items_.empty(); });
    if (!items_.empty()) return take();
    if (closed_) return fail(*closed_);
    return fail(Code::timeout, "[base] nothing arrived in time");
  }

  void close(Error cause) {
    const std::scoped_lock lock(mutex_);
    if (!closed_) closed_ = std::move(cause);
    ready_.notify_all();
    room_.notify_all();
  }

  std::size_t size() const {
    const std::scoped_lock lock(mutex_);
    return items_.size();
  }

 private:
  T take() {
    T item = std::move(items_.front());
    items_.pop_front();
    room_.notify_one();
    return item;
  }

  const std::size_t items_max_;
  mutable std::mutex mutex_;
  std::condition_variable ready_, room_;
  std::deque<T> items_;
  std::optional<Error> closed_;
};

}  // namespace flotilla
