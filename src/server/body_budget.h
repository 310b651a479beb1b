// Bounds the bytes of request bodies that lie in memory at the same time, those of all connections together: one body
// is bounded by itself, a thousand of them would not be. Thread: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace flotilla {

class BodyBudget {
 public:
  explicit BodyBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // What one body takes of the budget, given back with this object. One thread at a time.
  class Share {
   public:
    explicit Share(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { budget_->held_ -= bytes_; }
    // From now on `bytes`, if that is more than before. False where they are not to be had.
    bool grow_to(std::size_t bytes) {
      if (bytes <= bytes_) return true;
      const std::size_t more = bytes - bytes_;
      if (budget_->held_.fetch_add(more) + more > budget_->bytes_max_) {
        budget_->held_ -= more;
        return false;
      }
      bytes_ = bytes;
      return true;
    }

   private:
    const std::shared_ptr<BodyBudget> budget_;
    std::size_t bytes_ = 0;
  };

  std::size_t held_bytes() const { return held_; }

 private:
  const std::size_t bytes_max_;
  std::atomic<std::size_t> held_{0};
};

}  // namespace flotilla
