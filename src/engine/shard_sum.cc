#include "engine/shard_sum.h"

#include <array>
#include <cstring>

#include "base/check.h"

namespace flotilla {
namespace {

constexpr int one_thread = 1;

std::span<float> values_of(ggml_tensor* tensor) {
  return {static_cast<float*>(tensor->data), static_cast<std::size_t>(ggml_nelements(tensor))};
}

}  // namespace

ggml_tensor* ShardSum::add_to(ggml_context* context, ggml_tensor* x) {
  return ggml_map_custom1_inplace(context, x, compute, one_thread, this);
}

ggml_tensor* ShardSum::start(ggml_context* context, ggml_tensor* x) {
  return ggml_map_custom1_inplace(context, x, compute_start, one_thread, this);
}

ggml_tensor* ShardSum::await(ggml_context* context, ggml_tensor* started) {
  return ggml_map_custom1_inplace(context, started, compute_await, one_thread, this);
}

ggml_tensor* ShardSum::await_both(ggml_context* context, ggml_tensor* first, ggml_tensor* second) {
  std::array<ggml_tensor*, 2> sources{first, second};
  return ggml_custom_4d(context, GGML_TYPE_F32, first->ne[0] + second->ne[0], first->ne[1], 1, 1, sources.data(),
                        sources.size(), compute_await_both, one_thread, this);
}

void ShardSum::compute(ggml_tensor* sum, const ggml_tensor*, int thread, int, void* self) {
  auto& shard = *static_cast<ShardSum*>(self);
  if (thread == 0 && shard.status_) shard.note(shard.collective_->sum(values_of(sum)));
}

void ShardSum::compute_start(ggml_tensor* sum, const ggml_tensor*, int thread, int, void* self) {
  auto& shard = *static_cast<ShardSum*>(self);
  if (thread != 0 || !shard.status_) return;
  shard.collective_->start(values_of(sum));
  shard.under_way_.push_back(sum->data);
}

void ShardSum::compute_await(ggml_tensor* sum, const ggml_tensor*, int thread, int, void* self) {
  if (thread == 0) static_cast<ShardSum*>(self)->await_oldest(sum->data);
}

void ShardSum::compute_await_both(ggml_tensor* both, int thread, int, void* self) {
  if (thread != 0) return;
  auto* to = static_cast<char*>(both->data);
  for (const ggml_tensor* half : {both->src[0], both->src[1]}) {
    static_cast<ShardSum*>(self)->await_oldest(half->data);
    for (std::int64_t row = 0; row < half->ne[1]; ++row)
      std::memcpy(to + static_cast<std::size_t>(row) * both->nb[1],
                  static_cast<const char*>(half->data) + static_cast<std::size_t>(row) * half->nb[1], half->nb[1]);
    to += half->nb[1];
  }
}

// Also after a failure: the values of a sum under way are not ours before it has been waited for.
void ShardSum::await_oldest(const void* values) {
  if (under_way_.empty()) return;
  check(under_way_.front() == values, "sums are awaited in the order of their starts");
  under_way_.erase(under_way_.begin());
  note(collective_->wait());
}

void ShardSum::note(Status status) {
  if (status_) status_ = std::move(status);
}

void ShardSum::close(const Error& cause) {
  collective_->close(cause);
  for (std::size_t i = 0; i < under_way_.size(); ++i) note(collective_->wait());
  under_way_.clear();
}

}  // namespace flotilla
