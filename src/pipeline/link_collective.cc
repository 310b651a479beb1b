#include "pipeline/link_collective.h"

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "base/bounded_queue.h"
#include "base/check.h"
#include "engine/spin_wait.h"
#include "pipeline/exchange.h"

namespace flotilla {
namespace {

// What the sockets keep goes out at start() and arrives while the caller computes, without anyone's doing.
constexpr std::size_t values_without_thread = pieces_kept_by_sockets * piece_values;

// A thread beside those that compute may be let in milliseconds late: so much is 9 ms of a gigabit link, and what does
// not fit the sockets' buffers waits, while what the others sent is taken in (group.h).
constexpr std::size_t pieces_ahead_in_background = 32;

// The thread that exchanges large sums. The group's links are its own from a give() until wait() has answered for it.
class ExchangeThread {
 public:
  ExchangeThread(Exchange& exchange, Group& group) : exchange_(exchange), group_(group), thread_([this] { serve(); }) {}
  ExchangeThread(const ExchangeThread&) = delete;
  ExchangeThread& operator=(const ExchangeThread&) = delete;
  ~ExchangeThread() {
    const Error cause{Code::closed, "[pipeline] this member's stage is gone"};
    if (given_ != finished_.load(std::memory_order_acquire)) group_.close(cause);
    given_sums_.close(cause);
    thread_.join();
  }

  void give(std::span<float> values) {
    ++given_;
    check(given_sums_.try_push(std::span(values)).has_value(), "no more sums are given than may be under way");
  }
  // For the oldest that was given. Asleep: the thread may need this very core.
  Status wait() {
    wait_while_equal(finished_, answered_, std::chrono::microseconds(0));
    return results_[answered_++ % results_.size()];
  }

 private:
  void serve() {
    for (auto values = given_sums_.pop(); values; values = given_sums_.pop()) {
      group_.sleep_at_once(true);
      exchange_.begin(*values, pieces_ahead_in_background);
      for (std::size_t under_way = 1; under_way > 0;) {
        const bool is_through = exchange_.advance();
        if (auto next = given_sums_.try_pop()) {
          exchange_.begin(*next, pieces_ahead_in_background);
          ++under_way;
        }
        if (is_through) finish_oldest(--under_way == 0);
      }
    }
  }

  // After the last, exchange and group are the caller's.
  void finish_oldest(bool is_last) {
    const std::uint32_t number = finished_.load(std::memory_order_relaxed);
    results_[number % results_.size()] = exchange_.health();
    if (is_last) group_.sleep_at_once(false);
    finished_.store(number + 1, std::memory_order_release);
    finished_.notify_one();
  }

  Exchange& exchange_;
  Group& group_;
  BoundedQueue<std::span<float>> given_sums_{sums_under_way_max};
  std::uint32_t given_ = 0, answered_ = 0;  // the caller's
  std::array<Status, sums_under_way_max> results_;
  std::atomic<std::uint32_t> finished_{0};
  std::thread thread_;  // last: it uses the others
};

class LinkCollective final : public Collective {
 public:
  explicit LinkCollective(std::shared_ptr<Group> group) : group_(std::move(group)), exchange_(group_) {}

  void start(std::span<float> values) override {
    if (under_way_ == 0) in_background_ = values.size() > values_without_thread;
    begin(values);
  }

  Status wait() override {
    check(under_way_ > 0, "a sum is waited for once");
    --under_way_;
    if (in_background_) return thread_->wait();
    while (!exchange_.advance()) {
    }
    return exchange_.health();
  }

  // Nothing is computed meanwhile, so the caller's thread has nothing better to do.
  Status sum(std::span<float> values) override {
    check(under_way_ == 0, "a sum by itself is not begun beside another");
    in_background_ = false;
    begin(values);
    return wait();
  }

  void close(const Error& cause) override { group_->close(cause); }

 private:
  void begin(std::span<float> values) {
    check(under_way_ < sums_under_way_max, "no more sums are begun than may be under way");
    ++under_way_;
    if (!in_background_) return exchange_.begin(values, pieces_kept_by_sockets);
    if (!thread_) thread_ = std::make_unique<ExchangeThread>(exchange_, *group_);
    thread_->give(values);
  }

  const std::shared_ptr<Group> group_;
  Exchange exchange_;
  std::size_t under_way_ = 0;
  bool in_background_ = false;              // those under way
  std::unique_ptr<ExchangeThread> thread_;  // from the first large sum on; last, for it uses the others
};

}  // namespace

std::unique_ptr<Collective> make_link_collective(std::shared_ptr<Group> group) {
  return std::make_unique<LinkCollective>(std::move(group));
}

}  // namespace flotilla
