// What nodes ask of each other, a node of its runner, and stages of each other beside the steps (ring_hello, stage_lost):
// about stages, models and files. Bodies are CBOR maps.
// Each message has encode() and decode_<message>(); a decode checks types, ranges and limits.h and never throws.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "wire/node_info.h"
#include "wire/step.h"

namespace flotilla {

// --- Models that come from a hub (docs/hub.md) ----------------------------------------------------------------------------
// A repository at one commit, and of it the files that are the model, in the order of its parts. Who uses one that came
// over the network checks it (hub/origin.h): its words become parts of addresses.
struct HubFile {
  std::string path;                      // within the repository
  std::uint64_t bytes = 0;
  std::string sha256;                    // of the whole file, 64 hexadecimal digits
  bool operator==(const HubFile&) const = default;
};
struct HubOrigin {
  std::string repository = {}, commit = {};
  std::vector<HubFile> files = {};       // none: the model is of no hub
  bool is_known() const { return !files.empty(); }
  bool operator==(const HubOrigin&) const = default;
};
struct ByteRange { std::uint32_t file_index = 0; std::uint64_t offset = 0, bytes = 0; };

// --- Loading a model (any node → the head's node) ---------------------------------------------------------------------
struct LoadModel {
  std::uint64_t ticket = 0;              // the asker's number; comes back in load_progress and load_result
  std::string model;
  std::vector<std::string> nodes;        // names to use, in ring order; empty: the planner chooses
  std::vector<std::uint32_t> layers;     // layers per node of `nodes`; empty: the planner chooses
  std::string mode = "auto";             // auto | pipeline | tensor
  std::uint32_t context_tokens = 0;      // per sequence; 0: default
  std::uint32_t sequences = 0;           // 0: default
  // Where a placement moves: how often it has lately, this time included. 0: a client asks.
  std::uint32_t moves = 0;
  std::string why_moved;                 // or why it is loaded again: a sentence, the placement's detail
  // For requests whose placement was lost: whatever is loaded or being loaded meanwhile will do, and the wishes count only
  // where nothing is.
  bool any_will_do = false;
  // Of a model that no machine has whole: which file of that name is meant, and where its bytes come from. The asker has
  // its header.
  std::string fingerprint = {};
  HubOrigin origin = {};
};
struct LoadProgress {
  std::uint64_t ticket = 0; std::string text; std::uint64_t done_bytes = 0, total_bytes = 0;
  std::string machine = {};              // that fetches, where these are bytes of the model on their way to a disk
};
struct LoadResult { std::uint64_t ticket = 0; bool ok = false; Placement placement; std::string code, message; };
struct UnloadModel {
  std::uint64_t ticket = 0; std::string model;
  bool replaced = false;                 // another head loads it now, and its requests go on there
};

// --- One stage (head's node → stage's node → its runner) --------------------------------------------------------------
struct PrepareStage {
  PlacementId placement;
  Epoch epoch;
  std::string model, fingerprint;
  std::vector<std::string> files;        // node → runner only: paths, split parts in order. Empty between nodes: a peer
                                         // names a model, never a path
  std::uint32_t stage_index = 0, stage_count = 1;
  LayerRange layers;
  bool is_head = false;                  // also holds embedding, output head and sampler
  std::uint32_t context_tokens = 0, sequences = 0;
  std::uint32_t threads = 1;
  ActivationType activation_type = ActivationType::f32;
  std::string ring_key;                  // 32 hex digits, proves to the neighbour that a connection belongs to this ring
  NodeId source;                         // a node that has the whole file, for those that lack their part
  // Tensor parallelism: the stage is cut into a slice of every layer per shard. shares: how much of the work each shard of
  // the whole stage does, relative to the others; empty: this machine alone holds the stage, in as many shards as it
  // measured to be best. This member computes shards [first_shard, first_shard + shards); member 0 stands in the ring.
  std::vector<double> shares;
  std::uint32_t member = 0, members = 1;
  std::uint32_t first_shard = 0, shards = 0;
  // Of the slowest link between two of the members, as measured: what they overlap of computing and exchanging hangs on
  // it, and they must all do alike. 0: not known.
  double exchange_bytes_per_second = 0;
  // Where no machine has the whole file: the hub's, what of it this machine is to fetch from there itself, and the
  // placement's other machines, which have or fetch the rest of what it needs.
  HubOrigin origin = {};
  std::vector<ByteRange> downloads = {};
  std::vector<NodeId> others = {};
  bool embeds = false;                   // the model makes vectors of texts: one machine holds all of it, there is no ring
  // What a step of 1, 2, 4, 8 … rows of answers will take in the whole ring, by what its machines measured; or empty.
  std::vector<double> step_seconds = {};
};
struct StageReady {
  PlacementId placement; Epoch epoch; std::uint32_t stage_index = 0, member = 0;
  std::uint16_t port = 0;                // where its upstream neighbour and the members after it connect
  std::uint64_t weight_bytes = 0, kv_bytes = 0, compute_bytes = 0;
};
// Connect downstream to (node, port), and to the members of the own stage that stand before this one; node → runner
// additionally fills each `address`. A member that is not the first has no downstream: its port is 0.
struct MemberAddress { NodeId node; std::uint16_t port = 0; std::string address; };
struct ConnectRing {
  PlacementId placement; Epoch epoch; NodeId next; std::uint16_t port = 0; std::string address;
  std::vector<MemberAddress> members;    // 0 … own - 1
};
struct RingConnected { PlacementId placement; Epoch epoch; std::uint32_t stage_index = 0, member = 0; };
struct StopStage { PlacementId placement; Epoch epoch; };
struct StageFailed { PlacementId placement; Epoch epoch; std::uint32_t stage_index = 0; std::string code, message; };
struct RingHello {
  PlacementId placement; Epoch epoch; std::uint32_t stage_index = 0; std::string ring_key;
  std::uint32_t member = 0;              // of the caller; another than 0 calls a member of its own stage
};
// From a runner by its node to the head's, once a second while busy: what one machine did of a stage so far.
struct StageStats {
  PlacementId placement;
  std::uint32_t stage_index = 0, member = 0;
  std::uint64_t steps = 0, rows = 0, tokens = 0;  // tokens: the head's alone to count
  double compute_seconds = 0, wait_seconds = 0;
  std::uint32_t running = 0, queued = 0;
  // What the steps of one row took (plain decoding): this stage's computing, on the head also the whole way round.
  std::uint64_t single_steps = 0;
  double single_compute_seconds = 0, single_round_seconds = 0;
  double exchange_seconds = 0;           // of compute_seconds, not of single_…: waiting for what other members send
  std::uint64_t single_positions = 0;    // of the rows of single_steps, summed: how much each had before it
  std::uint64_t sent_messages = 0, sent_bytes = 0;  // to the next stage and to the other members, with headers
};
// From a runner to its node, unasked, from when its ring stands: by a thread beside the one that computes, so whatever is
// computed. Waiting for other machines is no part of a step here.
struct RunnerPulse {
  std::uint64_t steps = 0;               // done so far
  double step_seconds = 0;               // how long the one under way has been computed; 0: none is
  double still_seconds = 0;              // of those, the last without any processor time
  double usual_seconds = 0;              // the most that steps of so many rows lately took; 0: not known yet
};

// --- Files (bulk connection): the asker sends header_request or range_request, gets range_data…, then range_end -------
struct HeaderRequest { std::string model, fingerprint; std::uint32_t file_index = 0; };
struct RangeRequest {
  std::string model, fingerprint; std::uint32_t file_index = 0; std::uint64_t offset = 0, bytes = 0;
  bool only_digest = false;              // no range_data, to compare; an older release sends the bytes all the same
};
// Measures the link: as many bytes as wanted come back as range_data, then range_end. At most limits::rate_bytes_max.
struct RateRequest { std::uint64_t bytes = 0; };
struct RangeEnd { bool ok = false; std::uint64_t bytes = 0, file_bytes = 0; std::uint32_t file_count = 1; std::string sha256, code, message; };

struct Goodbye { std::string reason; };

// --- Whether another member is gone or only the link to it (cluster/hearsay.h) ----------------------------------------
struct IsHeard { NodeId node; };
struct Heard { NodeId node; bool is_joined = false; std::uint64_t silence_ms = 0; };  // since it was heard last

#define FLOTILLA_CONTROL_MESSAGE(Type, name)  \
  Bytes encode(const Type& message);          \
  Result<Type> decode_##name(std::span<const std::byte> body);
FLOTILLA_CONTROL_MESSAGE(LoadModel, load_model)
FLOTILLA_CONTROL_MESSAGE(LoadProgress, load_progress)
FLOTILLA_CONTROL_MESSAGE(LoadResult, load_result)
FLOTILLA_CONTROL_MESSAGE(UnloadModel, unload_model)
FLOTILLA_CONTROL_MESSAGE(PrepareStage, prepare_stage)
FLOTILLA_CONTROL_MESSAGE(StageReady, stage_ready)
FLOTILLA_CONTROL_MESSAGE(ConnectRing, connect_ring)
FLOTILLA_CONTROL_MESSAGE(RingConnected, ring_connected)
FLOTILLA_CONTROL_MESSAGE(StopStage, stop_stage)
FLOTILLA_CONTROL_MESSAGE(StageFailed, stage_failed)
FLOTILLA_CONTROL_MESSAGE(RingHello, ring_hello)
FLOTILLA_CONTROL_MESSAGE(StageStats, stage_stats)
FLOTILLA_CONTROL_MESSAGE(RunnerPulse, runner_pulse)
FLOTILLA_CONTROL_MESSAGE(HeaderRequest, header_request)
FLOTILLA_CONTROL_MESSAGE(RangeRequest, range_request)
FLOTILLA_CONTROL_MESSAGE(RateRequest, rate_request)
FLOTILLA_CONTROL_MESSAGE(RangeEnd, range_end)
FLOTILLA_CONTROL_MESSAGE(Goodbye, goodbye)
FLOTILLA_CONTROL_MESSAGE(IsHeard, is_heard)
FLOTILLA_CONTROL_MESSAGE(Heard, heard)
#undef FLOTILLA_CONTROL_MESSAGE

}  // namespace flotilla
