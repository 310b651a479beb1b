#include "app/reload_desk.h"

#include <algorithm>
#include <memory>

#include "app/fleet.h"
#include "base/log.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

// Who was lost together comes together, and the machines left have told by then that their memory is free.
constexpr auto pause_first = 50ms;
constexpr auto pause_max = 1s;
constexpr auto open_pause = 200ms;
constexpr std::uint32_t open_tries_max = 5;

// Whether another machine, or the same one a moment later, may do what failed now.
bool may_pass(Code code) {
  switch (code) {
    case Code::no_memory:  // a machine that is away may come back
    case Code::not_found:  // so may one that has the file
    case Code::unavailable:
    case Code::closed:
    case Code::timeout:
    case Code::busy:
    case Code::no_space:
      return true;
    default:
      return false;
  }
}

}  // namespace

void ReloadDesk::want(const LostModel& lost, Wish wish, OnFound on_found) {
  const Key key{lost.model, lost.fingerprint};
  const auto [found, is_new] = searches_.try_emplace(key);
  Search& search = found->second;
  search.lost = lost;
  search.waiters.push_back({std::move(wish), std::move(on_found)});
  if (!is_new) return;
  search.began = now_();
  wait(key, search);
}

void ReloadDesk::leave(RequestId request) {
  for (auto it = searches_.begin(); it != searches_.end();) {
    const auto current = it++;
    std::erase_if(current->second.waiters, [&](const Waiter& waiter) { return waiter.wish.request == request; });
    end_idle(current->first, current->second);
  }
}

void ReloadDesk::open(const std::string& model, OnFound on_found) { try_to_open(model, on_found, open_tries_max); }

void ReloadDesk::try_to_open(const std::string& model, const OnFound& on_found, std::uint32_t tries_left) {
  LoadModel order;
  order.model = model;
  order.any_will_do = true;
  loads_.load(std::move(order), nullptr, [this, model, on_found, tries_left](const Result<Placement>& loaded) {
    if (loaded) return on_found(loaded);
    Error cause = loaded.error();
    if (cause.code == Code::cancelled) return cause.code = Code::unavailable, on_found(fail(cause));  // unloaded
    if (may_pass(cause.code) && join(model, on_found)) return;
    const bool has_left = cause.code == Code::unavailable || cause.code == Code::closed || cause.code == Code::busy;
    if (!has_left || tries_left == 0) return on_found(loaded);
    const std::uint64_t opening = ++openings_begun_;
    openings_[opening] = context_.alarm(open_pause, [this, opening, model, on_found, tries_left] {
      const auto rung = openings_.extract(opening);
      try_to_open(model, on_found, tries_left - 1);
    });
  });
}

// False where nobody waits for the model.
bool ReloadDesk::join(const std::string& model, const OnFound& on_found) {
  const auto found = std::ranges::find(searches_, model, [](const auto& entry) { return entry.first.first; });
  if (found == searches_.end() || found->second.waiters.empty()) return false;
  const std::string why = found->second.waiters.front().wish.why;
  found->second.waiters.push_back({{.why = why, .until = now_() + limits::resume_wait_max}, on_found});
  return true;
}

std::vector<WaitingRequests> ReloadDesk::waiting() const {
  std::vector<WaitingRequests> list;
  for (const auto& [key, search] : searches_)
    if (!search.waiters.empty())
      list.push_back({key.first, static_cast<std::uint32_t>(search.waiters.size()), search.detail});
  return list;
}

// True where the search is over; then it is no more.
bool ReloadDesk::end_idle(const Key& key, Search& search) {
  if (!search.waiters.empty() || search.is_asking) return false;
  const bool was_told = search.tries > 0;
  searches_.erase(Key(key));
  if (was_told) context_.changed();
  return true;
}

void ReloadDesk::wait(const Key& key, Search& search) {
  search.pause = std::clamp<Clock::duration>(2 * search.pause, pause_first, pause_max);
  search.alarm = context_.alarm(search.pause, [this, key] { ask(key); });
}

