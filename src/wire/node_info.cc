#include "wire/node_info.h"

#include "wire/placement_fields.h"

namespace flotilla {
namespace {

// What one node may announce. All of it at its largest still fits a control frame many times over, except the models'
// names, which the frame's own limit bounds.
constexpr std::size_t devices_max = 64, models_max = 4096, placements_max = 64;
constexpr std::uint32_t threads_max = 4096;
constexpr std::size_t kernels_max = 64, links_max = limits::nodes_max;
// A slower machine is none, nor a quicker one; the bounds keep what a planner computes from these numbers finite.
constexpr double seconds_min = 1e-9, seconds_max = 1e6, rate_min = 1, rate_max = 1e15;

}  // namespace

template <class Map>
void describe(Map& map, Is<DeviceInfo> auto& m) {
  map.field("kind", m.kind, Text::name);
  map.field("description", m.description, Text::name);
  map.field("threads", m.threads, Within{0u, threads_max});
  map.field("memory_bytes", m.memory_bytes);
}

template <class Map>
void describe(Map& map, Is<ModelInfo> auto& m) {
  map.field("name", m.name, Text::name);
  map.field("fingerprint", m.fingerprint, Text::hex);
  map.field("file_bytes", m.file_bytes);
  map.field("complete", m.complete);
}

template <class Map>
void describe(Map& map, Is<KernelRate> auto& m) {
  map.field("type", m.type, Text::name);
  map.list("seconds_per_gib", m.seconds_per_gib, Count{kernel_rows.size(), kernel_rows.size()},
           Within{seconds_min, seconds_max});
}

template <class Map>
void describe(Map& map, Is<MachineRates> auto& m) {
  map.field("shards", m.shards, Within{1u, threads_max});
  map.field("threads_per_shard", m.threads_per_shard, Within{1u, threads_max});
  map.list("kernels", m.kernels, Count{0, kernels_max});
  map.field("memory_bytes_per_second", m.memory_bytes_per_second, Within{0.0, rate_max});
  map.field("layer_seconds", m.layer_seconds, Within{0.0, seconds_max});
  map.field("attention_bytes_per_second", m.attention_bytes_per_second, Within{0.0, rate_max});
  // Named when attention took so many rows in tiles of their own; within a protocol version a field keeps its name.
  map.added("attention_tile_bytes_per_second", m.attention_prompt_bytes_per_second, Within{0.0, rate_max});
}

template <class Map>
void describe(Map& map, Is<LinkRate> auto& m) {
  map.field("peer", m.peer);
  map.field("latency_seconds", m.latency_seconds, Within{0.0, seconds_max});
  map.field("bytes_per_second", m.bytes_per_second, Within{rate_min, rate_max});
  map.field("interface", m.interface, Text::name);
}

template <class Map>
void describe(Map& map, Is<WaitingRequests> auto& m) {
  map.field("model", m.model, Text::name);
  map.field("requests", m.requests);
  map.field("detail", m.detail, Text::prose);
}

template <class Map>
void describe(Map& map, Is<StandbyCopy> auto& m) {
  map.field("model", m.model, Text::name);
  map.field("fingerprint", m.fingerprint, Text::hex);
  map.field("done_bytes", m.done_bytes);
  map.field("total_bytes", m.total_bytes);
}

template <class Map>
void describe(Map& map, Is<NodeInfo> auto& m) {
  map.field("id", m.id);
  map.field("name", m.name, Text::name);
  map.field("version", m.version, Text::name);
  map.field("incarnation", m.incarnation);
  map.field("revision", m.revision);
  map.field("memory_bytes", m.memory_bytes);
  map.field("memory_free_bytes", m.memory_free_bytes);
  map.list("devices", m.devices, Count{1, devices_max});
  map.list("models", m.models, Count{0, models_max});
  map.list("placements", m.placements, Count{0, placements_max});
  map.field("api_port", m.api_port);
  map.field("cluster_port", m.cluster_port);
  map.added("rates", m.rates);
  map.added_list("links", m.links, Count{0, links_max});
  map.added_list("waiting", m.waiting, Count{0, models_max});
  map.added("standby_bytes", m.standby_bytes);
  map.added_list("standbys", m.standbys, Count{0, models_max});
  map.field("may_sign", m.may_sign);
  map.added("on_battery", m.on_battery);
  map.added("keeps_constraints", m.keeps_constraints);
  map.added("battery_percent", m.battery_percent, Within{0u, 100u});
}

std::string_view to_string(PlacementState state) {
  switch (state) {
    case PlacementState::loading:
      return "loading";
    case PlacementState::ready:
      return "ready";
    case PlacementState::failed:
      return "failed";
    case PlacementState::unloading:
      return "unloading";
  }
  return "unknown";
}

Bytes encode(const NodeInfo& info) { return encode_map(info); }
Result<NodeInfo> decode_node_info(std::span<const std::byte> body) { return decode_map<NodeInfo>("node_info", body); }

}  // namespace flotilla
