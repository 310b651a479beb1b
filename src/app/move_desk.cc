#include "app/move_desk.h"

#include <algorithm>

#include "app/fleet.h"
#include "app/wishes.h"
#include "base/log.h"
#include "model/spec.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 1s;
constexpr auto close_max = 20s;  // new requests wait so long for answers under way, then the move is put off
constexpr auto ending_min = 2s;  // requests sent before the news of the new placement reached their entry node come yet
constexpr auto free_max = 5s;    // until machines have told that their memory is free; then it is tried anyway
constexpr auto shape_pause = 60s;  // after a header that could not be had or read
constexpr auto surplus_max = 60s;  // a placement that replaces one has long been told of by then

}  // namespace

MoveDesk::MoveDesk(NodeContext& context, HeaderDesk& headers, HeadDesk& heads, LoadDesk& loads, Running running,
                   Now now)
    : context_(context),
      headers_(headers),
      heads_(heads),
      loads_(loads),
      running_(std::move(running)),
      now_(std::move(now)),
      ticker_(context.alarm, tick_interval, [this] { look(); }) {}

void MoveDesk::begin() { ticker_.begin(); }

void MoveDesk::stop() { ticker_.stop(); }

void MoveDesk::look() {
  for (const Placement& placement : heads_.placements())
    if (placement.state == PlacementState::ready && !placement.embeds && !watched_.contains(placement.id))
      begin_watching(placement);
  // One that is not here any more was unloaded, replaced or lost; what is being loaded for it answers to on_loaded().
  std::erase_if(watched_, [&](const auto& entry) { return heads_.find(entry.first) == nullptr; });
  std::vector<PlacementId> ids;
  for (const auto& [id, watched] : watched_) ids.push_back(id);
  for (const PlacementId id : ids)
    if (const auto found = watched_.find(id); found != watched_.end()) step(id, found->second);
  std::erase_if(surplus_, [&](const Surplus& each) { return drop_surplus(each.placement) || now_() >= each.until; });
}

void MoveDesk::begin_watching(const Placement& placement) {
  const ReplanWatch watch(heads_.order(placement.id).moves, now_());
  const auto [entry, is_new] = watched_.emplace(
      placement.id, Watched{.watch = watch, .shape = {}, .basis = {}, .finding = {}, .target = {}, .why = {}});
  want_shape(placement.id, entry->second);
}

void MoveDesk::want_shape(PlacementId id, Watched& watched) {
  watched.shape_wanted_at = now_();
  const Placement& placement = *heads_.find(id);
  headers_.want(placement.model, placement.fingerprint, [this, id](const Result<StoredModel>& stored) {
    const auto found = watched_.find(id);
    if (found == watched_.end()) return;
    auto shape = stored ? read_shape(*stored->gguf) : Result<ModelShape>(fail(stored.error()));
    if (!shape)
      return log(LogLevel::warning, "app", "a placement is not planned again until its header can be read: {}",
                 shape.error().message);
    found->second.shape = *std::move(shape);
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
      return end_or_stay(id, watched);
    case Phase::closing:
      return close_or_put_off(id, watched);
    case Phase::emptied:
      if (now >= watched.until || fits_now(context_.view(), watched.finding->better))
        load(id, watched, Phase::loading_after);
      return;
  }
}

// Planning takes up to some milliseconds in a large fleet: only where a node, or who wants the model, has said
// something new.
void MoveDesk::examine(PlacementId id, Watched& watched) {
  if (!watched.shape && now_() - watched.shape_wanted_at >= shape_pause) want_shape(id, watched);
  if (!watched.shape || heads_.find(id)->state != PlacementState::ready) return;
  const ClusterView view = context_.view();
  Basis basis{.nodes = {}, .order = heads_.order(id)};
  for (const Member& member : view.members)
    basis.nodes.emplace_back(member.info.id, member.state, member.info.incarnation, member.info.revision);
  if (basis.nodes != watched.basis.nodes || !asks_alike(basis.order, watched.basis.order))
    watched.finding = find(id, *watched.shape, view);
  watched.basis = std::move(basis);
  if (!watched.finding) return watched.watch.on_nothing_known();
  const Finding& found = *watched.finding;
  if (watched.watch.on_finding(found.now, found.then, now_())) start(id, watched);
}

std::optional<MoveDesk::Finding> MoveDesk::find(PlacementId id, const ModelShape& shape,
                                                const ClusterView& view) const {
  const Placement& placement = *heads_.find(id);
  const Plan& in_service = heads_.plan(id);
  PlanWishes wishes = wishes_from(heads_.order(id), context_.activation_type);
  wishes.fingerprint = placement.fingerprint;
  wishes.context_tokens = placement.context_tokens;
  wishes.sequences = placement.sequences;
  const std::string withdrawal = who_withdraws(view, in_service);
  const auto now =
      withdrawal.empty() ? foretell(view, shape, wishes, in_service) : std::optional(beyond_all(in_service));
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
  if (!then && withdrawal.empty()) return std::nullopt;
  return Finding{.better = *std::move(better),
                 .now = *now,
                 .then = std::move(then).value_or(Foretold{}),
                 .withdrawal = withdrawal};
}

void MoveDesk::start(PlacementId id, Watched& watched) {
  const Finding& found = *watched.finding;
  const std::string& model = heads_.find(id)->model;
  watched.target = found.better.stages.front().node;
  watched.why = found.withdrawal.empty() ? why_move(heads_.plan(id), found.now, found.better, found.then)
                                         : why_hand_over(found.withdrawal, found.better);
  log(LogLevel::info, "app", "{} moves: {}", model, watched.why);
  if (fits_now(context_.view(), found.better)) {
    heads_.tell(id, "moving: " + watched.why);
    return load(id, watched, Phase::loading_beside);
  }
  watched.phase = Phase::closing;
  watched.until = now_() + close_max;
  heads_.close(id, "moving: " + watched.why, false);
}

void MoveDesk::close_or_put_off(PlacementId id, Watched& watched) {
  const auto now = now_();
  if (!is_wished_still(id, watched)) {
    watched.phase = Phase::in_service;
    return heads_.open_again(id, "not moved: someone said where it shall be");
  }
  if (running_(id) == 0) {
    watched.phase = Phase::emptied;
    watched.until = now + free_max;
    return heads_.empty(id, "moving: " + watched.why);
  }
  if (now < watched.until) return;
  put_off(watched);
  log(LogLevel::warning, "app", "{} stays for now: answers under way take longer than {} s", heads_.find(id)->model,
      close_max / 1s);
  heads_.open_again(id, "move put off until answers are shorter: " + watched.why);
}

// Where the new one is gone before this one has ended, whoever came next has opened this one again.
void MoveDesk::end_or_stay(PlacementId id, Watched& watched) {
  if (heads_.find(id)->state == PlacementState::ready) return put_off(watched);
  if (now_() >= watched.until && running_(id) == 0)
    heads_.end(id, {Code::unavailable, "[app] the model has moved; send the request again"});
}

void MoveDesk::put_off(Watched& watched) {
  watched.phase = Phase::in_service;
  watched.watch.on_put_off(now_());
}

bool MoveDesk::is_wished_still(PlacementId id, const Watched& watched) const {
  return asks_alike(heads_.order(id), watched.basis.order);
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
    if (loaded && !drop_surplus(*loaded)) surplus_.push_back({*loaded, now_() + surplus_max});
    return;
  }
  // A head that answers with what is to move has not understood: there would be nothing left.
  const Result<Placement> moved =
      loaded && loaded->id == id
          ? Result<Placement>(
                fail(Code::internal, "[app] it was sent back to where it is by the machine it was to move to"))
          : loaded;
  if (found->second.phase == Phase::loading_beside) return on_beside(id, found->second, moved);
  on_after(id, found->second, moved);
}