// Every node that has requests of it asks the same head first, so that there is one new placement and not several.
void ReloadDesk::ask(const Key& key) {
  const auto found = searches_.find(key);
  if (found == searches_.end() || found->second.is_asking) return;
  Search& search = found->second;
  give_up_late(search);
  if (end_idle(key, search)) return;
  const std::string& why = search.waiters.back().wish.why;
  LoadModel order;
  order.model = search.lost.model;
  order.context_tokens = search.lost.context_tokens;
  order.sequences = search.lost.sequences;
  order.why_moved = "loaded again: " + why;
  order.any_will_do = true;
  search.is_asking = true;
  if (search.tries++ == 0) {
    search.detail = why;
    log(LogLevel::warning, "app", "{} is to be loaded again; answers that wait for it: {}; {}", key.first,
        search.waiters.size(), why);
    context_.changed();
  }
  const ClusterView view = context_.view();
  const auto on_done = [this, key](const Result<Placement>& loaded) { on_answer(key, loaded); };
  if (!is_joined(view, search.lost.head) || search.head_was_asked || placement_of(view, order.model))
    return loads_.load(std::move(order), nullptr, on_done);
  search.head_was_asked = true;
  loads_.ask(search.lost.head, std::move(order), nullptr, on_done);
}

void ReloadDesk::on_answer(const Key& key, const Result<Placement>& loaded) {
  const auto found = searches_.find(key);
  if (found == searches_.end()) return;
  Search& search = found->second;
  search.is_asking = false;
  if (loaded) {
    on_loaded(search, *loaded);
  } else if (!may_pass(loaded.error().code)) {
    serve(search, [](const Waiter&) { return true; }, [&](const Waiter&) { return loaded; });
  } else if (search.detail != loaded.error().message) {
    search.detail = loaded.error().message;
    log(LogLevel::info, "app", "{} is not loaded again yet: {}", key.first, search.detail);
    context_.changed();
  }
  if (!end_idle(key, search)) wait(key, search);
}

// The view may be older than the news that a placement is gone: who knows better asks again.
void ReloadDesk::on_loaded(Search& search, const Placement& placement) {
  if (placement.fingerprint != search.lost.fingerprint)
    return serve(
        search, [](const Waiter&) { return true; },
        [&](const Waiter&) -> Result<Placement> {
          return fail(Code::unavailable,
                      "[app] {} was lost, and what is loaded by that name now is another file; send the "
                      "request again",
                      placement.model);
        });
  if (placement.state != PlacementState::ready) return;
  const auto before = search.waiters.size();
  serve(
      search, [&](const Waiter& waiter) { return waiter.wish.gone != placement.id; },
      [&](const Waiter&) { return placement; });
  std::string machines;
  for (const PlacedStage& stage : placement.stages)
    for (const NodeId& node : stage.nodes) machines += (machines.empty() ? "" : ", ") + name_of(context_.view(), node);
  if (const auto served = before - search.waiters.size(); served > 0)
    log(LogLevel::warning, "app", "{} is there again on {} after {:.2f} s; answers that go on: {}", placement.model,
        machines, std::chrono::duration<double>(now_() - search.began).count(), served);
}

void ReloadDesk::give_up_late(Search& search) {
  serve(
      search, [now = now_()](const Waiter& waiter) { return now >= waiter.wish.until; },
      [&](const Waiter& waiter) -> Result<Placement> {
        return fail(Code::unavailable,
                    "[app] expected {} to be loaded again within {} s but it was not ({}; before: {})",
                    search.lost.model, limits::resume_wait_max / 1s, search.detail, waiter.wish.why);
      });
}

// Who is served may want again at once, so all of them are taken out before.
void ReloadDesk::serve(Search& search, const std::function<bool(const Waiter&)>& is_served,
                       const std::function<Result<Placement>(const Waiter&)>& answer) {
  const auto served = std::ranges::stable_partition(search.waiters, std::not_fn(is_served));
  std::vector<std::pair<OnFound, Result<Placement>>> answers;
  for (const Waiter& waiter : served) answers.emplace_back(waiter.on_found, answer(waiter));
  search.waiters.erase(served.begin(), served.end());
  for (auto& each : answers) boost::asio::post(context_.loop, [told = std::move(each)] { told.first(told.second); });
}

}  // namespace flotilla
