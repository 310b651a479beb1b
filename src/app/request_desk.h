// Decides where requests go and where their tokens return. Two roles, often on one node:
//
//   entry  the node the client entered: knows whom to tell of each token, and keeps the request's journal
//   head   the node whose runner computes: knows which node each request came from
//
// The journal is the request's parameters and the tokens emitted so far; from it a later version resumes the request
// when a ring breaks. A request that finds its placement moving goes to where it moves, waiting where it must: of it
// nothing has been answered yet.
//
// In: requests of the server, generate, cancel and token_event frames, lost nodes, ended placements.
// Out: the same frames to the other role.  Thread: the loop's.
#pragma once

#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "app/head_desk.h"
#include "app/load_desk.h"
#include "app/node_context.h"
#include "app/stage_host.h"
#include "wire/generate.h"

namespace flotilla {

class RequestDesk {
 public:
  RequestDesk(NodeContext& context, const HeadDesk& heads, StageHost& stages, LoadDesk& loads)
      : context_(context), heads_(heads), stages_(stages), loads_(loads) {}

  // --- entry
  using OnToken = std::function<void(TokenEvent)>;
  void on_opened(const Placement& placement);  // requests with its id may come from now on
  void generate(GenerateRequest request, OnToken on_token);
  void cancel(RequestId id);

  // --- head
  void on_generate(const NodeId& entry, Frame frame);
  void on_cancel(const NodeId& entry, const Frame& frame);

  // --- both: a token from a runner of ours (from self) or from another head
  void on_token_event(const NodeId& from, Frame frame);

  void on_node_lost(const NodeId& node, const Error& cause);
  void on_placement_ended(PlacementId placement, const Error& cause);  // a placement this node headed
  std::size_t open_requests() const { return entered_.size(); }
  std::size_t running(PlacementId placement) const;  // a placement headed here: requests it has not answered yet

 private:
  struct Entered {
    NodeId head;  // none: it waits for a placement
    GenerateRequest journal_request;
    std::vector<TokenId> journal_tokens;
    OnToken on_token;
    bool is_heard = false;    // something of the answer has come
    std::uint32_t tries = 0;  // to find the placement that moved
  };
  struct Opened {
    std::string model, fingerprint;
  };
  struct Routed {
    NodeId entry;
    PlacementId placement;
  };
  void send(RequestId id);
  const Placement* answering(const ClusterView& view, PlacementId id) const;
  bool is_moving(const ClusterView& view, PlacementId id) const;
  void look_again(RequestId id);
  void deliver(TokenEvent event);
  void fail_request(RequestId id, const Error& cause);

  NodeContext& context_;
  const HeadDesk& heads_;
  StageHost& stages_;
  LoadDesk& loads_;
  std::map<PlacementId, Opened> opened_;
  std::unordered_map<RequestId, Entered> entered_;
  std::unordered_map<RequestId, Routed> routed_;
};

}  // namespace flotilla
