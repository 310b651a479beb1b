// The people who ask: each enters one request at some machine and holds what comes back against what must.
// In: token events.  Out: breaches of tokens-once, one-writer and requests-end.  Owns: the requests.  Thread: the one
// there is.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "sim/machine.h"

namespace flotilla::sim {

class Clients {
 public:
  explicit Clients(Fleet& fleet);

  // A request, where the machine runs. Some hang up before the end; those that may not ask for
  // little.
  void enter(std::size_t machine, bool may_leave = true);
  void expect_answers_from(Instant time) { well_since_ = time; }  // from then on nothing is left that excuses a failure
  bool all_ended() const;
  bool has_ended(std::size_t client) const { return !is_open(clients_[client]); }
  bool is_answered(std::size_t client) const { return clients_[client].state == State::answered; }
  std::size_t count() const { return clients_.size(); }
  std::string describe_open() const;  // those that have not ended

  struct Sums {
    std::size_t answered = 0, failed = 0, resumed = 0, tokens = 0;
  };
  Sums sums() const;
  std::string story(std::size_t client) const;

 private:
  enum class State : std::uint8_t { opening, asked, answered, failed, left, orphaned };
  struct Client {
    Life entry;
    GenerateRequest request;
    std::vector<TokenId> answer;
    State state = State::opening;
    std::string error;
    std::vector<RequestId> sent_as;  // the last is the present one
    PlacementId placement;           // that it was sent to last
    NodeId head;
    bool leaves_early = false;
  };
  void on_opened(std::size_t number, const Result<Placement>& placement);
  void on_event(std::size_t number, const TokenEvent& event);
  void on_token(std::size_t number, const TokenEvent& event);
  void fail(std::size_t number, const std::string& error);
  void end(std::size_t number, State state, const std::string& error = "");
  bool is_open(const Client& client) const;
  std::optional<std::pair<TokenEvent, NodeId>> renew(const TokenEvent& stale, Epoch epoch) const;

  Fleet& fleet_;
  World& world_;
  Referee& referee_;
  std::deque<Client> clients_;
  Instant well_since_ = Instant::max();
};

}  // namespace flotilla::sim
