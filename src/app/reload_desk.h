// Finds a model again for requests whose placement is gone: one that is ready or being loaded meanwhile, else it has
// the model loaded again, and where no machine can hold it, waits for one. However many wait for a model, one order is
// under way at a time. In: what was lost, time.  Out: orders to load (LoadDesk), and in node_info who waits for what.
// Owns: who waits. Thread: the loop's.  Never: gives a placement made of another file than the one that was lost, or,
// where its head has said that it is gone, that one.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/load_desk.h"
#include "app/node_context.h"
#include "wire/generate.h"

namespace flotilla {

// Of a placement, what is needed to have its like again.
struct LostModel {
  std::string model, fingerprint;
  NodeId head;
  std::uint32_t context_tokens = 0, sequences = 0;
};
inline LostModel like_of(const Placement& placement) {
  return {placement.model, placement.fingerprint, placement.head(), placement.context_tokens, placement.sequences};
}

class ReloadDesk {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;
  ReloadDesk(NodeContext& context, LoadDesk& loads) : ReloadDesk(context, loads, context.now) {}
  ReloadDesk(NodeContext& context, LoadDesk& loads, Now now) : context_(context), loads_(loads), now_(std::move(now)) {}

  struct Wish {
    RequestId request;
    PlacementId gone;         // not this one: its head has said so; {}: any
    std::string why;          // a sentence: what happened to the one before
    Clock::time_point until;  // then it is given up, unless a load is under way
  };
  // Called once, later: a ready placement, or why there will be none.
  using OnFound = std::function<void(const Result<Placement>&)>;
  void want(const LostModel& lost, Wish wish, OnFound on_found);
  void leave(RequestId request);  // it is not wanted any more
  // For who comes now: what is ready, else loaded. Where others wait for the model, with them; where a machine goes
  // away in the midst of it, once more.
  void open(const std::string& model, OnFound on_found);

  std::vector<WaitingRequests> waiting() const;

 private:
  struct Waiter {
    Wish wish;
    OnFound on_found;
  };
  // Of one file. Lives until nobody waits and no order is under way.
  struct Search {
    LostModel lost;
    std::vector<Waiter> waiters;
    std::string detail;
    std::uint32_t tries = 0;
    bool head_was_asked = false;  // that of the placement that was lost
    Clock::time_point began{};
    Clock::duration pause{};
    bool is_asking = false;
    std::unique_ptr<Alarm> alarm;
  };
  using Key = std::pair<std::string, std::string>;  // model and fingerprint

  void try_to_open(const std::string& model, const OnFound& on_found, std::uint32_t tries_left);
  bool join(const std::string& model, const OnFound& on_found);
  void wait(const Key& key, Search& search);
  void ask(const Key& key);
  void on_answer(const Key& key, const Result<Placement>& loaded);
  void on_loaded(Search& search, const Placement& placement);
  void give_up_late(Search& search);
  void serve(Search& search, const std::function<bool(const Waiter&)>& is_served,
             const std::function<Result<Placement>(const Waiter&)>& answer);
  bool end_idle(const Key& key, Search& search);

  NodeContext& context_;
  LoadDesk& loads_;
  const Now now_;
  std::map<Key, Search> searches_;
  std::map<std::uint64_t, std::unique_ptr<Alarm>> openings_;  // who came for a model and tries again in a moment
  std::uint64_t openings_begun_ = 0;
};

}  // namespace flotilla
