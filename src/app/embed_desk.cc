#include "app/embed_desk.h"

#include <algorithm>
#include <cstring>
#include <ranges>

#include "app/fleet.h"
#include "base/embed_limits.h"
#include "base/limits.h"
#include "base/log.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t opened_max = 256;  // placements remembered; those in the view are learnt again
constexpr auto look_again_pause = 50ms;  // where the way to a machine is full, or it has just gone

EmbedResult failed_result(RequestId id, const Error& cause, GoesOn goes_on = GoesOn::no) {
  return {.id = id, .vectors = {}, .error = cause, .goes_on = goes_on};
}

// Each once.
std::set<RequestId> requests_of(const std::vector<TextQueue::Text>& texts) {
  std::set<RequestId> requests;
  for (const TextQueue::Text& text : texts) requests.insert(text.request);
  return requests;
}

}  // namespace

// --- entry ---------------------------------------------------------------------------------------

void EmbedDesk::on_opened(const Placement& placement) {
  if (opened_.size() >= opened_max) opened_.clear();
  opened_[placement.id] = placement;
}

void EmbedDesk::embed(EmbedRequest request, OnVectors on_vectors) {
  std::uint64_t tokens = 0, waiting = 0;
  std::vector<TextQueue::Text> texts;
  for (const TextTokens& text : request.texts) {
    texts.push_back({request.id, static_cast<std::uint32_t>(texts.size()), static_cast<std::uint32_t>(text.size())});
    tokens += text.size();
  }
  for (const auto& [model, pool] : pools_) waiting += pool.waiting.tokens();
  const auto known = opened_.find(request.placement);
  // Answered by the loop, not from inside this call: the caller is not ready for it yet.
  const auto refuse = [&](Error cause) {
    boost::asio::post(context_.loop,
                      [on_vectors = std::move(on_vectors), cause = std::move(cause)] { on_vectors(fail(cause)); });
  };
  if (known == opened_.end())
    return refuse(
        {Code::unavailable, "[app] the model was unloaded just now; send the request again and it will be loaded"});
  if (waiting + tokens > limits::embed_tokens_waiting_max)
    return refuse(
        {Code::busy, std::format("[app] expected at most {} tokens of texts to wait on this node but {} do and "
                                 "{} came; try again in a moment",
                                 limits::embed_tokens_waiting_max, waiting, tokens)});
  const Placement& placement = known->second;
  const Key model{placement.model, placement.fingerprint};
  Pool& pool = pools_[model];
  pool.model = like_of(placement);
  pool.found = placement;
  ++pool.requests;
  const RequestId id = request.id;
  entered_[id] = {.request = std::move(request),
                  .model = model,
                  .on_vectors = std::move(on_vectors),
                  .vectors = {},
                  .missing = texts.size(),
                  .lost_with = {}};
  pool.waiting.add(std::move(texts));
  dispatch(model);
}

void EmbedDesk::cancel(RequestId id) { forget(id); }

// As far as machines have room for batches. What comes back makes room.
void EmbedDesk::dispatch(const Key& model) {
  const auto found = pools_.find(model);
  if (found == pools_.end()) return;
  Pool& pool = found->second;
  if (pool.waiting.empty() || pool.search != RequestId{}) return;
  std::vector<Placement> placements = holders(pool);
  if (placements.empty()) return search(model, pool);
  bool is_kept_out = false;
  while (!pool.waiting.empty()) {
    const auto placement = least_busy(placements);
    if (!placement) break;
    if (send(model, pool, *placement)) continue;
    is_kept_out = true;
    std::erase_if(placements, [&](const Placement& each) { return each.id == placement->id; });
  }
  if (is_kept_out) pool.alarm = context_.alarm(look_again_pause, [this, model] { dispatch(model); });
}

// Ready ones of this very file. One that was loaded just now may not be in the view yet.
std::vector<Placement> EmbedDesk::holders(const Pool& pool) const {
  std::vector<Placement> list;
  const ClusterView view = context_.view();
  for (const Member& member : view.members)
    if (member.state != MemberState::seen)
      for (const Placement& placement : member.info.placements)
        if (placement.state == PlacementState::ready && placement.model == pool.model.model &&
            placement.fingerprint == pool.model.fingerprint && !pool.gone.contains(placement.id))
          list.push_back(placement);
  const bool is_here = pool.found && is_joined(view, pool.found->head()) && !pool.gone.contains(pool.found->id);
  if (is_here && std::ranges::none_of(list, [&](const Placement& each) { return each.id == pool.found->id; }))
    list.push_back(*pool.found);
  return list;
}

