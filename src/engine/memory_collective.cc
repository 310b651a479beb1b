#include "engine/memory_collective.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>

#include "base/check.h"
#include "engine/spin_wait.h"

namespace flotilla {
namespace {

constexpr std::size_t cache_line = 64;

// Shards meet here: arrive, do something else, wait for the others.
class Meeting {
 public:
  explicit Meeting(std::uint32_t shards) : shards_(shards) {}

  // What to give to wait().
  std::uint32_t arrive() {
    const std::uint32_t turn = turn_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == shards_) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.fetch_add(1, std::memory_order_acq_rel);
      turn_.notify_all();
    }
    return turn;
  }
  bool wait(std::uint32_t turn) const {
    if (!closed()) wait_while_equal(turn_, turn);
    return !closed();
  }

  void close() {
    closed_.store(true, std::memory_order_release);
    turn_.fetch_add(1, std::memory_order_acq_rel);
    turn_.notify_all();
  }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 private:
  const std::uint32_t shards_;
  alignas(cache_line) std::atomic<std::uint32_t> arrived_{0};
  alignas(cache_line) std::atomic<std::uint32_t> turn_{0};
  std::atomic<bool> closed_{false};
};

struct Meetings {
  Meetings(std::uint32_t shards, std::shared_ptr<Collective> elsewhere)
      : others(std::move(elsewhere)), offered(shards), summands_there(shards), sum_there(shards), total_there(shards) {}

  void close(const Error& error) {
    {
      const std::scoped_lock lock(mutex);
      if (!cause) cause = error;
    }
    summands_there.close();
    sum_there.close();
    total_there.close();
    if (others) others->close(error);
  }
  Error why() {
    const std::scoped_lock lock(mutex);
    return cause.value_or(Error{Code::closed, "[engine] a shard of this stage ended"});
  }

  const std::shared_ptr<Collective> others;
  std::vector<std::span<float>> offered;  // by shard; written before summands_there, read after
  Meeting summands_there, sum_there, total_there;
  std::mutex mutex;
  std::optional<Error> cause;
};

class MemoryCollective final : public Collective {
 public:
  MemoryCollective(std::shared_ptr<Meetings> meetings, std::uint32_t index) : meetings_(std::move(meetings)), index_(index) {}

  void start(std::span<float> values) override {
    meetings_->offered[index_] = values;
    turn_ = meetings_->summands_there.arrive();
  }

  Status wait() override {
    if (!meetings_->summands_there.wait(turn_)) return fail(meetings_->why());
    sum_own_part();
    if (!meet(meetings_->sum_there)) return fail(meetings_->why());
    if (!meetings_->others) return {};
    if (index_ == 0) FLOTILLA_TRY_STATUS(sum_with_others());
    if (!meet(meetings_->total_there)) return fail(meetings_->why());
    return {};
  }

  void close(const Error& cause) override { meetings_->close(cause); }

 private:
  static bool meet(Meeting& meeting) { return meeting.wait(meeting.arrive()); }

  Status sum_with_others() {
    meetings_->others->start(meetings_->offered.front());
    if (auto status = meetings_->others->wait(); !status) {
      meetings_->close(status.error());
      return status;
    }
    // Given, not fetched: this shard goes on and may use the memory anew.
    for (const auto& values : std::span(meetings_->offered).subspan(1))
      std::ranges::copy(meetings_->offered.front(), values.begin());
    return {};
  }

  // Each shard sums one part of the values and gives it to all: so all have the same bits, and no value is summed
  // twice.
  void sum_own_part() {
    const auto& offered = meetings_->offered;
    const std::size_t count = offered[index_].size(), shards = offered.size();
    for (const auto& values : offered) check(values.size() == count, "every shard offers as many values");
    const std::size_t end = count * (index_ + 1) / shards;
    std::array<float, 512> sums;
    for (std::size_t first = count * index_ / shards; first < end; first += sums.size()) {
      const std::size_t part = std::min(sums.size(), end - first);
      std::copy_n(offered[0].data() + first, part, sums.data());
      for (std::size_t shard = 1; shard < shards; ++shard) {
        const float* summands = offered[shard].data() + first;
        for (std::size_t i = 0; i < part; ++i) sums[i] += summands[i];
      }
      for (const auto& values : offered) std::copy_n(sums.data(), part, values.data() + first);
    }
  }

  const std::shared_ptr<Meetings> meetings_;
  const std::uint32_t index_;
  std::uint32_t turn_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Collective>> make_memory_collective(std::uint32_t shards,
                                                                std::shared_ptr<Collective> others) {
  const auto meetings = std::make_shared<Meetings>(shards, std::move(others));
  std::vector<std::unique_ptr<Collective>> ends;
  for (std::uint32_t index = 0; index < shards; ++index)
    ends.push_back(std::make_unique<MemoryCollective>(meetings, index));
  return ends;
}

}  // namespace flotilla
