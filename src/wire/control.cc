#include "wire/control.h"

#include "wire/placement_fields.h"

namespace flotilla {
namespace {

constexpr std::size_t files_max = 1024;  // parts of a split model; "-00001-of-00512" exists
constexpr std::uint32_t threads_max = 4096, shards_max = 1024, members_max = limits::nodes_max;
constexpr std::size_t downloads_max = 16384;  // ranges of one stage
constexpr double seconds_max = 1e12, exchange_rate_max = 1e15;
constexpr std::size_t step_sizes_max = 16;
constexpr double step_seconds_min = 1e-9;  // they are divided by

}  // namespace

// What stages and rings have in common: which placement, in which of its lives.
template <class Map>
void describe_placed(Map& map, auto& m) {
  map.field("placement", m.placement.value);
  map.field("epoch", m.epoch);
}

template <class Map>
void describe_stage_index(Map& map, auto& m) {
  map.field("stage_index", m.stage_index, Within{0u, limits::nodes_max - 1});
}

template <class Map>
void describe_member(Map& map, auto& m) {
  map.added("member", m.member, Within{0u, members_max - 1});
}

template <class Map>
void describe_failure(Map& map, auto& m) {
  map.field("code", m.code, Text::name);
  map.field("message", m.message, Text::prose);
}

template <class Map>
void describe(Map& map, Is<HubFile> auto& m) {
  map.field("path", m.path, Text::path);
  map.field("bytes", m.bytes);
  map.field("sha256", m.sha256, Text::hex);
}

template <class Map>
void describe(Map& map, Is<HubOrigin> auto& m) {
  map.field("repository", m.repository, Text::name);
  map.field("commit", m.commit, Text::hex);
  map.list("files", m.files, Count{0, files_max});
}

template <class Map>
void describe(Map& map, Is<ByteRange> auto& m) {
  map.field("file_index", m.file_index, Within{0u, files_max - 1});
  map.field("offset", m.offset);
  map.field("bytes", m.bytes);
  map.must(m.offset <= UINT64_MAX - m.bytes, "expected a range of a file in {} but got one that ends beyond 2^64");
}

template <class Map>
void describe(Map& map, Is<LoadModel> auto& m) {
  map.field("ticket", m.ticket);
  map.field("model", m.model, Text::name);
  map.list("nodes", m.nodes, Count{0, limits::nodes_max}, Text::name);
  map.list("layers", m.layers, Count{0, limits::nodes_max}, Within{0u, limits::layers_max});
  map.field("mode", m.mode, Text::name);
  map.field("context_tokens", m.context_tokens, Within{0u, limits::context_tokens_max});
  map.field("sequences", m.sequences, Within{0u, limits::sequences_max});
  map.added("moves", m.moves);
  map.added("why_moved", m.why_moved, Text::prose);
  map.added("any_will_do", m.any_will_do);
  map.added("fingerprint", m.fingerprint, Text::hex);
  map.added("origin", m.origin);
}

template <class Map>
void describe(Map& map, Is<LoadProgress> auto& m) {
  map.field("ticket", m.ticket);
  map.field("text", m.text, Text::prose);
  map.field("done_bytes", m.done_bytes);
  map.field("total_bytes", m.total_bytes);
  map.added("machine", m.machine, Text::name);
}

// A load that failed before it was planned has no stages, and so no placement worth sending.
void describe(MapWriter& map, const LoadResult& m) {
  map.field("ticket", m.ticket);
  map.field("ok", m.ok);
  if (!m.placement.stages.empty()) map.field("placement", m.placement);
  describe_failure(map, m);
}

void describe(MapReader& map, LoadResult& m) {
  map.field("ticket", m.ticket);
  map.field("ok", m.ok);
  std::optional<Placement> placement;
  map.optional("placement", placement);
  map.must(placement || !m.ok, "expected a placement in {} of a load that went well but found none");
  if (placement) m.placement = *std::move(placement);
  describe_failure(map, m);
}

template <class Map>
void describe(Map& map, Is<UnloadModel> auto& m) {
  map.field("ticket", m.ticket);
  map.field("model", m.model, Text::name);
  map.added("replaced", m.replaced);
}

template <class Map>
void describe(Map& map, Is<PrepareStage> auto& m) {
  describe_placed(map, m);
  map.field("model", m.model, Text::name);
  map.field("fingerprint", m.fingerprint, Text::hex);
  map.list("files", m.files, Count{0, files_max}, Text::path);
  describe_stage_index(map, m);
  map.field("stage_count", m.stage_count, Within{1u, limits::nodes_max});
  map.must(m.stage_index < m.stage_count, "expected a stage_index below stage_count in {} but got one beyond");
  map.field("layers", m.layers);
  map.field("is_head", m.is_head);
  map.field("context_tokens", m.context_tokens, Within{0u, limits::context_tokens_max});
  map.field("sequences", m.sequences, Within{0u, limits::sequences_max});
  map.field("threads", m.threads, Within{0u, threads_max});
  map.choice("activation_type", m.activation_type, ActivationType::bf16);
  map.field("ring_key", m.ring_key, Text::name);
  map.field("source", m.source);
  map.added_list("shares", m.shares, Count{0, shards_max}, Within{0.0, 1.0});
  map.added("member", m.member, Within{0u, members_max - 1});
  map.added("members", m.members, Within{1u, members_max});
  map.must(m.member < m.members, "expected a member below members in {} but got one beyond");
  map.added("first_shard", m.first_shard, Within{0u, shards_max});
  map.added("shards", m.shards, Within{0u, shards_max});
  map.added("exchange_bytes_per_second", m.exchange_bytes_per_second, Within{0.0, exchange_rate_max});
  map.added("origin", m.origin);
  map.added_list("downloads", m.downloads, Count{0, downloads_max});
  map.added_list("others", m.others, Count{0, limits::nodes_max});
  map.added("embeds", m.embeds);
  map.added_list("step_seconds", m.step_seconds, Count{0, step_sizes_max}, Within{step_seconds_min, seconds_max});
  map.must(m.shares.empty() || m.first_shard + m.shards <= m.shares.size(),
           "expected first_shard and shards within shares in {} but got some beyond");
}

template <class Map>
void describe(Map& map, Is<StageReady> auto& m) {
  describe_placed(map, m);
  describe_stage_index(map, m);
  describe_member(map, m);
  map.field("port", m.port);
  map.field("weight_bytes", m.weight_bytes);
  map.field("kv_bytes", m.kv_bytes);
  map.field("compute_bytes", m.compute_bytes);
}

template <class Map>
void describe(Map& map, Is<MemberAddress> auto& m) {
  map.field("node", m.node);
  map.field("port", m.port);
  map.field("address", m.address, Text::name);
}

template <class Map>
void describe(Map& map, Is<ConnectRing> auto& m) {
  describe_placed(map, m);
  map.field("next", m.next);
  map.field("port", m.port);
  map.field("address", m.address, Text::name);
  map.added_list("members", m.members, Count{0, members_max});
}

template <class Map>
void describe(Map& map, Is<RingConnected> auto& m) {
  describe_placed(map, m);
  describe_stage_index(map, m);
  describe_member(map, m);
}

template <class Map>
void describe(Map& map, Is<StopStage> auto& m) {
  describe_placed(map, m);
}

template <class Map>
void describe(Map& map, Is<StageFailed> auto& m) {
  describe_placed(map, m);
  describe_stage_index(map, m);
  describe_failure(map, m);
}

template <class Map>
void describe(Map& map, Is<RingHello> auto& m) {
  describe_placed(map, m);
  describe_stage_index(map, m);
  map.field("ring_key", m.ring_key, Text::name);
  describe_member(map, m);
}

template <class Map>
void describe(Map& map, Is<StageStats> auto& m) {
  map.field("placement", m.placement.value);
  describe_stage_index(map, m);
  map.field("steps", m.steps);
  map.field("rows", m.rows);
  map.field("tokens", m.tokens);
  map.field("compute_seconds", m.compute_seconds);
  map.field("wait_seconds", m.wait_seconds);
  map.field("running", m.running);
  map.field("queued", m.queued);
  map.added("single_steps", m.single_steps);
  map.added("single_compute_seconds", m.single_compute_seconds, Within{0.0, seconds_max});
  map.added("single_round_seconds", m.single_round_seconds, Within{0.0, seconds_max});
  map.added("exchange_seconds", m.exchange_seconds, Within{0.0, seconds_max});
  map.added("single_positions", m.single_positions);
  describe_member(map, m);
  map.added("sent_messages", m.sent_messages);
  map.added("sent_bytes", m.sent_bytes);
}

template <class Map>
void describe(Map& map, Is<RunnerPulse> auto& m) {
  map.field("steps", m.steps);
  map.field("step_seconds", m.step_seconds, Within{0.0, seconds_max});
  map.field("still_seconds", m.still_seconds, Within{0.0, seconds_max});
  map.field("usual_seconds", m.usual_seconds, Within{0.0, seconds_max});
}

// A file of a model, by what it is, never by where it lies.
template <class Map>
void describe_file(Map& map, auto& m) {
  map.field("model", m.model, Text::name);
  map.field("fingerprint", m.fingerprint, Text::hex);
  map.field("file_index", m.file_index, Within{0u, files_max - 1});
}

template <class Map>
void describe(Map& map, Is<HeaderRequest> auto& m) {
  describe_file(map, m);
}

template <class Map>
void describe(Map& map, Is<RangeRequest> auto& m) {
  describe_file(map, m);
  map.field("offset", m.offset);
  map.field("bytes", m.bytes);
  map.must(m.offset <= UINT64_MAX - m.bytes, "expected a range of a file in {} but got one that ends beyond 2^64");
  map.added("only_digest", m.only_digest);
}

template <class Map>
void describe(Map& map, Is<RateRequest> auto& m) {
  map.field("bytes", m.bytes, Within{std::uint64_t{0}, std::uint64_t{limits::rate_bytes_max}});
}

template <class Map>
void describe(Map& map, Is<RangeEnd> auto& m) {
  map.field("ok", m.ok);
  map.field("bytes", m.bytes);
  map.field("file_bytes", m.file_bytes);
  map.field("file_count", m.file_count, Within{0u, files_max});
  map.field("sha256", m.sha256, Text::hex);
  describe_failure(map, m);
}

template <class Map>
void describe(Map& map, Is<Goodbye> auto& m) {
  map.field("reason", m.reason, Text::prose);
}

template <class Map>
void describe(Map& map, Is<IsHeard> auto& m) {
  map.field("node", m.node);
}

template <class Map>
void describe(Map& map, Is<Heard> auto& m) {
  map.field("node", m.node);
  map.field("is_joined", m.is_joined);
  map.field("silence_ms", m.silence_ms);
}

#define FLOTILLA_CONTROL_MESSAGE(Type, name)                        \
  Bytes encode(const Type& message) { return encode_map(message); } \
  Result<Type> decode_##name(std::span<const std::byte> body) { return decode_map<Type>(#name, body); }
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
