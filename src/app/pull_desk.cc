#include "app/pull_desk.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>

#include "app/fleet.h"
#include "app/model_removal.h"
#include "base/log.h"
#include "base/words.h"
#include "hub/cached_choice.h"
#include "hub/hub_cache.h"
#include "hub/pull.h"

namespace flotilla {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto tell_interval = 500ms;
constexpr std::size_t pulls_max = 64;

json pulled_json(const PulledModel& pulled) {
  json files = json::array();
  for (const auto& file : pulled.files) files.push_back(file.string());
  return {{"name", pulled.name}, {"repository", pulled.repository}, {"commit", pulled.commit},
          {"files", files},      {"bytes", pulled.bytes},           {"fetched_bytes", pulled.fetched_bytes}};
}

}  // namespace

struct PullDesk::Job {
  struct Watcher {
    OnLine on_line;
    OnDone on_done;
  };
  std::string key, text;
  ModelReference model;
  std::string revision;
  std::map<std::uint64_t, Watcher> watchers;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> done_bytes{0}, total_bytes{0};
  RateMeter rate;
  std::string digest;  // of the file that comes

  json progress(const std::string& machine) const {
    const std::uint64_t done = done_bytes, total = total_bytes;
    const json of_machine{{"name", machine}, {"done_bytes", done}, {"total_bytes", total}};
    return {{"done_bytes", done},
            {"total_bytes", total},
            {"bytes_per_second", static_cast<std::uint64_t>(rate.per_second())},
            {"digest", digest},
            {"machines", json::array({of_machine})}};
  }
};

PullDesk::PullDesk(NodeContext& context, std::filesystem::path home)
    : context_(context), home_(std::move(home)), ticker_(context.alarm, tell_interval, [this] { tell_progress(); }) {}

PullDesk::~PullDesk() {
  gone_->store(true);
  for (const auto& [key, job] : jobs_) job->stop = true;
}

std::uint64_t PullDesk::pull(const std::string& model, const std::string& revision, OnLine on_line, OnDone on_done) {
  const auto reference = parse_model_reference(model);
  if (!reference) return on_done(fail(reference.error())), 0;
  if (!reference->file.empty() || !is_revision(revision))
    return on_done(fail(Code::invalid_argument,
                        "[app] expected a model of a hub, and a branch or tag of it, but got "
                        "'{}' at '{}'",
                        model, revision)),
           0;
  const std::string key = lower_case(reference->text()) + "@" + revision;
  auto& job = jobs_[key];
  if (job == nullptr && jobs_.size() > pulls_max) {
    jobs_.erase(key);
    return on_done(fail(Code::busy, "[app] expected at most {} pulls at once; wait for one to end", pulls_max)), 0;
  }
  const bool is_new = job == nullptr;
  if (is_new) {
    job = std::make_shared<Job>();
    job->key = key;
    job->text = model;
    job->model = *reference;
    job->revision = revision;
  }
  const std::uint64_t watcher = ++watchers_;
  job->watchers[watcher] = {std::move(on_line), std::move(on_done)};
  if (is_new) start(job);
  return watcher;
}

void PullDesk::leave(std::uint64_t watcher) {
  for (const auto& [key, job] : jobs_) {
    if (job->watchers.erase(watcher) == 0 || !job->watchers.empty()) continue;
    log(LogLevel::info, "app", "nobody waits for {} any more; its pull ends, and what has come is kept", job->text);
    job->stop = true;
    jobs_.erase(std::string(key));  // who asks next begins another, which waits until this one has let go
    return;
  }
}