// None where each has as many batches as may be under way.
std::optional<Placement> EmbedDesk::least_busy(const std::vector<Placement>& placements) const {
  std::optional<Placement> best;
  std::uint64_t least = 0;
  for (const Placement& placement : placements) {
    std::uint64_t tokens = 0;
    std::size_t count = 0;
    for (const auto& [id, batch] : batches_)
      if (batch.placement == placement.id) tokens += batch.tokens, ++count;
    if (count >= limits::embed_batches_under_way || (best && tokens >= least)) continue;
    best = placement;
    least = tokens;
  }
  return best;
}

Status EmbedDesk::send(const Key& model, Pool& pool, const Placement& placement) {
  const TextQueue::Room room{limits::embed_batch_tokens_max, limits::embed_batch_texts_max};
  Batch batch{.model = model, .placement = placement.id, .holder = placement.head(), .texts = pool.waiting.next(room)};
  EmbedRequest part{.id = {context_.random()}, .placement = placement.id, .texts = {}};
  for (const TextQueue::Text& text : batch.texts) {
    part.texts.push_back(entered_.at(text.request).request.texts[text.index]);
    batch.tokens += text.tokens;
  }
  const Status offered = context_.offer(batch.holder, make_frame(FrameKind::embed, encode(part)));
  if (offered)
    batches_[part.id] = std::move(batch);
  else
    pool.waiting.put_back(std::move(batch.texts));
  return offered;
}

// No machine holds the model any more.
void EmbedDesk::search(const Key& model, Pool& pool) {
  pool.search = {context_.random()};
  const std::string why = pool.why.empty() ? "[app] its placement ended as the request came" : pool.why;
  reloads_.want(
      pool.model,
      {.request = pool.search, .gone = pool.last_gone, .why = why, .until = context_.now() + limits::resume_wait_max},
      [this, model](const Result<Placement>& found) { on_found(model, found); });
}

void EmbedDesk::on_found(const Key& model, const Result<Placement>& found) {
  const auto waiting = pools_.find(model);
  if (waiting == pools_.end()) return;
  if (!found) {
    Error cause = found.error();
    if (cause.code == Code::cancelled) cause.code = Code::unavailable;  // by someone else, not by the client
    waiting->second.search = {};
    return fail_all(model, cause);
  }
  waiting->second.search = {};
  waiting->second.found = *found;
  on_opened(*found);
  dispatch(model);
}

void EmbedDesk::deliver(const Batch& batch, const EmbedResult& result) {
  if (result.error) {
    const bool may_elsewhere =
        result.goes_on != GoesOn::no || (result.error->code == Code::unavailable && others_hold(batch));
    if (may_elsewhere) return lose(batch, *result.error, result.goes_on);
    // Unloaded, which is what somebody wanted: what waits would only have it loaded again.
    if (result.error->code == Code::unavailable) return fail_all(batch.model, *result.error);
    return fail_texts(batch, *result.error);
  }
  const std::size_t bytes = result.length * sizeof(float);
  if (result.vectors.size() != batch.texts.size() * bytes)
    return fail_texts(batch, {Code::corrupt, std::format("[app] expected {} vectors but got {} bytes of them; send the "
                                                         "request again",
                                                         batch.texts.size(), result.vectors.size())});
  for (std::size_t i = 0; i < batch.texts.size(); ++i)
    take(batch.texts[i], std::span(result.vectors).subspan(i * bytes, bytes));
}

// One that was unloaded here may still be loaded there.
bool EmbedDesk::others_hold(const Batch& batch) const {
  const auto pool = pools_.find(batch.model);
  return pool != pools_.end() && std::ranges::any_of(holders(pool->second), [&](const Placement& placement) {
           return placement.id != batch.placement;
         });
}

void EmbedDesk::take(const TextQueue::Text& text, std::span<const std::byte> vector) {
  const auto found = entered_.find(text.request);
  if (found == entered_.end()) return;  // cancelled meanwhile
  Entered& entered = found->second;
  TextVectors& vectors = entered.vectors;
  const std::size_t length = vector.size() / sizeof(float);
  if (vectors.values.empty()) {
    vectors.length = static_cast<std::uint32_t>(length);
    vectors.values.resize(entered.request.texts.size() * length);
  }
  if (vectors.length != length)
    return finish(text.request,
                  fail(Code::corrupt, "[app] expected vectors of {} values but got one of {}", vectors.length, length));
  std::memcpy(vectors.values.data() + text.index * length, vector.data(), vector.size());
  entered.losses = 0;
  if (--entered.missing == 0) finish(text.request, std::move(vectors));
}

