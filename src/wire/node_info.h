// What a node tells the others about itself, again whenever it changes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace flotilla {

struct DeviceInfo {
  std::string kind;           // "CPU", "Metal", "CUDA", ...
  std::string description;    // "AMD EPYC"
  std::uint32_t threads = 1;  // compute threads a runner would use
  std::uint64_t memory_bytes = 0;
  bool operator==(const DeviceInfo&) const = default;
};

// A model file this node has. The fingerprint (model/gguf.h) says whether two nodes mean the same file.
struct ModelInfo {
  std::string name;         // stem of the file
  std::string fingerprint;  // 64 hex digits
  std::uint64_t file_bytes = 0;
  bool complete = false;  // false: only some layers' bytes
  bool operator==(const ModelInfo&) const = default;
};

// How long this machine takes to multiply rows of activations by a matrix of one type of weights. Seconds per GiB of
// weights (as stored) hold for any matrix large enough not to stay in a cache, so they are measured once, not per
// model.
inline constexpr std::array<std::uint32_t, 10> kernel_rows{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
struct KernelRate {
  std::string type;                     // "Q4_K", "F16": ggml's name
  std::vector<double> seconds_per_gib;  // by kernel_rows; nothing else is sent
  bool operator==(const KernelRate&) const = default;
};

inline constexpr std::uint32_t attention_prompt_rows = 64;  // of one prompt, with which its attention is timed

// What this machine measured of itself. Empty kernels: not measured yet.
struct MachineRates {
  std::uint32_t shards = 1,
                threads_per_shard = 1;  // the division of its cores that was fastest, which the kernels used
  std::vector<KernelRate> kernels;
  double memory_bytes_per_second = 0;            // reading, all shards together
  double layer_seconds = 0;                      // of a layer and step, whatever its size: norms, launches, sums
  double attention_bytes_per_second = 0;         // reading keys and values for one row
  double attention_prompt_bytes_per_second = 0;  // the same for each of attention_prompt_rows rows of one prompt
  bool operator==(const MachineRates&) const = default;
};

// The link to another node as this one measured it, by the best pair of interfaces.
struct LinkRate {
  NodeId peer;
  double latency_seconds = 0;  // one way: half of the median round trip of a small message
  double bytes_per_second = 0;
  std::string interface;  // "eth0"; empty where unknown
  bool operator==(const LinkRate&) const = default;
};

// One stage of a placement: a layer range on a node, or on a group of nodes that hold a slice of each layer.
struct PlacedStage {
  std::vector<NodeId> nodes;
  LayerRange layers;
  std::uint64_t weight_bytes = 0, kv_bytes = 0, compute_bytes = 0;  // as the stage measured them; 0 until it is ready
  std::vector<std::uint64_t> member_bytes;  // of that, what each of `nodes` holds; empty from an older release
  bool operator==(const PlacedStage&) const = default;
};

enum class PlacementState : std::uint8_t { loading = 0, ready = 1, failed = 2, unloading = 3 };
std::string_view to_string(PlacementState state);

// Ordered stages; the first node of the first stage is the head. Issued and owned by the head's node.
struct Placement {
  PlacementId id;
  Epoch epoch;
  std::string model, fingerprint;
  PlacementState state = PlacementState::loading;
  std::string detail;  // "copying 41 of 98 MB to laptop", or why it failed
  std::vector<PlacedStage> stages;
  std::uint32_t context_tokens = 0, sequences = 0;
  bool embeds = false;  // makes vectors of texts; of such a model there may be several placements, each a whole copy
  // What the planner expected of one user: between tokens, and for prompt_tokens of a prompt; 0: it had no
  // measurements.
  double predicted_token_seconds = 0, predicted_prompt_seconds = 0;
  std::uint32_t predicted_prompt_tokens = 0;
  bool operator==(const Placement&) const = default;
  NodeId head() const { return stages.front().nodes.front(); }
};

// Requests that entered at a node and wait there until their model, which was lost, is loaded again.
struct WaitingRequests {
  std::string model;
  std::uint32_t requests = 0;
  std::string detail;  // what they wait for, a sentence
  bool operator==(const WaitingRequests&) const = default;
};

// A copy of a model that this node makes so that the only machine which has the file may go away.
struct StandbyCopy {
  std::string model, fingerprint;
  std::uint64_t done_bytes = 0, total_bytes = 0;
  bool operator==(const StandbyCopy&) const = default;
};

struct NodeInfo {
  NodeId id;
  std::string name;                     // unique in a cluster by agreement; the id decides
  std::string version;                  // "0.1.0"
  std::uint64_t incarnation = 0;        // microseconds since 1970 at which this process started
  std::uint64_t revision = 0;           // counts changes within the incarnation
  std::uint64_t memory_bytes = 0;       // offered to models
  std::uint64_t memory_free_bytes = 0;  // of those, not yet taken by loaded stages
  std::vector<DeviceInfo> devices;      // at least one
  std::vector<ModelInfo> models;
  std::vector<Placement> placements;  // those this node is the head of
  std::uint16_t api_port = 0, cluster_port = 0;
  MachineRates rates;
  std::vector<LinkRate> links;
  std::vector<WaitingRequests> waiting;
  std::uint64_t standby_bytes = 0;    // room on its disk that it gives to copies
  std::vector<StandbyCopy> standbys;  // under way
  // Answers of what it heads keep to their constraint. A release that does not know of constraints would pass over
  // them.
  bool keeps_constraints = false;
  bool may_sign = false;  // holds the cluster's key: lets machines in and puts them out
  // Memory is offered by this (serve --on-battery): where it is 0 bytes on battery, its layers are to go elsewhere.
  bool on_battery = false;
  std::uint32_t battery_percent = 0;  // 0: has none, or does not know
  bool operator==(const NodeInfo&) const = default;
};

Bytes encode(const NodeInfo& info);
Result<NodeInfo> decode_node_info(std::span<const std::byte> body);

}  // namespace flotilla
