#include "app/model_desks.h"

#include <algorithm>
#include <utility>

#include "app/unpack.h"

namespace flotilla {

ModelDesks::ModelDesks(NodeContext& shared, std::uint64_t memory_offered_bytes, std::uint32_t threads)
    : context(shared),
      stages(shared, memory_offered_bytes, threads),
      headers(shared),
      heads(shared, headers,
            [this](PlacementId id, const Error& cause, GoesOn goes_on) {
              requests.on_placement_ended(id, cause, goes_on);
              embeds.on_placement_ended(id, cause, goes_on);
            }),
      loads(shared, headers),
      reloads(shared, loads),
      requests(shared, heads, stages, reloads),
      embeds(shared, heads, stages, reloads),
      moves(shared, headers, heads, loads, [this](PlacementId id) { return requests.running(id); }) {}

bool ModelDesks::on_frame(const NodeId& from, Frame& frame) {
  const auto& body = frame.body;
  switch (frame.header.kind) {
    case FrameKind::load_model:
      unpack(decode_load_model(body), frame, [&](const auto& message) { heads.on_load(from, message); });
      return true;
    case FrameKind::unload_model:
      unpack(decode_unload_model(body), frame, [&](const auto& message) {
        moves.on_unload(message);
        heads.on_unload(from, message);
      });
      return true;
    case FrameKind::load_progress:
      unpack(decode_load_progress(body), frame, [&](const auto& message) {
        heads.on_progress(from, message);
        loads.on_progress(from, message);
      });
      return true;
    case FrameKind::load_result:
      unpack(decode_load_result(body), frame, [&](const auto& message) { loads.on_result(from, message); });
      return true;
    case FrameKind::prepare_stage:
      unpack(decode_prepare_stage(body), frame, [&](auto message) { stages.on_prepare(from, std::move(message)); });
      return true;
    case FrameKind::connect_ring:
      unpack(decode_connect_ring(body), frame, [&](auto message) { stages.on_connect_ring(from, std::move(message)); });
      return true;
    case FrameKind::stop_stage:
      unpack(decode_stop_stage(body), frame, [&](const auto& message) { stages.on_stop(from, message); });
      return true;
    case FrameKind::stage_ready:
      unpack(decode_stage_ready(body), frame, [&](const auto& message) { heads.on_ready(from, message); });
      return true;
    case FrameKind::ring_connected:
      unpack(decode_ring_connected(body), frame, [&](const auto& message) { heads.on_connected(from, message); });
      return true;
    case FrameKind::stage_failed:
      unpack(decode_stage_failed(body), frame, [&](const auto& message) { heads.on_failed(from, message); });
      return true;
    case FrameKind::stage_stats:
      unpack(decode_stage_stats(body), frame, [&](const auto& message) { heads.on_stats(from, message); });
      return true;
    case FrameKind::generate:
      requests.on_generate(from, std::move(frame));
      return true;
    case FrameKind::cancel:
      requests.on_cancel(from, frame);
      return true;
    case FrameKind::token_event:
      requests.on_token_event(from, std::move(frame));
      return true;
    case FrameKind::embed:
      embeds.on_embed(from, std::move(frame));
      return true;
    case FrameKind::embedding:
      embeds.on_embedding(from, std::move(frame));
      return true;
    default:
      return false;
  }
}

void ModelDesks::on_lost(const NodeId& peer, const Error& cause) {
  heads.on_node_lost(peer, cause);
  stages.on_node_lost(peer);
  loads.on_node_lost(peer, cause);
  requests.on_node_lost(peer, cause);
  embeds.on_node_lost(peer, cause);
}

void ModelDesks::describe(NodeInfo& info, std::uint64_t offered_bytes) const {
  info.memory_bytes = offered_bytes;
  info.memory_free_bytes = info.memory_bytes - std::min(stages.memory_taken_bytes(), info.memory_bytes);
  for (const StoredModel& model : context.store.list()) info.models.push_back(model.info);
  info.placements = heads.placements();
  info.waiting = reloads.waiting();
}

}  // namespace flotilla