// Its texts wait again, before all others.
void EmbedDesk::lose(const Batch& batch, const Error& cause, GoesOn goes_on) {
  for (const RequestId id : requests_of(batch.texts)) {
    const auto found = entered_.find(id);
    if (found == entered_.end() || found->second.lost_with == batch.placement) continue;
    found->second.lost_with = batch.placement;
    if (goes_on != GoesOn::broken_off || ++found->second.losses <= limits::resumes_max) continue;
    finish(id, fail(Code::internal,
                    "[app] expected vectors but the model was lost {} times while they were made, possibly by this "
                    "request; the last time: {}",
                    found->second.losses, cause.message));
  }
  const auto pool = pools_.find(batch.model);
  if (pool == pools_.end()) return;
  pool->second.why = cause.message;
  std::vector<TextQueue::Text> texts = batch.texts;
  std::erase_if(texts, [&](const TextQueue::Text& text) { return !entered_.contains(text.request); });
  pool->second.waiting.put_back(std::move(texts));
}

void EmbedDesk::fail_texts(const Batch& batch, const Error& cause) {
  for (const RequestId id : requests_of(batch.texts)) finish(id, fail(cause));
}

void EmbedDesk::fail_all(const Key& model, const Error& cause) {
  std::vector<RequestId> failed;
  for (const auto& [id, entered] : entered_)
    if (entered.model == model) failed.push_back(id);
  for (const RequestId id : failed) finish(id, fail(cause));
}

void EmbedDesk::finish(RequestId id, Result<TextVectors> result) {
  const auto found = entered_.find(id);
  if (found == entered_.end()) return;
  const OnVectors on_vectors = std::move(found->second.on_vectors);
  forget(id);
  on_vectors(std::move(result));
}

void EmbedDesk::forget(RequestId id) {
  const auto node = entered_.extract(id);
  if (node.empty()) return;
  const auto pool = pools_.find(node.mapped().model);
  pool->second.waiting.drop(id);
  if (--pool->second.requests > 0) return;
  if (pool->second.search != RequestId{}) reloads_.leave(pool->second.search);
  pools_.erase(pool);
}

// --- holder --------------------------------------------------------------------------------------

void EmbedDesk::on_embed(const NodeId& entry, Frame frame) {
  const auto batch = decode_embed_request(frame.body);
  if (!batch) return;  // without an id there is nobody to tell; a joined peer of our version does not send this
  const auto refuse = [&](const Error& cause, GoesOn goes_on = GoesOn::no) {
    context_.send(entry, make_frame(FrameKind::embedding, encode(failed_result(batch->id, cause, goes_on))));
  };
  const Placement* placement = heads_.find(batch->placement);
  if (!placement || placement->state == PlacementState::loading || !placement->embeds)
    return refuse({Code::unavailable, "[app] the model is no longer loaded here; send the request again"},
                  GoesOn::not_begun);
  if (routed_.find(batch->id))
    return refuse({Code::invalid_argument, "[app] a batch with this id is already under way"});
  if (const auto taken = stages_.offer_to_runner(batch->placement, frame); !taken)
    return refuse(taken.error(), taken.error().code == Code::unavailable ? GoesOn::not_begun : GoesOn::no);
  routed_.add(batch->id, {entry, batch->placement});
}

// --- both ----------------------------------------------------------------------------------------

void EmbedDesk::on_embedding(const NodeId& from, Frame frame) {
  const auto result = decode_embed_result(frame.body);
  if (!result) return;
  if (const auto* route = routed_.find(result->id); route && from == context_.identity.node) {
    const NodeId entry = route->entry;
    routed_.erase(result->id);
    if (entry != context_.identity.node) {
      context_.send(entry, std::move(frame));
      return;
    }
  }
  const auto found = batches_.find(result->id);
  if (found == batches_.end() || found->second.holder != from) return;
  const Batch batch = std::move(batches_.extract(found).mapped());
  if (result->error && result->goes_on != GoesOn::no)
    if (const auto pool = pools_.find(batch.model); pool != pools_.end()) {
      pool->second.gone.insert(batch.placement);
      pool->second.last_gone = batch.placement;
    }
  deliver(batch, *result);
  dispatch(batch.model);
}

void EmbedDesk::on_node_lost(const NodeId& node, const Error& cause) {
  routed_.take_from(node);  // nobody reads what comes
  std::vector<Batch> lost;
  for (auto it = batches_.begin(); it != batches_.end();) {
    const auto current = it++;
    if (current->second.holder == node) lost.push_back(std::move(batches_.extract(current).mapped()));
  }
  // Where only the connection was lost, its placements come back with it.
  const Error why{Code::unavailable,
                  std::format("[app] the machine that made these vectors is gone ({})", cause.message)};
  std::set<Key> models;
  for (const Batch& batch : lost) {
    lose(batch, why, GoesOn::broken_off);
    models.insert(batch.model);
  }
  for (const Key& model : models) dispatch(model);
}

void EmbedDesk::on_placement_ended(PlacementId placement, const Error& cause, GoesOn goes_on) {
  for (const auto& [id, route] : routed_.take_of(placement))
    context_.send(route.entry, make_frame(FrameKind::embedding, encode(failed_result(id, cause, goes_on))));
}

}  // namespace flotilla
