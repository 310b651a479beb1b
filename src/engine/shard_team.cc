#include "engine/shard_team.h"

#include "engine/spin_wait.h"

namespace flotilla {

ShardTeam::ShardTeam(std::uint32_t shards) {
  for (std::uint32_t shard = 1; shard < shards; ++shard) threads_.emplace_back([this, shard] { serve(shard); });
}

ShardTeam::~ShardTeam() {
  work_ = nullptr;
  turn_.fetch_add(1, std::memory_order_release);
  turn_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ShardTeam::run(const Work& work) {
  work_ = &work;
  busy_.store(static_cast<std::uint32_t>(threads_.size()), std::memory_order_relaxed);
  turn_.fetch_add(1, std::memory_order_release);
  turn_.notify_all();
  work(0);
  while (const std::uint32_t busy = busy_.load(std::memory_order_acquire)) wait_while_equal(busy_, busy);
}

void ShardTeam::serve(std::uint32_t shard) {
  for (std::uint32_t turn = 0;; ++turn) {
    wait_while_equal(turn_, turn);
    if (!work_) return;
    (*work_)(shard);
    busy_.fetch_sub(1, std::memory_order_release);
    busy_.notify_one();
  }
}

}  // namespace flotilla
