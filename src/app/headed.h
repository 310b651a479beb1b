// Inside HeadDesk only: a placement that this node heads.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "app/head_desk.h"

namespace flotilla {

struct HeadDesk::Headed {
  Placement placement;
  LoadModel order;
  Plan plan;
  StoredModel stored;                                         // its header, and the hub it comes from
  bool is_empty = false;                                      // its stages are gone, it lives on for those who wait
  std::uint32_t losses = 0;                                   // while it was being loaded, of machines that are here
  bool has_successor = false;                                 // it has moved, and answers those who came before
  std::vector<std::vector<std::optional<StageReady>>> ready;  // per stage and member
  std::vector<std::vector<bool>> connected;                   // per stage and member
  std::vector<Asker> askers;
  std::unique_ptr<Alarm> gives_way;  // another head loads it: looks whether that is done
  StatsPerStage stats;
  Instant began{};
};

}  // namespace flotilla
