// Inside wire only: the fields of a placement and its parts, which several messages carry.
#pragma once

#include "base/limits.h"
#include "wire/fields.h"
#include "wire/node_info.h"

namespace flotilla {

template <class Map>
void describe(Map& map, Is<Epoch> auto& m) {
  map.field("incarnation", m.incarnation);
  map.field("counter", m.counter);
}

template <class Map>
void describe(Map& map, Is<LayerRange> auto& m) {
  map.field("first", m.first, Within{0u, limits::layers_max});
  map.field("end", m.end, Within{0u, limits::layers_max});
  map.must(m.first <= m.end, "expected layers in ascending order in {} but got an end before its first");
}

template <class Map>
void describe(Map& map, Is<PlacedStage> auto& m) {
  map.list("nodes", m.nodes, Count{1, limits::nodes_max});
  map.field("layers", m.layers);
  map.field("weight_bytes", m.weight_bytes);
  map.field("kv_bytes", m.kv_bytes);
  map.field("compute_bytes", m.compute_bytes);
  map.added_list("member_bytes", m.member_bytes, Count{0, limits::nodes_max});
}

template <class Map>
void describe(Map& map, Is<Placement> auto& m) {
  map.field("id", m.id.value);
  map.field("epoch", m.epoch);
  map.field("model", m.model, Text::name);
  map.field("fingerprint", m.fingerprint, Text::hex);
  map.choice("state", m.state, PlacementState::unloading);
  map.field("detail", m.detail, Text::prose);
  map.list("stages", m.stages, Count{1, limits::nodes_max});  // at least one, so that it has a head
  map.field("context_tokens", m.context_tokens, Within{0u, limits::context_tokens_max});
  map.field("sequences", m.sequences, Within{0u, limits::sequences_max});
  map.added("embeds", m.embeds);
  map.added("predicted_token_seconds", m.predicted_token_seconds, Within{0.0, 1e6});
  map.added("predicted_prompt_seconds", m.predicted_prompt_seconds, Within{0.0, 1e6});
  map.added("predicted_prompt_tokens", m.predicted_prompt_tokens);
}

}  // namespace flotilla
