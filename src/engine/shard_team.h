// The threads that compute a stage's shards: the caller's is the first, the others wait for work, looking for a while
// before they sleep.
// Thread: one thread calls run(); the work of shard i always runs on the same thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace flotilla {

class ShardTeam {
 public:
  explicit ShardTeam(std::uint32_t shards);
  ~ShardTeam();
  ShardTeam(const ShardTeam&) = delete;
  ShardTeam& operator=(const ShardTeam&) = delete;

  // Calls work(i) for every shard at once; returns when all have returned. They must not throw.
  using Work = std::function<void(std::uint32_t shard)>;
  void run(const Work& work);

  std::uint32_t shards() const { return static_cast<std::uint32_t>(threads_.size()) + 1; }

 private:
  void serve(std::uint32_t shard);

  const Work* work_ = nullptr;            // null: the end
  std::atomic<std::uint32_t> turn_{0};    // grows with each run()
  std::atomic<std::uint32_t> busy_{0};    // helpers still at the work of this turn
  std::vector<std::thread> threads_;
};

}  // namespace flotilla
