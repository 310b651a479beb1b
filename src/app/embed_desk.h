// Decides which machine makes which texts into vectors. Two roles, often on one node:
//
//   entry  the node the client entered: parts requests into batches, sends each to the machine with the least work,
//          keeps it until it is answered
//   holder a node that holds the model: passes batches to its runner and what comes of them back
//
// An embedding model may be loaded on several machines, a placement each. Where one is lost, its batches are made by
// the others; where it was the only one, they wait until the model is loaded again (ReloadDesk).
//
// In: requests of the server, embed and embedding frames, lost nodes, ended placements.  Out: the same frames to the
// other role.  Owns: requests that entered here.  Thread: the loop's. Never: gives a text's vector twice, or a
// request's before all of them are there.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "app/head_desk.h"
#include "app/node_context.h"
#include "app/reload_desk.h"
#include "app/request_routes.h"
#include "app/stage_host.h"
#include "scheduler/text_queue.h"
#include "wire/embedding.h"

namespace flotilla {

class EmbedDesk {
 public:
  EmbedDesk(NodeContext& context, const HeadDesk& heads, StageHost& stages, ReloadDesk& reloads)
      : context_(context), heads_(heads), stages_(stages), reloads_(reloads) {}

  // --- entry
  using OnVectors = std::function<void(Result<TextVectors>)>;
  void on_opened(const Placement& placement);  // requests with its id may come from now on
  // `request.placement` names the model. Calls back once, later, unless it is cancelled before.
  void embed(EmbedRequest request, OnVectors on_vectors);
  void cancel(RequestId id);

  // --- holder
  void on_embed(const NodeId& entry, Frame frame);

  // --- both: vectors from a runner of ours (from self) or from another holder
  void on_embedding(const NodeId& from, Frame frame);

  void on_node_lost(const NodeId& node, const Error& cause);
  // A placement this node headed.
  void on_placement_ended(PlacementId placement, const Error& cause, GoesOn goes_on);
  std::size_t open_requests() const { return entered_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;  // model and fingerprint
  struct Entered {
    EmbedRequest request;
    Key model;
    OnVectors on_vectors;
    TextVectors vectors;
    std::size_t missing = 0;   // texts
    std::uint32_t losses = 0;  // placements lost with texts of it, since the last vector
    PlacementId lost_with;     // the last of them: it counts once
  };
  // What all requests of one model share. Lives as long as one of them does.
  struct Pool {
    LostModel model;
    TextQueue waiting;
    std::optional<Placement> found;  // before the view has it
    std::set<PlacementId> gone;      // their nodes said so, the view may not know yet
    PlacementId last_gone;
    std::string why;               // the last one was lost, a sentence
    RequestId search;              // its number with ReloadDesk; {}: none is under way
    std::unique_ptr<Alarm> alarm;  // to look again
    std::size_t requests = 0;
  };
  struct Batch {
    Key model;
    PlacementId placement;
    NodeId holder;
    std::vector<TextQueue::Text> texts;
    std::uint64_t tokens = 0;
  };
  void dispatch(const Key& model);
  std::vector<Placement> holders(const Pool& pool) const;
  std::optional<Placement> least_busy(const std::vector<Placement>& placements) const;
  bool others_hold(const Batch& batch) const;
  Status send(const Key& model, Pool& pool, const Placement& placement);
  void search(const Key& model, Pool& pool);
  void on_found(const Key& model, const Result<Placement>& found);
  void deliver(const Batch& batch, const EmbedResult& result);
  void lose(const Batch& batch, const Error& cause, GoesOn goes_on);
  void take(const TextQueue::Text& text, std::span<const std::byte> vector);
  void fail_texts(const Batch& batch, const Error& cause);
  void finish(RequestId id, Result<TextVectors> result);
  void fail_all(const Key& model, const Error& cause);
  void forget(RequestId id);

  NodeContext& context_;
  const HeadDesk& heads_;
  StageHost& stages_;
  ReloadDesk& reloads_;
  std::map<PlacementId, Placement> opened_;
  std::unordered_map<RequestId, Entered> entered_;
  std::map<Key, Pool> pools_;
  std::unordered_map<RequestId, Batch> batches_;  // under way
  RequestRoutes routed_;
};

}  // namespace flotilla
