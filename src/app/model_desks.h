// The desks that have to do with models and requests, tied to each other: what every node has of them, be it one of a
// cluster or one of a simulation (sim/).
// In: frames of other nodes and of this one, nodes lost.  Out: as each desk says.  Owns: the desks.  Thread: the
// loop's.
#pragma once

#include <cstdint>

#include "app/embed_desk.h"
#include "app/head_desk.h"
#include "app/header_desk.h"
#include "app/load_desk.h"
#include "app/move_desk.h"
#include "app/node_context.h"
#include "app/reload_desk.h"
#include "app/request_desk.h"
#include "app/stage_host.h"

namespace flotilla {

struct ModelDesks {
  ModelDesks(NodeContext& context, std::uint64_t memory_offered_bytes, std::uint32_t threads);
  ModelDesks(const ModelDesks&) = delete;
  ModelDesks& operator=(const ModelDesks&) = delete;

  // True where it was for one of these. A body that does not decode is logged and dropped, the connection lives on.
  bool on_frame(const NodeId& from, Frame& frame);
  void on_lost(const NodeId& peer, const Error& cause);
  // Memory of what is offered now, models, placements, who waits.
  void describe(NodeInfo& info, std::uint64_t offered_bytes) const;

  NodeContext& context;
  StageHost stages;
  HeaderDesk headers;
  HeadDesk heads;
  LoadDesk loads;
  ReloadDesk reloads;
  RequestDesk requests;
  EmbedDesk embeds;
  MoveDesk moves;
};

}  // namespace flotilla
