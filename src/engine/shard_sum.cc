#include "engine/shard_sum.h"

namespace flotilla {

ggml_tensor* ShardSum::add_to(ggml_context* context, ggml_tensor* x) {
  constexpr int one_thread = 1;
  return ggml_map_custom1_inplace(context, x, compute, one_thread, this);
}

void ShardSum::compute(ggml_tensor* sum, const ggml_tensor*, int thread, int, void* self) {
  auto& shard = *static_cast<ShardSum*>(self);
  if (thread != 0 || !shard.status_) return;
  shard.collective_->start({static_cast<float*>(sum->data), static_cast<std::size_t>(ggml_nelements(sum))});
  shard.status_ = shard.collective_->wait();
}

}  // namespace flotilla
