#include "app/move_desk.h"

#include <algorithm>

#include "app/fleet.h"
#include "base/log.h"
#include "model/spec.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 1s;
constexpr auto close_max = 20s;  // new requests wait so long for answers under way, then the move is put off
constexpr auto ending_min = 2s;  // requests sent before the news of the new placement reached their entry node come yet
constexpr auto free_max = 5s;    // until machines have told that their memory is free; then it is tried anyway

}  // namespace

MoveDesk::MoveDesk(NodeContext& context, HeaderDesk& headers, HeadDesk& heads, LoadDesk& loads, Running running,
                   Now now)
    : context_(context),
      headers_(headers),
      heads_(heads),
      loads_(loads),
      running_(std::move(running)),
      now_(std::move(now)),
      timer_(context.loop) {}

void MoveDesk::begin() { tick(); }

void MoveDesk::stop() { timer_.cancel(); }

void MoveDesk::tick() {
  look();
  timer_.expires_after(tick_interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

void MoveDesk::look() {
  for (const Placement& placement : heads_.placements())
    if (placement.state == PlacementState::ready && !watched_.contains(placement.id)) begin_watching(placement);
  // One that is not here any more was unloaded, replaced or lost; what is being loaded for it answers to on_loaded().
  std::erase_if(watched_, [&](const auto& entry) { return heads_.find(entry.first) == nullptr; });
  std::vector<PlacementId> ids;
  for (const auto& [id, watched] : watched_) ids.push_back(id);
  for (const PlacementId id : ids)
    if (const auto found = watched_.find(id); found != watched_.end()) step(id, found->second);
}

void MoveDesk::begin_watching(const Placement& placement) {
  const ReplanWatch watch(heads_.order(placement.id).moves, now_());
  watched_.emplace(placement.id,
                   Watched{.watch = watch, .shape = {}, .finding = {}, .basis = {}, .target = {}, .why = {}});
  headers_.want(placement.model, placement.fingerprint, [this, id = placement.id](const Result<StoredModel>& stored) {
    const auto found = watched_.find(id);
    if (found == watched_.end() || !stored) return;
    if (auto shape = read_shape(*stored->gguf)) found->second.shape = *std::move(shape);
  });
}

bool MoveDesk::is_moving() const {
  return std::ranges::any_of(watched_, [](const auto& entry) { return entry.second.phase != Phase::in_service; });
}

void MoveDesk::step(PlacementId id, Watched& watched) {
  const auto now = now_();
  switch (watched.phase) {
    case Phase::in_service:
      if (!is_moving()) examine(id, watched);
      return;
    case Phase::loading_beside:
    case Phase::loading_after:
      return;  // until on_loaded()
    case Phase::ending:
      if (now >= watched.until && running_(id) == 0)
        heads_.end(id, {Code::unavailable, "[app] the model has moved; send the request again"});
      return;
    case Phase::closing:
      return close_or_put_off(id, watched);
    case Phase::emptied:
      if (now >= watched.until || fits_now(context_.view(), watched.finding->better))
        load(id, watched, Phase::loading_after);
      return;
  }
}

// Planning takes up to some milliseconds in a large fleet: only where a node has said something new.
void MoveDesk::examine(PlacementId id, Watched& watched) {
  if (!watched.shape || heads_.find(id)->state != PlacementState::ready) return;
  const ClusterView view = context_.view();
  decltype(watched.basis) basis;
  for (const Member& member : view.members)
    basis.emplace_back(member.info.id, member.state, member.info.incarnation, member.info.revision);
  if (basis != watched.basis) watched.finding = find(id, *watched.shape, view);
  watched.basis = std::move(basis);
  if (!watched.finding) return watched.watch.on_nothing_known();
  const Finding& found = *watched.finding;
  if (watched.watch.on_finding(found.now, found.then, now_())) start(id, watched);
}

std::optional<MoveDesk::Finding> MoveDesk::find(PlacementId id, const ModelShape& shape,
                                                const ClusterView& view) const {
  const Placement& placement = *heads_.find(id);
  const Plan& in_service = heads_.plan(id);
  PlanWishes wishes = wishes_from(heads_.order(id));
  wishes.fingerprint = placement.fingerprint;
  wishes.context_tokens = placement.context_tokens;
  wishes.sequences = placement.sequences;
  const auto now = foretell(view, shape, wishes, in_service);
  if (!now) return std::nullopt;
  const ClusterView free = without(view, placement);
  auto better = flotilla::plan(free, shape, wishes);
  // The head of the plan will plan again, with itself as head, and that may be another plan: it is that one that
  // counts.
  if (better) {
    wishes.head = better->stages.front().node;
    better = flotilla::plan(free, shape, wishes);
  }
  if (!better) return std::nullopt;
  auto then = foretell(view, shape, wishes, *better);
  if (!then) return std::nullopt;
  return Finding{.better = *std::move(better), .now = *now, .then = *std::move(then)};
}

void MoveDesk::start(PlacementId id, Watched& watched) {
  const Finding& found = *watched.finding;
  const std::string& model = heads_.find(id)->model;
  watched.target = found.better.stages.front().node;
  watched.why = why_move(heads_.plan(id), found.now, found.better, found.then);
  log(LogLevel::info, "app", "{} moves: {}", model, watched.why);
  if (fits_now(context_.view(), found.better)) {
    heads_.tell(id, "moving: " + watched.why);
    return load(id, watched, Phase::loading_beside);
  }
  watched.phase = Phase::closing;
  watched.until = now_() + close_max;
  heads_.close(id, "moving: " + watched.why, std::nullopt);
}

void MoveDesk::close_or_put_off(PlacementId id, Watched& watched) {
  const auto now = now_();
  if (running_(id) == 0) {
    watched.phase = Phase::emptied;
    watched.until = now + free_max;
    return heads_.empty(id, "moving: " + watched.why);
  }
  if (now < watched.until) return;
  watched.phase = Phase::in_service;
  watched.watch.on_put_off(now);
  log(LogLevel::warning, "app", "{} stays for now: answers under way take longer than {} s", heads_.find(id)->model,
      close_max / 1s);
  heads_.open_again(id, "move put off until answers are shorter: " + watched.why);
}

// The same wishes: the new head plans by itself, and by what it sees.
void MoveDesk::load(PlacementId id, Watched& watched, Phase phase) {
  watched.phase = phase;
  const Placement& placement = *heads_.find(id);
  LoadModel order = heads_.order(id);
  order.context_tokens = placement.context_tokens;
  order.sequences = placement.sequences;
  order.moves = watched.watch.moves_with_this(now_());
  order.why_moved = "moved: " + watched.why;
  loads_.ask(watched.target, std::move(order), nullptr,
             [this, id](const Result<Placement>& loaded) { on_loaded(id, loaded); });
}

void MoveDesk::on_loaded(PlacementId id, const Result<Placement>& loaded) {
  const auto found = watched_.find(id);
  if (found == watched_.end() || heads_.find(id) == nullptr) {
    if (loaded) drop_surplus(*loaded);
    return;
  }
  if (found->second.phase == Phase::loading_beside) return on_beside(id, found->second, loaded);
  on_after(id, found->second, loaded);
}

void MoveDesk::on_beside(PlacementId id, Watched& watched, const Result<Placement>& loaded) {
  if (!loaded) {
    log(LogLevel::warning, "app", "{} stays: {}", heads_.find(id)->model, loaded.error().message);
    watched.phase = Phase::in_service;
    watched.watch.on_put_off(now_());
    return heads_.tell(id, "not moved: " + loaded.error().message);
  }
  log(LogLevel::warning, "app", "{} has moved: {}", loaded->model, watched.why);
  watched.phase = Phase::ending;
  watched.until = now_() + ending_min;
  heads_.close(id, "answers what came before it moved", *loaded);
}

void MoveDesk::on_after(PlacementId id, Watched& watched, const Result<Placement>& loaded) {
  if (loaded) {
    log(LogLevel::warning, "app", "{} has moved: {}", loaded->model, watched.why);
    return heads_.hand_over(id, *loaded);
  }
  log(LogLevel::warning, "app", "{} goes back to where it was: {}", heads_.find(id)->model, loaded.error().message);
  heads_.load_again(id, "not moved: " + loaded.error().message);
}

// Its predecessor is gone. That one was replaced where another placement of the model is here; else this one is the
// model's only one, and welcome.
void MoveDesk::drop_surplus(const Placement& loaded) {
  if (loaded.head() == context_.identity.node) return;  // what replaces or unloads a model here ends all of it
  const ClusterView view = context_.view();
  for (const Member& member : view.members)
    for (const Placement& other : member.info.placements)
      if (other.model == loaded.model && other.id != loaded.id) {
        const UnloadModel order{random_u64(), loaded.model};
        context_.send(loaded.head(), make_frame(FrameKind::unload_model, encode(order)));
        return;
      }
}

void MoveDesk::on_unload(const std::string& model) {
  for (const auto& [id, watched] : watched_) {
    const Placement* placement = heads_.find(id);
    if (placement == nullptr || placement->model != model || watched.target == context_.identity.node) continue;
    if (watched.phase != Phase::in_service)
      context_.send(watched.target, make_frame(FrameKind::unload_model, encode(UnloadModel{random_u64(), model})));
  }
}

}  // namespace flotilla
