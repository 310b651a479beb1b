// The asker's side of loading: which node should head the model, and what it answered. A model that makes vectors of
// texts is loaded on one machine where a request wants it, and on all that are worth it where somebody loads it by
// hand: each then heads a placement of its own. In: load and unload wishes of this node's clients, load_progress,
// load_result.  Out: load_model, unload_model. Thread: the loop's.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/header_desk.h"
#include "app/node_context.h"
#include "planner/planner.h"
#include "wire/control.h"

namespace flotilla {

class LoadDesk {
 public:
  LoadDesk(NodeContext& context, HeaderDesk& headers) : context_(context), headers_(headers) {}

  using OnProgress = std::function<void(const LoadProgress&)>;
  using OnDone = std::function<void(Result<Placement>)>;
  // The ready placement of the model, loading it where needed.
  void load(LoadModel order, OnProgress on_progress, OnDone on_done);
  // Has this node head it, whatever is loaded already.
  void ask(const NodeId& head, LoadModel order, OnProgress on_progress, OnDone on_done);
  // Everywhere: while a model moves there are two placements of it.
  void unload(const std::string& model, const OnDone& on_done);
  using OnPlan = std::function<void(Result<Plan>)>;
  void plan(const LoadModel& order, const OnPlan& on_plan);

  void on_progress(const NodeId& from, const LoadProgress& progress);
  void on_result(const NodeId& from, const LoadResult& result);
  void on_node_lost(const NodeId& node, const Error& cause);
  std::size_t open_orders() const { return waiting_.size() + looks_.size(); }

 private:
  struct Waiting {
    NodeId head;
    OnProgress on_progress;
    OnDone on_done;
    std::optional<LoadModel> load = {};  // none: to unload
    std::uint32_t asked_again = 0;
  };
  struct Leaving {
    std::string model;
    std::vector<NodeId> heads;  // that give way
    std::function<void()> answer;
    std::uint32_t looks_left;
  };
  // The copies of an embedding model, as planned: those that are missing, and where machines were named no others.
  void spread(const LoadModel& order, const Plan& plan, const OnProgress& on_progress, const OnDone& on_done);
  void replace(const NodeId& head, const LoadModel& order, const OnProgress& on_progress, const OnDone& on_done);
  void unload_at(const std::vector<NodeId>& heads, UnloadModel order, const OnDone& on_done);
  void add_origin(LoadModel& order) const;
  void ask(Waiting waiting);
  void answer_once_gone(Leaving leaving);
  void send(std::uint64_t ticket, const NodeId& head, Frame frame);

  NodeContext& context_;
  HeaderDesk& headers_;
  std::map<std::uint64_t, Waiting> waiting_;               // by ticket
  std::map<std::uint64_t, std::unique_ptr<Alarm>> looks_;  // answer_once_gone()'s, by numbers of their own
};

}  // namespace flotilla