void PullDesk::start(const std::shared_ptr<Job>& job) {
  if (!std::exchange(is_ticking_, true)) ticker_.begin();
  context_.pulls.post([this, context = &context_, job, gone = gone_] {
    const auto note = [&](const std::string& sentence) {
      boost::asio::post(context->loop, [this, job, gone, line = json{{"note", without_room(sentence)}}] {
        if (!*gone) tell(job, line);
      });
    };
    const PullWatch watch{.on_progress =
                              [&](std::uint64_t done, std::uint64_t total) {
                                job->done_bytes = done;
                                job->total_bytes = total;
                              },
                          .on_note = note,
                          .on_file =
                              [&](const HubFile& file) {
                                boost::asio::post(context->loop, [job, sha256 = file.sha256] { job->digest = sha256; });
                              },
                          .stop = [job] { return job->stop.load(); }};
    const auto settings = context->hub_settings();
    auto pulled = settings ? pull_model({.model = job->model, .revision = job->revision, .settings = *settings}, watch)
                           : Result<PulledModel>(fail(settings.error()));
    if (pulled) context->store.refresh();
    boost::asio::post(context->loop, [this, job, gone, pulled = std::move(pulled)] {
      if (*gone) return;
      if (pulled) context_.changed();
      finish(job, pulled.transform(pulled_json));
    });
  });
}

void PullDesk::tell(const std::shared_ptr<Job>& job, const json& line) {
  const auto watchers = job->watchers;  // one may leave, being told
  for (const auto& [number, watcher] : watchers) watcher.on_line(line);
}

void PullDesk::tell_progress() {
  const auto jobs = jobs_;
  for (const auto& [key, job] : jobs) {
    if (job->total_bytes == 0) continue;
    job->rate.add(RateMeter::Time::clock::now(), job->done_bytes);
    tell(job, {{"progress", job->progress(context_.identity.name)}});
  }
}

void PullDesk::finish(const std::shared_ptr<Job>& job, const Result<json>& result) {
  if (const auto found = jobs_.find(job->key); found != jobs_.end() && found->second == job) jobs_.erase(found);
  if (result) tell(job, {{"progress", job->progress(context_.identity.name)}});
  for (const auto& [number, watcher] : std::exchange(job->watchers, {})) watcher.on_done(result);
}

json PullDesk::pulls() const {
  json list = json::array();
  for (const auto& [key, job] : jobs_) {
    json pull = job->progress(context_.identity.name);
    pull.erase("machines");
    pull.erase("digest");
    pull["model"] = job->text;
    pull["revision"] = job->revision;
    list.push_back(std::move(pull));
  }
  return {{"pulls", list}};
}

// An empty repository is nobody's.
Status PullDesk::is_at_rest(const std::string& repository) const {
  for (const auto& [key, job] : jobs_)
    if (!repository.empty() && lower_case(job->model.repository) == lower_case(repository))
      return fail(Code::busy, "[app] {} is being pulled here; stop that first, then delete it", job->text);
  return {};
}

Status PullDesk::may_go(const std::string& name, const std::string& repository) const {
  FLOTILLA_TRY_STATUS(is_at_rest(repository));
  const ClusterView view = context_.view();
  if (const Placement* placement = placement_of(view, name))
    return fail(Code::busy, "[app] {} is loaded (headed by {}); unload it first, then delete it", name,
                name_of(view, placement->head()));
  return {};
}

// The disk is read and written on the copy pool; what says no is asked between, on the loop.
void PullDesk::remove(const std::string& model, OnDone on_done) {
  if (const auto reference = parse_model_reference(model))
    if (const auto free = is_at_rest(reference->repository); !free) return on_done(fail(free.error()));
  context_.copies.post([this, context = &context_, home = home_, model, on_done, gone = gone_] {
    const auto removal = find_removal(home, model);
    boost::asio::post(context->loop, [this, context, model, on_done, gone, removal] {
      if (*gone) return;
      if (!removal) return on_done(fail(removal.error()));
      if (const auto free = may_go(removal->name, removal->repository); !free) return on_done(fail(free.error()));
      context->copies.post([context, removal = *removal, on_done, gone] {
        const auto freed = removal.remove();
        context->store.refresh();
        boost::asio::post(context->loop, [context, removal, on_done, gone, freed] {
          if (*gone) return;
          context->changed();
          if (!freed) return on_done(fail(freed.error()));
          on_done(json{{"model", removal.name}, {"freed_bytes", *freed}});
        });
      });
    });
  });
}

}  // namespace flotilla