void MoveDesk::on_beside(PlacementId id, Watched& watched, const Result<Placement>& loaded) {
  if (!loaded) {
    log(LogLevel::warning, "app", "{} stays: {}", heads_.find(id)->model, loaded.error().message);
    put_off(watched);
    return heads_.tell(id, "not moved: " + loaded.error().message);
  }
  if (!is_wished_still(id, watched)) {
    put_off(watched);
    heads_.tell(id, "not moved: someone said where it shall be");
    return give_back(*loaded);
  }
  log(LogLevel::warning, "app", "{} has moved: {}", loaded->model, watched.why);
  watched.phase = Phase::ending;
  watched.until = now_() + ending_min;
  heads_.close(id, "answers what came before it moved", true);
}

void MoveDesk::on_after(PlacementId id, Watched& watched, const Result<Placement>& loaded) {
  if (loaded) {
    log(LogLevel::warning, "app", "{} has moved: {}", loaded->model, watched.why);
    return heads_.hand_over(id, *loaded);
  }
  log(LogLevel::warning, "app", "{} goes back to where it was: {}", heads_.find(id)->model, loaded.error().message);
  heads_.load_again(id, "not moved: " + loaded.error().message, watched.watch.moves_with_this(now_()));
}

// Its predecessor is gone. That one was replaced where another placement of the model is here, or will be as soon as
// its head has planned it; else this one is the model's only one, and welcome. True: there is nothing left to decide.
bool MoveDesk::drop_surplus(const Placement& loaded) {
  if (loaded.head() == context_.identity.node) return true;  // what replaces or unloads a model here ends all of it
  const ClusterView view = context_.view();
  for (const Member& member : view.members)
    for (const Placement& other : member.info.placements)
      if (other.model == loaded.model && other.id != loaded.id && other.head() != loaded.head()) {
        give_back(loaded);
        return true;
      }
  return false;
}

void MoveDesk::give_back(const Placement& loaded) {
  if (loaded.head() == context_.identity.node)
    return heads_.end(loaded.id, {Code::unavailable, "[app] the model stays where it was; send the request again"});
  const UnloadModel order{.ticket = context_.random(), .model = loaded.model};
  context_.send(loaded.head(), make_frame(FrameKind::unload_model, encode(order)));
}

void MoveDesk::on_unload(const UnloadModel& order) {
  std::erase_if(watched_, [&](const auto& entry) {
    const auto& [id, watched] = entry;
    const Placement* placement = heads_.find(id);
    if (placement == nullptr || placement->model != order.model) return false;
    if (watched.phase != Phase::in_service && watched.target != context_.identity.node) {
      UnloadModel there = order;
      there.ticket = context_.random();
      context_.send(watched.target, make_frame(FrameKind::unload_model, encode(there)));
    }
    return true;
  });
}

}  // namespace flotilla
