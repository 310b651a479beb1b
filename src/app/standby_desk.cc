#include "app/standby_desk.h"

#include <algorithm>
#include <bit>
#include <condition_variable>
#include <mutex>

#include "app/fleet.h"
#include "base/log.h"
#include "base/units.h"
#include "hub/byte_ranges.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto look_interval = 2s;
constexpr std::uint64_t piece_bytes = 16u << 20;  // 0.14 s of a gigabit
constexpr int rest_of_piece = 3;                  // times as long as it took

// Down to an eighth of its size or less: it is told to all nodes, and disks change by the second.
std::uint64_t rounded(std::uint64_t bytes) {
  const std::uint64_t step = std::bit_floor(bytes) / 8;
  return step == 0 ? bytes : bytes / step * step;
}

}  // namespace

struct StandbyDesk::Copy {
  StandbyWish wish;
  std::string host;
  std::uint16_t port = 0;
  std::atomic<std::uint64_t> done_bytes{0};
  std::uint64_t told_bytes = 0;  // the loop's
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::condition_variable stopped;

  void rest(Clock::duration time) {
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, time, [this] { return stop.load(); });
  }
  void end() {
    {
      const std::scoped_lock lock(mutex);
      stop = true;
    }
    stopped.notify_all();
  }
};

StandbyDesk::StandbyDesk(NodeContext& context, std::optional<std::uint64_t> bytes, Now now)
    : context_(context),
      bytes_(bytes),
      now_(std::move(now)),
      ticker_(context.alarm, look_interval, [this] { look(); }) {}

StandbyDesk::~StandbyDesk() {
  if (copy_) copy_->end();
}

void StandbyDesk::begin() { ticker_.begin(); }

std::uint64_t StandbyDesk::room_bytes() const {
  const std::uint64_t free = context_.store.space_left();
  if (!bytes_) return rounded(free / 4);
  std::uint64_t taken = 0;
  for (const StoredModel& model : context_.store.list())
    if (model.is_part && model.info.complete) taken += model.info.file_bytes;
  return rounded(std::min(*bytes_ - std::min(*bytes_, taken), free));
}

std::vector<StandbyCopy> StandbyDesk::copies() const {
  if (!copy_) return {};
  return {{copy_->wish.model, copy_->wish.fingerprint, copy_->told_bytes, copy_->wish.file_bytes}};
}

void StandbyDesk::look() {
  if (copy_) {
    const std::uint64_t done = copy_->done_bytes;
    if (done - copy_->told_bytes < copy_->wish.file_bytes / 10) return;  // all nodes are told: not of every piece
    copy_->told_bytes = done;
    return context_.changed();
  }
  const ClusterView view = context_.view();
  auto wish = standby_wish(view, context_.identity.node);
  if (wish != wish_) {
    wish_ = std::move(wish);
    wished_at_ = now_();
  }
  if (wish_ && now_() >= std::max(wished_at_ + settle_time, not_before_)) start(*wish_);
}

void StandbyDesk::start(const StandbyWish& wish) {
  const ClusterView view = context_.view();
  const Member* source = view.find(wish.source);
  if (!source) return;
  copy_ = std::make_shared<Copy>();
  copy_->wish = wish;
  copy_->host = source->host;
  copy_->port = source->info.cluster_port;
  log(LogLevel::info, "app", "copying {} ({}) from {}, the only machine that has it whole", wish.model,
      format_bytes(wish.file_bytes), source->info.name);
  context_.changed();
  // The pool may outlive this object by a moment: then the copy was told to stop, and nobody is called.
  context_.copies.post([this, context = &context_, copy = copy_] {
    auto status = bring(*context, *copy);
    boost::asio::post(context->loop, [this, copy, status = std::move(status)] {
      if (!copy->stop) on_done(copy, status);
    });
  });
}

// On the copy pool, blocking.
Status StandbyDesk::bring(NodeContext& context, Copy& copy) {
  const StandbyWish& wish = copy.wish;
  FLOTILLA_TRY(const auto link, context.bulk(wish.source, copy.host, copy.port));
  FLOTILLA_TRY(const StoredModel model, context.store.fetch_header(*link, wish.model, wish.fingerprint));
  const auto all = Store::whole(model);
  FLOTILLA_TRY_STATUS(context.store.verify(wish.fingerprint, all));  // what was kept from earlier loads
  const auto pieces = in_pieces(context.store.missing(wish.fingerprint, all), piece_bytes);
  copy.done_bytes = wish.file_bytes - std::min(wish.file_bytes, bytes_in(pieces));
  for (const FileRange& piece : pieces) {
    const auto begun = Clock::now();
    FLOTILLA_TRY_STATUS(context.store.fetch_ranges(*link, model, {piece}, {}, copy.stop).transform([](const auto&) {}));
    copy.done_bytes += piece.bytes;
    copy.rest(rest_of_piece * (Clock::now() - begun));
    if (copy.stop) return fail(Code::cancelled, "[app] the copy was stopped");
  }
  return {};
}

void StandbyDesk::on_done(const std::shared_ptr<Copy>& copy, const Status& status) {
  copy_.reset();
  wish_.reset();
  if (status) {
    log(LogLevel::info, "app", "{} is now on this disk too", copy->wish.model);
  } else {
    not_before_ = now_() + pause_after_failure;
    log(LogLevel::warning, "app", "no second copy of {} yet: {}", copy->wish.model, status.error().message);
  }
  context_.changed();
}

}  // namespace flotilla
