// Moves the placements this node heads to where they are quicker, once machines or links have changed (planner/replan.h
// says when it pays), and away from machines that run on battery and offer nothing any more. In: the view, time, what
// was loaded and by which wishes.  Out: orders to load, placements closed and ended, a sentence why in the log and in
// each placement's detail.  Owns: the moves under way, one at a time.
// Thread: the loop's.
//
//   beside   the new placement is loaded while the old one answers; then requests go to the new one, and the old one
//            ends with its last answer. Nobody waits. Where memory holds both.
//   after    new requests wait; the old one ends once its answers have; then the new one is loaded. Where answers take
//            longer than close_max the move is put off. If the new one does not load, the old one is loaded again.
//
// Never: breaks off an answer, or goes against the wishes the model was loaded with.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "app/head_desk.h"
#include "app/header_desk.h"
#include "app/load_desk.h"
#include "app/node_context.h"
#include "app/ticker.h"
#include "planner/replan.h"

namespace flotilla {

class MoveDesk {
 public:
  // How many requests a placement headed here has not answered yet.
  using Running = std::function<std::size_t(PlacementId)>;
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  MoveDesk(NodeContext& context, HeaderDesk& headers, HeadDesk& heads, LoadDesk& loads, Running running)
      : MoveDesk(context, headers, heads, loads, std::move(running), context.now) {}
  MoveDesk(NodeContext& context, HeaderDesk& headers, HeadDesk& heads, LoadDesk& loads, Running running, Now now);

  void begin();  // looks each second
  void stop();
  void look();                               // at all placements headed here: once
  void on_unload(const UnloadModel& order);  // before it ends here: what is on its way elsewhere is not wanted either

 private:
  enum class Phase : std::uint8_t {
    in_service,
    loading_beside,  // the new one; this one answers
    ending,          // the new one is ready; this one answers those who came before
    closing,         // new requests wait for the last answers
    emptied,         // its machines are telling that their memory is free
    loading_after,   // the new one; requests wait
  };
  struct Finding {
    Plan better;
    Foretold now, then;
    std::string withdrawal;  // of a machine that is to be relieved; empty: it is for speed
  };
  // What a finding rests on: the state of each node, and the wishes. It holds as long as nobody says anything new.
  struct Basis {
    std::vector<std::tuple<NodeId, MemberState, std::uint64_t, std::uint64_t>> nodes;
    LoadModel order;
  };
  struct Watched {
    ReplanWatch watch;
    Phase phase = Phase::in_service;
    Clock::time_point until{};  // of the phase, where it has an end
    std::optional<ModelShape> shape;
    Clock::time_point shape_wanted_at{};  // asked for then, while there is none
    Basis basis;
    std::optional<Finding> finding;
    NodeId target;  // heads the new one
    std::string why;
  };
  // Loaded for a placement that was gone by then.
  struct Surplus {
    Placement placement;
    Clock::time_point until;  // then it is the model's only one
  };

  void begin_watching(const Placement& placement);
  void want_shape(PlacementId id, Watched& watched);
  void step(PlacementId id, Watched& watched);
  void examine(PlacementId id, Watched& watched);
  std::optional<Finding> find(PlacementId id, const ModelShape& shape, const ClusterView& view) const;
  void start(PlacementId id, Watched& watched);
  void close_or_put_off(PlacementId id, Watched& watched);
  void end_or_stay(PlacementId id, Watched& watched);
  void put_off(Watched& watched);
  bool is_wished_still(PlacementId id, const Watched& watched) const;
  void load(PlacementId id, Watched& watched, Phase phase);
  void on_loaded(PlacementId id, const Result<Placement>& loaded);
  void on_beside(PlacementId id, Watched& watched, const Result<Placement>& loaded);
  void on_after(PlacementId id, Watched& watched, const Result<Placement>& loaded);
  bool drop_surplus(const Placement& loaded);
  void give_back(const Placement& loaded);
  bool is_moving() const;

  NodeContext& context_;
  HeaderDesk& headers_;
  HeadDesk& heads_;
  LoadDesk& loads_;
  const Running running_;
  const Now now_;
  Ticker ticker_;
  std::map<PlacementId, Watched> watched_;
  std::vector<Surplus> surplus_;
};

}  // namespace flotilla
