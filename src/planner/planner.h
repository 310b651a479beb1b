// Decides which machines hold which layers, and says why. Pure: a function of its arguments.
// In: ClusterView, ModelShape, wishes.  Out: Plan (stages with bytes and reasons, what it will take, nodes left out
// with reasons) or the sentence that says what is missing where.  Thread: any.  Never: looks at a model's name, a clock
// or a socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cluster/view.h"
#include "model/shape.h"
#include "planner/cost.h"

namespace flotilla {

enum class PlanMode : std::uint8_t {
  automatic,  // what is best
  pipeline,   // machines one after another, each with some layers
  tensor,     // machines side by side, each with a slice of every layer
};

struct PlanWishes {
  PlanMode mode = PlanMode::automatic;
  std::vector<std::string> nodes;     // names, in ring order; empty: choose
  std::vector<std::uint32_t> layers;  // per node of `nodes`; empty: choose
  std::uint32_t context_tokens = 0;   // 0: default, at most what the model was trained for
  std::uint32_t sequences = 0;        // 0: default
  std::string fingerprint;            // nodes that have the file complete are preferred as head
  std::optional<NodeId> head;         // must be the head
  bool by_memory = false;             // divide by memory whatever was measured, as programs do that measure nothing
  ExpectedUse use;                    // what the plan is judged by
  Overheads overheads;
};

// One machine of a stage.
struct PlannedMember {
  NodeId node;
  std::string node_name;
  double share = 1;          // of the stage's work; all members' together are 1
  std::uint32_t shards = 1;  // threads with a slice each
  StageNeed need;
  std::uint64_t offered_bytes = 0;  // free memory of that node for models
};

struct PlannedStage {
  NodeId node;  // the first member, which stands in the ring
  std::string node_name;
  LayerRange layers;
  bool is_head = false;
  std::string reason;                  // "holds 12 of 30 layers: 41 MiB of weights, 30 MiB of KV ..."
  std::vector<PlannedMember> members;  // one: it computes the stage alone; several: a tensor group
  double token_seconds = 0;            // of each token, spent here; 0: not measured
  bool is_group() const { return members.size() > 1; }
  StageNeed need() const;               // of all members
  std::uint64_t offered_bytes() const;  // by all members
};

struct LeftOut {
  std::string node_name, reason;
};

struct Plan {
  std::vector<PlannedStage> stages;
  std::vector<LeftOut> left_out;
  std::uint32_t context_tokens = 0, sequences = 0;
  std::string summary;  // one sentence
  // What one user can expect: between tokens, and until the first one after a prompt of so many. 0: not measured.
  double token_seconds = 0, prompt_seconds = 0;
  std::uint32_t prompt_tokens = 0;
  std::vector<double> step_seconds;  // of steps of 1, 2, 4 … step_rows_foretold rows of answers; empty: not measured
  std::vector<std::string> notes;    // sentences: what was not measured, what was assumed
  // The model makes vectors of texts: one stage holds all of it, and each of these as well (copies.h).
  bool embeds = false;
  std::vector<PlannedStage> copies;
};

// With measurements of the machines: the plan that answers soonest, of more machines only where that is 10 % better
// (search.h). Without, or where only unlike layers fit: the fewest machines; among those, the most memory to spare;
// layers in proportion to offered memory. Either way each holds its weights, KV for the asked context, compute buffers
// and a reserve of memory_reserve_bytes.
// no_memory: per machine what it offers and what is missing, in GiB. not_found: a wished node is not here. unsupported:
// a tensor group of more machines than a layer can be cut for.
Result<Plan> plan(const ClusterView& view, const ModelShape& shape, const PlanWishes& wishes);

// "runs on battery at 43 %".
std::string on_battery(const NodeInfo& info);

inline constexpr std::uint32_t step_rows_foretold = 128;
inline constexpr std::uint64_t memory_reserve_bytes = 60ull << 20;  // a runner's own code, stacks and buffers

}  // namespace flotilla
