// What a token, a prompt and a hop cost in seconds, from what machines measured of themselves (docs/planner.md has the
// equations). Pure. In: ModelShape, MachineRates, links.  Out: seconds.  Thread: any; a ModelCost is immutable.
// Never: knows which machine is which, or chooses.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/shape.h"
#include "wire/node_info.h"

namespace flotilla {

// What a plan is judged by: one user's prompt of so many tokens and its answer.
struct ExpectedUse {
  std::uint32_t prompt_tokens = 1024, answer_tokens = 256;
};

// The expected prompt and answer, less where the context is.
ExpectedUse use_within(const ExpectedUse& use, std::uint32_t context_tokens);

struct LinkCost {
  double latency_seconds = 0, bytes_per_second = 1e12;
};

// What costs time beside kernels and wires.
struct Overheads {
  double hop_seconds = 50e-6;       // ours a hop: frame, checksum, wake-up (docs/performance.md: 0.06 ms with the wire)
  double exchange_seconds = 20e-6;  // ours a sum over a group's members, beyond the link's own time
  double whole_share = 0.05;        // of a layer's products that each member of a group does for itself
  double overlap_seconds = 100e-6;  // a layer that overlaps its sums: what neither of its two parts can hide
  std::uint32_t value_bytes = 4;    // of an activation on the wire: F32, or 2 of BF16
};

// One member's part in a group that computes every layer together.
struct SharedWork {
  const MachineRates* rates = nullptr;
  double share = 1;  // of the layer's products; a group's sum to 1
};

class ModelCost {
 public:
  ModelCost(const ModelShape& shape, const ExpectedUse& use, const Overheads& overheads);

  // One layer (the mean of the model's) for `rows` rows that each see `seen_tokens` before them.
  double layer_seconds(const MachineRates& rates, double rows, double seen_tokens) const;
  double layer_seconds(std::span<const SharedWork> group, const LinkCost& worst, double rows, double seen_tokens) const;
  double head_seconds(const MachineRates& rates, double rows) const;  // output head
  // The group's first gets all logits.
  double head_seconds(std::span<const SharedWork> group, const LinkCost& worst, double rows) const;
  double hop_seconds(const LinkCost& link, double rows) const;   // activations of `rows` rows to the next stage
  double wire_seconds(const LinkCost& link, double rows) const;  // of these, what keeps the next ones waiting
  double exchange_seconds(std::size_t members, const LinkCost& worst, double rows) const;  // one sum over a group

  double seen_while_answering() const { return use_.prompt_tokens + use_.answer_tokens / 2.0; }
  double seen_while_reading() const { return use_.prompt_tokens / 2.0; }
  const ExpectedUse& use() const { return use_; }

 private:
  double products(const MachineRates& rates, double rows) const;
  double attention(const MachineRates& rates, double rows, double seen_tokens) const;
  double shared_seconds(std::span<const SharedWork> group, double rows, int parts, double seen_tokens) const;

  ExpectedUse use_;
  Overheads overheads_;
  std::vector<TypedBytes> matrices_, experts_;  // of the mean layer
  TypedBytes output_;
  double cache_bytes_ = 0,
         window_tokens_ = 0;  // of the mean layer, a token; the mean of what layers see at most, 0: all
  double experts_count_ = 0, experts_used_ = 0;
  std::uint32_t width_ = 0, vocabulary_ = 0;
};

// Of a machine that has not measured itself nothing can be said.
inline bool is_measured(const MachineRates& rates) { return !rates.kernels.empty(); }

// Shares of the members, most for the fastest, none more than `most` (a share its memory holds): the slowest member is
// then as fast as it can be. Empty where all together cannot hold one.
std::vector<double> fair_shares(std::span<const double> seconds, std::span<const double> most);

}  // namespace flotilla
