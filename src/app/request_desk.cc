#include "app/request_desk.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "app/fleet.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

// The news that one placement ends and the news that another is ready come from two nodes, in any order.
constexpr auto look_again_pause = 100ms;
constexpr std::uint32_t tries_max = 100;
constexpr std::size_t opened_max = 256;  // placements remembered; those in the view are learnt again

TokenEvent failed_event(RequestId id, const Error& cause) {
  TokenEvent event{.id = id};
  event.finish = FinishReason::failed;
  event.error = cause;
  return event;
}

}  // namespace

void RequestDesk::on_opened(const Placement& placement) {
  if (opened_.size() >= opened_max) opened_.clear();
  opened_[placement.id] = {placement.model, placement.fingerprint};
}

void RequestDesk::generate(GenerateRequest request, OnToken on_token) {
  const RequestId id = request.id;
  Entered& entered = entered_[id];
  entered.on_token = std::move(on_token);
  entered.journal_request = std::move(request);
  send(id);
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

void RequestDesk::send(RequestId id) {
  const auto found = entered_.find(id);
  if (found == entered_.end()) return;  // cancelled while it waited
  Entered& entered = found->second;
  GenerateRequest& request = entered.journal_request;
  // Answered by the loop, not from inside this call: the caller is not ready for its first event yet.
  const auto refuse = [&](const Error& cause) {
    boost::asio::post(context_.loop, [this, id, cause] { fail_request(id, cause); });
  };
  const ClusterView view = context_.view();
  const Placement* placement = answering(view, request.placement);
  if (!placement && is_moving(view, request.placement)) return look_again(id);
  if (!placement)
    return refuse(
        {Code::unavailable, "[app] the model was unloaded just now; send the request again and it will be loaded"});
  on_opened(*placement);
  request.placement = placement->id;
  entered.head = placement->head();
  if (const auto sent = context_.offer(entered.head, make_frame(FrameKind::generate, encode(request))); !sent)
    return refuse(sent.error());
}

// Waits as a client does who asks for the model by name, then takes what is there.
void RequestDesk::look_again(RequestId id) {
  Entered& entered = entered_.at(id);
  entered.head = {};
  const PlacementId placement = entered.journal_request.placement;
  const auto give_up = [this, id](const Error& cause) {
    if (const auto found = entered_.find(id); found != entered_.end()) found->second.is_heard = true;
    fail_request(id, cause);
  };
  if (++entered.tries > tries_max)
    return give_up({Code::unavailable, "[app] the model kept moving; send the request again"});
  LoadModel order;
  order.model = opened_.at(placement).model;
  loads_.load(std::move(order), nullptr, [this, id, placement, give_up](const Result<Placement>& loaded) {
    if (!loaded && !is_moving(context_.view(), placement)) return give_up(loaded.error());
    const auto timer = std::make_shared<boost::asio::steady_timer>(context_.loop, look_again_pause);
    timer->async_wait([this, id, timer](const boost::system::error_code&) { send(id); });
  });
}

void RequestDesk::cancel(RequestId id) {
  const auto node = entered_.extract(id);
  if (node.empty() || node.mapped().head == NodeId{}) return;
  context_.send(node.mapped().head, make_frame(FrameKind::cancel, encode(CancelRequest{id})));
}

std::size_t RequestDesk::running(PlacementId placement) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(routed_, [&](const auto& entry) { return entry.second.placement == placement; }));
}

void RequestDesk::on_generate(const NodeId& entry, Frame frame) {
  const auto request = decode_generate_request(frame.body);
  if (!request) return;  // without an id there is nobody to tell; a joined peer of our version does not send this
  const auto refuse = [&](const Error& cause) {
    context_.send(entry, make_frame(FrameKind::token_event, encode(failed_event(request->id, cause))));
  };
  const Placement* placement = heads_.find(request->placement);
  if (!placement || placement->state == PlacementState::loading)
    return refuse({Code::unavailable, "[app] the model is no longer loaded here; send the request again"});
  if (routed_.contains(request->id))
    return refuse({Code::invalid_argument, "[app] a request with this id is already running"});
  if (const auto taken = stages_.offer_to_runner(request->placement, frame); !taken) return refuse(taken.error());
  routed_[request->id] = {entry, request->placement};
}

void RequestDesk::on_cancel(const NodeId& entry, const Frame& frame) {
  const auto cancel = decode_cancel(frame.body);
  if (!cancel) return;
  const auto found = routed_.find(cancel->id);
  if (found == routed_.end() || found->second.entry != entry) return;
  stages_.to_runner(found->second.placement, frame);
  routed_.erase(found);
}

void RequestDesk::on_token_event(const NodeId& from, Frame frame) {
  auto event = decode_token_event(frame.body);
  if (!event) return;
  if (const auto found = routed_.find(event->id); found != routed_.end() && from == context_.identity.node) {
    const NodeId entry = found->second.entry;
    if (event->finish != FinishReason::none) routed_.erase(found);
    if (entry != context_.identity.node) {
      context_.send(entry, std::move(frame));
      return;
    }
  }
  const auto entered = entered_.find(event->id);
  if (entered != entered_.end() && entered->second.head == from) deliver(*std::move(event));
}

void RequestDesk::deliver(TokenEvent event) {
  const auto found = entered_.find(event.id);
  if (found == entered_.end()) return;
  // It was on its way to a placement that moved meanwhile.
  if (event.finish == FinishReason::failed && event.error && event.error->code == Code::unavailable &&
      !found->second.is_heard && is_moving(context_.view(), found->second.journal_request.placement))
    return look_again(event.id);
  found->second.is_heard = true;
  if (event.has_token && event.index >= 0) found->second.journal_tokens.push_back(event.token);
  const OnToken on_token = found->second.on_token;
  if (event.finish != FinishReason::none) entered_.erase(found);
  on_token(std::move(event));
}

void RequestDesk::fail_request(RequestId id, const Error& cause) { deliver(failed_event(id, cause)); }

void RequestDesk::on_node_lost(const NodeId& node, const Error& cause) {
  std::vector<RequestId> failed;
  for (const auto& [id, entered] : entered_)
    if (entered.head == node) failed.push_back(id);
  for (const RequestId id : failed)
    fail_request(id, {Code::unavailable,
                      std::format("[app] the machine that computed this answer is gone ({}); send the request again",
                                  cause.message)});
  // Requests that came in at the lost node have nobody to read them: their places are free again.
  for (auto it = routed_.begin(); it != routed_.end();) {
    if (it->second.entry == node) {
      stages_.to_runner(it->second.placement, make_frame(FrameKind::cancel, encode(CancelRequest{it->first})));
      it = routed_.erase(it);
    } else {
      ++it;
    }
  }
}

void RequestDesk::on_placement_ended(PlacementId placement, const Error& cause) {
  std::vector<std::pair<RequestId, NodeId>> ended;
  for (const auto& [id, routed] : routed_)
    if (routed.placement == placement) ended.emplace_back(id, routed.entry);
  for (const auto& [id, entry] : ended) {
    routed_.erase(id);
    context_.send(entry, make_frame(FrameKind::token_event, encode(failed_event(id, cause))));
  }
}

}  // namespace flotilla
