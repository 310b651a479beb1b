#include "app/request_desk.h"

#include <algorithm>
#include <utility>

#include "app/fleet.h"
#include "base/log.h"

namespace flotilla {
namespace {

constexpr std::size_t opened_max = 256;  // placements remembered; those in the view are learnt again

TokenEvent failed_event(RequestId id, const Error& cause, GoesOn goes_on = GoesOn::no) {
  TokenEvent event{.id = id};
  event.finish = FinishReason::failed;
  event.error = cause;
  event.goes_on = goes_on;
  return event;
}

}  // namespace

// --- entry ---------------------------------------------------------------------------------------

void RequestDesk::on_opened(const Placement& placement) {
  if (opened_.size() >= opened_max) opened_.clear();
  opened_[placement.id] = like_of(placement);
}

void RequestDesk::generate(GenerateRequest request, OnToken on_token) {
  const RequestId id = request.id;
  Entered& entered = entered_[id];
  entered.on_token = std::move(on_token);
  entered.journal = std::move(request);
  const PlacementId asked = entered.journal.placement;
  const ClusterView view = context_.view();
  if (const Placement* placement = answering(view, asked)) return send(id, *placement);
  const Error cause{Code::unavailable,
                    "[app] the model was unloaded just now; send the request again and it will be loaded"};
  const auto known = opened_.find(asked);
  // Answered by the loop, not from inside this call: the caller is not ready for its first event yet.
  if (known == opened_.end()) return boost::asio::post(context_.loop, [this, id, cause] { fail_request(id, cause); });
  entered.model = known->second;
  // Not seen is not gone: where only the connection to its head was lost, it comes back with that.
  find_another(id, {}, {Code::unavailable, "[app] its placement ended as the request came"});
}

// The placement asked for; once it has moved, the one it moved to. None is ready while it moves.
const Placement* RequestDesk::answering(const ClusterView& view, PlacementId id) const {
  const Placement* named = placement_of(view, id);
  if (named && named->state == PlacementState::ready) return named;
  if (const auto known = opened_.find(id); known != opened_.end()) {
    const Placement* other = placement_of(view, known->second.model);
    if (other && other->state == PlacementState::ready && other->fingerprint == known->second.fingerprint) return other;
  }
  return named && named->state == PlacementState::unloading ? named : nullptr;  // it answers those who know it
}

bool RequestDesk::is_moving(const ClusterView& view, PlacementId id) const {
  const auto known = opened_.find(id);
  if (known == opened_.end()) return false;
  const Placement* other = placement_of(view, known->second.model);
  return other && other->fingerprint == known->second.fingerprint &&
         (other->id != id || other->state != PlacementState::ready);
}

void RequestDesk::send(RequestId id, const Placement& placement) {
  Entered& entered = entered_.at(id);
  on_opened(placement);
  entered.model = opened_.at(placement.id);
  entered.journal.placement = placement.id;
  entered.head = placement.head();
  auto sent = check_head(entered, context_.view());
  if (sent) sent = context_.offer(entered.head, make_frame(FrameKind::generate, encode(entered.journal)));
  if (!sent) return on_unsent(id, sent.error());
  if (!entered.waits_for_room) entered.waits_until.reset();  // the next loss has its own
}

// No head has it: none says more of it, and the loss of none concerns it. One that is out of reach has not said that
// its placement is gone.
void RequestDesk::on_unsent(RequestId id, const Error& cause) {
  Entered& entered = entered_.at(id);
  if (cause.code == Code::unavailable) return find_another(id, {}, cause);
  if (waits_its_turn(id, entered, cause)) return;
  entered.head = {};
  boost::asio::post(context_.loop, [this, id, cause] { fail_request(id, cause); });
}

// An older release would pass over what it does not know and answer as it likes.
Status RequestDesk::check_head(const Entered& entered, const ClusterView& view) const {
  if (!entered.journal.constraint.any()) return {};
  const Member* head = view.find(entered.head);
  if (head == nullptr || head->info.keeps_constraints) return {};
  return fail(
      Code::unsupported,
      "[app] expected a machine that keeps answers to a schema but {} runs flotilla {}, which cannot; update it",
      head->info.name, head->info.version);
}

// Waits as a client does who asks for the model by name, then takes what is there. `gone` is a placement that is not to
// be taken; {}: any will do.
void RequestDesk::find_another(RequestId id, PlacementId gone, const Error& cause) {
  Entered& entered = entered_.at(id);
  entered.head = {};
  if (!entered.waits_until) entered.waits_until = context_.now() + limits::resume_wait_max;
  reloads_.want(entered.model, {.request = id, .gone = gone, .why = cause.message, .until = *entered.waits_until},
                [this, id](const Result<Placement>& found) { on_found(id, found); });
}

void RequestDesk::on_found(RequestId id, const Result<Placement>& found) {
  const auto waiting = entered_.find(id);
  if (waiting == entered_.end()) return;  // cancelled while it waited
  if (!found) {
    Error cause = found.error();
    if (cause.code == Code::cancelled) cause.code = Code::unavailable;  // by someone else, not by the client
    return fail_request(id, cause);
  }
  // Whatever comes still of what was sent before is another's.
  RequestId& sent_as = waiting->second.journal.id;
  sent_as_.erase(sent_as);
  sent_as = RequestId{context_.random()};
  sent_as_[sent_as] = id;
  ++tally_.requests;
  tally_.tokens += waiting->second.journal.prompt.size() + waiting->second.journal.resumed.size();
  send(id, *found);
}

void RequestDesk::cancel(RequestId id) {
  const auto found = entered_.find(id);
  if (found == entered_.end()) return;
  const NodeId head = found->second.head;
  const CancelRequest cancel{found->second.journal.id};
  forget(id);
  if (head == NodeId{}) return reloads_.leave(id);
  context_.send(head, make_frame(FrameKind::cancel, encode(cancel)));
}

void RequestDesk::forget(RequestId id) {
  const auto node = entered_.extract(id);
  if (!node.empty()) sent_as_.erase(node.mapped().journal.id);
}

bool RequestDesk::waits(RequestId id) const {
  const auto found = entered_.find(id);
  return found != entered_.end() && found->second.head == NodeId{};
}

// True where the request is on its way elsewhere.
bool RequestDesk::goes_on(RequestId id, Entered& entered, const TokenEvent& failed) {
  const PlacementId placement = entered.journal.placement;
  const Code code = failed.error->code;
  if (failed.goes_on == GoesOn::broken_off && ++entered.losses > limits::resumes_max) return false;
  if (failed.goes_on != GoesOn::no) return find_another(id, placement, *failed.error), true;
  if (waits_its_turn(id, entered, *failed.error)) return true;
  // It was on its way to a placement that moved meanwhile.
  if (code != Code::unavailable || entered.is_heard || !is_moving(context_.view(), placement)) return false;
  return find_another(id, placement, *failed.error), true;
}

// What goes on where others are waits as whoever comes there does.
bool RequestDesk::waits_its_turn(RequestId id, Entered& entered, const Error& cause) {
  const bool was_sent_before = entered.journal.id != id;
  if (!was_sent_before || cause.code != Code::busy) return false;
  if (!std::exchange(entered.waits_for_room, true)) entered.waits_until.reset();  // it has a time of its own
  find_another(id, {}, cause);
  return true;
}

// What was handed on already is not handed on again; where something is missing, the answer is none.
bool RequestDesk::fits_journal(Entered& entered, TokenEvent& event) {
  std::vector<TokenId>& told = entered.journal.resumed;
  const auto next = static_cast<std::int32_t>(told.size());
  if (event.index > next) {
    context_.send(entered.head, make_frame(FrameKind::cancel, encode(CancelRequest{entered.journal.id})));
    event =
        failed_event(event.id, {Code::corrupt, std::format("[app] expected token {} of the answer but got token {}; "
                                                           "send the request again",
                                                           next, event.index)});
    return true;
  }
  if (event.has_token && event.index < next && (event.index >= 0 || next > 0)) {
    if (event.finish == FinishReason::none) return false;
    event.has_token = false;
  }
  if (event.has_token && event.index >= 0) {
    told.push_back(event.token);
    entered.journal.prompt_logprobs = false;  // all of them have come
    entered.losses = 0;
    entered.waits_for_room = false;
    entered.waits_until.reset();
    // So there is always a token left to go on with.
    if (told.size() >= entered.journal.tokens_max && event.finish == FinishReason::none)
      event.finish = FinishReason::length;
  }
  event.prompt_reused =
      entered.prompt_reused ? *entered.prompt_reused : entered.prompt_reused.emplace(event.prompt_reused);
  return true;
}

void RequestDesk::deliver(TokenEvent event) {
  const auto found = entered_.find(event.id);
  if (found == entered_.end()) return;
  Entered& entered = found->second;
  if (event.finish == FinishReason::failed && event.error) {
    if (goes_on(event.id, entered, event)) return;
    if (entered.losses > limits::resumes_max)
      event.error = Error{Code::internal,
                          std::format("[app] expected an answer but its model was lost {} times while it was computed, "
                                      "possibly by this request; the last time: {}",
                                      entered.losses, event.error->message)};
  } else if (!fits_journal(entered, event)) {
    return;
  }
  entered.is_heard = true;
  const OnToken on_token = entered.on_token;
  if (event.finish != FinishReason::none) forget(event.id);
  on_token(std::move(event));
}

void RequestDesk::fail_request(RequestId id, const Error& cause) {
  const auto found = entered_.find(id);
  if (found == entered_.end()) return;
  const OnToken on_token = found->second.on_token;
  forget(id);
  on_token(failed_event(id, cause));
}

// --- head ----------------------------------------------------------------------------------------

std::size_t RequestDesk::running(PlacementId placement) const { return routed_.count(placement); }

void RequestDesk::on_generate(const NodeId& entry, Frame frame) {
  const auto request = decode_generate_request(frame.body);
  if (!request) return;  // without an id there is nobody to tell; a joined peer of our version does not send this
  const auto refuse = [&](const Error& cause, GoesOn goes_on = GoesOn::no) {
    context_.send(entry, make_frame(FrameKind::token_event, encode(failed_event(request->id, cause, goes_on))));
  };
  const Placement* placement = heads_.find(request->placement);
  if (!placement || placement->state == PlacementState::loading)
    return refuse({Code::unavailable, "[app] the model is no longer loaded here; send the request again"},
                  GoesOn::not_begun);
  if (routed_.find(request->id))
    return refuse({Code::invalid_argument, "[app] a request with this id is already running"});
  if (const auto taken = stages_.offer_to_runner(request->placement, frame); !taken)
    return refuse(taken.error(), taken.error().code == Code::unavailable ? GoesOn::not_begun : GoesOn::no);
  routed_.add(request->id, {entry, request->placement});
}

void RequestDesk::on_cancel(const NodeId& entry, const Frame& frame) {
  const auto cancel = decode_cancel(frame.body);
  if (!cancel) return;
  const auto* route = routed_.find(cancel->id);
  if (!route || route->entry != entry) return;
  stages_.to_runner(route->placement, frame);
  routed_.erase(cancel->id);
}

// --- both ----------------------------------------------------------------------------------------

void RequestDesk::on_token_event(const NodeId& from, Frame frame) {
  auto event = decode_token_event(frame.body);
  if (!event) return;
  // The ring is broken, and so the placement ends in a moment: then its head's desk tells the entry nodes, with the
  // cause that is known by then. Frames of runners bear an epoch, a desk's none; and the runner's may come after that
  // end.
  if (event->goes_on == GoesOn::broken_off && frame.header.epoch != Epoch{}) return;
  if (const auto* route = routed_.find(event->id); route && from == context_.identity.node) {
    const NodeId entry = route->entry;
    if (event->finish != FinishReason::none) routed_.erase(event->id);
    if (entry != context_.identity.node) {
      context_.send(entry, std::move(frame));
      return;
    }
  }
  const RequestId sent_as = event->id;
  if (const auto found = sent_as_.find(sent_as); found != sent_as_.end()) event->id = found->second;
  const auto entered = entered_.find(event->id);
  if (entered == entered_.end() || entered->second.head != from || entered->second.journal.id != sent_as) return;
  deliver(*std::move(event));
}

void RequestDesk::on_node_lost(const NodeId& node, const Error& cause) {
  std::vector<RequestId> lost;
  for (const auto& [id, entered] : entered_)
    if (entered.head == node) lost.push_back(id);
  // Where only the connection was lost, its placements come back with it.
  const Error why{Code::unavailable,
                  std::format("[app] the machine that computed this answer is gone ({})", cause.message)};
  for (const RequestId id : lost) {
    const auto found = entered_.find(id);
    if (found == entered_.end()) continue;  // its client hung up when it heard of another
    if (++found->second.losses > limits::resumes_max)
      fail_request(id, why);
    else
      find_another(id, {}, why);
  }
  // Requests that came in at the lost node have nobody to read them: their places are free again.
  for (const auto& [id, route] : routed_.take_from(node))
    stages_.to_runner(route.placement, make_frame(FrameKind::cancel, encode(CancelRequest{id})));
}

void RequestDesk::on_placement_ended(PlacementId placement, const Error& cause, GoesOn goes_on) {
  for (const auto& [id, route] : routed_.take_of(placement))
    context_.send(route.entry, make_frame(FrameKind::token_event, encode(failed_event(id, cause, goes_on))));
}

}  // namespace flotilla
