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
    const std::uint32_t turn = turn_.load(std::memory_order_acquire);
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

// Where the shards meet for one sum. Two that follow each other have places of their own: a shard may offer the second
// before another has finished the first.
struct SumPlace {
  explicit SumPlace(std::uint32_t shards)
      : offered(shards), summands_there(shards), sum_there(shards), total_there(shards) {}

  void close() {
    summands_there.close();
    sum_there.close();
    total_there.close();
  }

  std::vector<std::span<float>> offered;  // by shard; written before summands_there, read after
  Meeting summands_there, sum_there, total_there;
};

struct Meetings {
  Meetings(std::uint32_t shards, std::shared_ptr<Collective> elsewhere)
      : others(std::move(elsewhere)), places{SumPlace(shards), SumPlace(shards)} {}

  void close(const Error& error) {
    {
      const std::scoped_lock lock(mutex);
      if (!cause) cause = error;
    }
    for (SumPlace& place : places) place.close();
    if (others) others->close(error);
  }
  Error why() {
    const std::scoped_lock lock(mutex);
    return cause.value_or(Error{Code::closed, "[engine] a shard of this stage ended"});
  }

  const std::shared_ptr<Collective> others;
  std::array<SumPlace, sums_under_way_max> places;
  std::mutex mutex;
  std::optional<Error> cause;
};

class MemoryCollective final : public Collective {
 public:
  MemoryCollective(std::shared_ptr<Meetings> meetings, std::uint32_t index)
      : meetings_(std::move(meetings)), index_(index) {}

  // Where others sum too, what these shards have is summed at once: what goes to other machines is on its way while the
  // caller computes. Among these alone nothing is on its way, and a wait would only be earlier.
  void start(std::span<float> values) override {
    offer(values);
    if (meetings_->others) health_ = sum_here_and_start_with_others();
  }

  Status wait() override {
    check(started_ != awaited_, "a sum is waited for once");
    SumPlace& place = place_of(awaited_++);
    if (!meetings_->others) return sum_here(place);
    if (with_others_ > 0) finish_with_others(place);
    if (health_ && !meet(place.total_there)) health_ = fail(meetings_->why());
    return health_;
  }

  void close(const Error& cause) override { meetings_->close(cause); }

 private:
  SumPlace& place_of(std::uint32_t number) { return meetings_->places[number % sums_under_way_max]; }
  static bool meet(Meeting& meeting) { return meeting.wait(meeting.arrive()); }

  void offer(std::span<float> values) {
    check(started_ - awaited_ < sums_under_way_max, "no more sums are begun than may be under way");
    const std::uint32_t number = started_++;
    SumPlace& place = place_of(number);
    place.offered[index_] = values;
    turns_[number % sums_under_way_max] = place.summands_there.arrive();
  }

  Status sum_here(SumPlace& place) {
    const std::uint32_t turn = turns_[static_cast<std::size_t>(&place - meetings_->places.data())];
    if (!place.summands_there.wait(turn)) return fail(meetings_->why());
    sum_own_part(place.offered);
    if (!meet(place.sum_there)) return fail(meetings_->why());
    return {};
  }

  Status sum_here_and_start_with_others() {
    FLOTILLA_TRY_STATUS(health_);
    SumPlace& place = place_of(started_ - 1);
    FLOTILLA_TRY_STATUS(sum_here(place));
    if (index_ > 0) return {};
    meetings_->others->start(place.offered.front());
    ++with_others_;
    return {};
  }

  // Also where all is lost by now: what others still have of this shard's memory is not its own.
  void finish_with_others(SumPlace& place) {
    --with_others_;
    if (auto status = meetings_->others->wait(); !status) {
      meetings_->close(status.error());
      if (health_) health_ = std::move(status);
    }
    if (!health_) return;
    // Given, not fetched: this shard goes on and may use the memory anew.
    for (const auto& values : std::span(place.offered).subspan(1))
      std::ranges::copy(place.offered.front(), values.begin());
  }

  // Each shard sums one part of the values and gives it to all: so all have the same bits, and no value is summed
  // twice.
  void sum_own_part(const std::vector<std::span<float>>& offered) const {
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
  std::uint32_t started_ = 0, awaited_ = 0;
  std::uint32_t with_others_ = 0;  // the first shard's: sums under way there
  std::array<std::uint32_t, sums_under_way_max> turns_{};
  Status health_;
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
