// Decides where requests go and where their tokens return. Two roles, often on one node:
//
//   entry  the node the client entered: knows whom to tell of each token, and keeps the request's journal
//   head   the node whose runner computes: knows which node each request came from
//
// The journal is the request with the tokens that have come of it. Where the placement that computes it is lost, the
// entry node has the model found again (ReloadDesk) and sends the journal there: the answer goes on with the next
// token, and its client notices a pause. A request that finds its placement moving waits in the same way for where it
// moves; once something of it has been answered there, a move does not break it off.
//
// In: requests of the server, generate, cancel and token_event frames, lost nodes, ended placements.
// Out: the same frames to the other role.  Thread: the loop's.
// Never: hands on a token twice or out of order, whatever a head sends.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "app/head_desk.h"
#include "app/node_context.h"
#include "app/reload_desk.h"
#include "app/request_routes.h"
#include "app/stage_host.h"
#include "app/tallies.h"
#include "wire/generate.h"

namespace flotilla {

class RequestDesk {
 public:
  RequestDesk(NodeContext& context, const HeadDesk& heads, StageHost& stages, ReloadDesk& reloads)
      : context_(context), heads_(heads), stages_(stages), reloads_(reloads) {}

  // --- entry
  using OnToken = std::function<void(TokenEvent)>;
  void on_opened(const Placement& placement);  // requests with its id may come from now on
  void generate(GenerateRequest request, OnToken on_token);
  void cancel(RequestId id);
  bool waits(RequestId id) const;  // for its model to be loaded again

  // --- head
  void on_generate(const NodeId& entry, Frame frame);
  void on_cancel(const NodeId& entry, const Frame& frame);

  // --- both: a token from a runner of ours (from self) or from another head
  void on_token_event(const NodeId& from, Frame frame);

  void on_node_lost(const NodeId& node, const Error& cause);
  // A placement this node headed.
  void on_placement_ended(PlacementId placement, const Error& cause, GoesOn goes_on);
  const ResumeTally& tally() const { return tally_; }
  std::size_t open_requests() const { return entered_.size(); }
  std::size_t routed_requests() const { return routed_.size(); }
  std::size_t running(PlacementId placement) const;  // a placement headed here: requests it has not answered yet

 private:
  struct Entered {
    NodeId head;              // none: it waits for a placement
    GenerateRequest journal;  // as it was sent last, and in `resumed` all tokens handed on
    LostModel model;          // what answers it, or did
    OnToken on_token;
    bool is_heard = false;                       // something of the answer has come
    std::optional<std::uint32_t> prompt_reused;  // when it was read first: what its usage says
    // Since the last new token:
    std::uint32_t losses = 0;
    std::optional<ReloadDesk::Clock::time_point> waits_until;
    bool waits_for_room = false;  // where it was sent again, others are ahead
  };
  void send(RequestId id, const Placement& placement);
  void on_unsent(RequestId id, const Error& cause);
  Status check_head(const Entered& entered, const ClusterView& view) const;
  const Placement* answering(const ClusterView& view, PlacementId id) const;
  bool is_moving(const ClusterView& view, PlacementId id) const;
  void find_another(RequestId id, PlacementId gone, const Error& cause);
  void on_found(RequestId id, const Result<Placement>& found);
  bool goes_on(RequestId id, Entered& entered, const TokenEvent& failed);
  bool waits_its_turn(RequestId id, Entered& entered, const Error& cause);
  bool fits_journal(Entered& entered, TokenEvent& event);
  void deliver(TokenEvent event);
  void fail_request(RequestId id, const Error& cause);
  void forget(RequestId id);

  NodeContext& context_;
  const HeadDesk& heads_;
  StageHost& stages_;
  ReloadDesk& reloads_;
  std::map<PlacementId, LostModel> opened_;
  std::unordered_map<RequestId, Entered> entered_;
  std::unordered_map<RequestId, RequestId>
      sent_as_;  // what was sent again goes by a new id: that, and the one it has here
  RequestRoutes routed_;
  ResumeTally tally_;
};

}  // namespace flotilla
