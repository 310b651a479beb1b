// What a node tells the others about itself, again whenever it changes.
#pragma once

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
  std::string kind;          // "CPU", "Metal", "CUDA", ...
  std::string description;   // "AMD EPYC"
  std::uint32_t threads = 1; // compute threads a runner would use
  std::uint64_t memory_bytes = 0;
  bool operator==(const DeviceInfo&) const = default;
};

// A model file this node has. The fingerprint (model/gguf.h) says whether two nodes mean the same file.
struct ModelInfo {
  std::string name;          // stem of the file
  std::string fingerprint;   // 64 hex digits
  std::uint64_t file_bytes = 0;
  bool complete = false;     // false: only some layers' bytes
  bool operator==(const ModelInfo&) const = default;
};

// One stage of a placement: a layer range on a node (a group of nodes, once stages may be groups).
struct PlacedStage {
  std::vector<NodeId> nodes;
  LayerRange layers;
  std::uint64_t weight_bytes = 0, kv_bytes = 0, compute_bytes = 0;   // as the stage measured them; 0 until it is ready
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
  std::string detail;        // "copying 41 of 98 MB to laptop", or why it failed
  std::vector<PlacedStage> stages;
  std::uint32_t context_tokens = 0, sequences = 0;
  bool operator==(const Placement&) const = default;
  NodeId head() const { return stages.front().nodes.front(); }
};

struct NodeInfo {
  NodeId id;
  std::string name;                        // unique in a cluster by agreement; the id decides
  std::string version;                     // "0.1.0"
  std::uint64_t incarnation = 0;           // microseconds since 1970 at which this process started
  std::uint64_t revision = 0;              // counts changes within the incarnation
  std::uint64_t memory_bytes = 0;          // offered to models
  std::uint64_t memory_free_bytes = 0;     // of those, not yet taken by loaded stages
  std::vector<DeviceInfo> devices;         // at least one
  std::vector<ModelInfo> models;
  std::vector<Placement> placements;       // those this node is the head of
  std::uint16_t api_port = 0, cluster_port = 0;
  bool operator==(const NodeInfo&) const = default;
};

Bytes encode(const NodeInfo& info);
Result<NodeInfo> decode_node_info(std::span<const std::byte> body);

}  // namespace flotilla
