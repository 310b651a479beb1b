#include "engine/graph_cache.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace flotilla {
namespace {

// Steps differ by their rows: one, as many as answers are under way, pieces of prompts. A graph of 30 layers takes about
// half a MiB.
constexpr std::size_t graphs_max = 8, description_bytes_max = 16 * mib;

}  // namespace

Status GraphCache::reserve(const StepGraph& graph) {
  const std::size_t bytes_before = buffer_bytes();
  const bool reserved = ggml_gallocr_reserve(allocator_.get(), graph.graph);
  if (!reserved || buffer_bytes() != bytes_before) kept_.clear();
  if (reserved) return {};
  return fail(Code::no_memory,
              "[engine] expected memory for the step's buffers but the system gave none; use a "
              "shorter context or give this machine fewer layers");
}

StepGraph* GraphCache::find(const GraphKey& key) {
  const auto found = std::ranges::find(kept_, key, &Kept::key);
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return &kept_.front().graph;
}

Result<StepGraph*> GraphCache::keep(GraphKey key, StepGraph graph) {
  // The allocator decides by counts whether its last plan fits this graph too. Reserving makes it plan anew, always.
  FLOTILLA_TRY_STATUS(reserve(graph));
  if (!ggml_gallocr_alloc_graph(allocator_.get(), graph.graph))
    return fail(Code::no_memory, "[engine] expected the step's buffers to fit what was reserved but they do not");
  kept_.push_front({key, std::move(graph)});
  drop_oldest();
  return &kept_.front().graph;
}

void GraphCache::drop_oldest() {
  const auto description_bytes = [&] {
    return std::ranges::fold_left(kept_, std::size_t{0}, [](std::size_t sum, const Kept& kept) {
      return sum + ggml_get_mem_size(kept.graph.context.get());
    });
  };
  while (kept_.size() > graphs_max || (kept_.size() > 1 && description_bytes() > description_bytes_max))
    kept_.pop_back();
}

}  // namespace flotilla
