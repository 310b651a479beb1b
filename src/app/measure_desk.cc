#include "app/measure_desk.h"

#include <algorithm>
#include <cmath>

#include "app/machine.h"
#include "app/version.h"
#include "base/log.h"
#include "base/words.h"
#include "engine/machine_rates.h"

namespace flotilla {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 1s;
constexpr auto quiet_time = 3s;        // without a step: two messages of a runner that computes would have come
constexpr auto first_delay = 6s;       // after the start: links, which take a moment, go first
constexpr auto child_time_max = 180s;  // beyond, it hangs
constexpr auto pause_first = 60s, pause_max = 3600s;  // after a failure, or while the machine is slowed down
constexpr double recovered_max = 1.25;                // times as long as before; less is scatter
constexpr double share_change_min = 0.05;             // of it; less is rounding

void slow_down(MachineRates& rates, double factor) {
  for (KernelRate& kernel : rates.kernels)
    for (double& seconds : kernel.seconds_per_gib) seconds *= factor;
  rates.layer_seconds *= factor;
  rates.memory_bytes_per_second /= factor;
  rates.attention_bytes_per_second /= factor;
  rates.attention_prompt_bytes_per_second /= factor;
}

double yardstick(const MachineRates& rates) { return rates.kernels.front().seconds_per_gib.front(); }

// Types of the matrices of a model, those that kernels multiply with.
std::vector<std::string> types_of(const Gguf& gguf) {
  std::vector<int> types;
  for (const TensorPlace& place : gguf.tensors())
    if (place.shape.size() == 2) types.push_back(place.type);
  return measurable_types(types);
}

}  // namespace

MeasureDesk::MeasureDesk(NodeContext& context, Options options, Now now)
    : context_(context),
      options_(std::move(options)),
      now_(std::move(now)),
      ticker_(context.alarm, tick_interval, [this] { look(); }) {}

MeasureDesk::~MeasureDesk() { stop(); }

void MeasureDesk::begin() {
  share_ = processor_share();
  not_before_ = now_() + first_delay;  // a machine that has just begun has better things to do
  measured_ = read_rates(options_.home / "rates.json", circumstances());
  ticker_.begin();
}

void MeasureDesk::stop() {
  ticker_.stop();
  end_child();
  answer_all(fail(Code::unavailable, "[app] this node is stopping"));
}

MachineRates MeasureDesk::rates() const {
  if (!measured_) return {};
  MachineRates rates = *measured_;
  // A quota grants some milliseconds of full speed, then none: what is measured is the full speed, what a stage gets
  // over its steps is its share of that.
  const double factor = slower_ * options_.threads / granted();
  if (factor != 1) slow_down(rates, factor);
  return rates;
}

double MeasureDesk::granted() const { return std::min<double>(options_.threads, share_); }

Circumstances MeasureDesk::circumstances() const {
  return {.processor = processor_name(),
          .threads = options_.threads,
          .kernels = kernels_version(),
          .release = std::string(flotilla_version)};
}

bool MeasureDesk::is_quiet() const { return !child_ && now_() - worked_at_ >= quiet_time; }

void MeasureDesk::on_work() {
  worked_at_ = now_();
  if (!child_) return;
  log(LogLevel::info, "app", "measuring this machine is put off: something is to be computed");
  end_child();
  tell({});
}

void MeasureDesk::on_stats(const StageStats& stats, bool is_alone) {
  on_work();
  const auto change = watch_.on_stats(stats, is_alone);
  if (!change || !measured_) return;
  if (*change > 1 && !usual_seconds_) usual_seconds_ = yardstick(*measured_);
  // Faster than measured it is not for that: a shorter context alone makes steps shorter.
  slower_ = std::max(1.0, slower_ * *change);
  stale_ = true;
  log(*change > 1 ? LogLevel::warning : LogLevel::info, "app",
      "steps take {:.1f} times as long as before: this machine {}", *change,
      *change > 1 ? "was slowed down; it is counted as slower until it can be measured again" : "has recovered");
  context_.changed();
}

std::uint64_t MeasureDesk::want(bool again, OnProgress on_progress, OnDone on_done) {
  const std::uint64_t number = ++asker_numbers_;
  if (measured_ && !stale_ && !again && !child_ && missing_types().empty()) {
    on_done(rates());
    return number;
  }
  if (askers_.size() >= askers_max) {
    on_done(fail(Code::busy, "[app] expected at most {} to wait until this machine is measured; try again in a minute",
                 askers_max));
    return number;
  }
  if (again) stale_ = true;
  if (again && child_ && !everything_) end_child();
  not_before_ = {};
  askers_.push_back({number, now_(), std::move(on_progress), std::move(on_done)});
  if (!child_ && now_() - worked_at_ < quiet_time)
    OnProgress(askers_.back().on_progress)({"waiting until nothing is computed here", 0, 1});  // it may leave at that
  return number;
}

void MeasureDesk::leave(std::uint64_t asker) {
  std::erase_if(askers_, [&](const Asker& each) { return each.number == asker; });
}

void MeasureDesk::answer_all(const Result<MachineRates>& rates) {
  for (const Asker& asker : std::exchange(askers_, {})) asker.on_done(rates);
}

void MeasureDesk::look() {
  watch_share();
  give_up_waiting();
  const auto now = now_();
  if (child_ && now - child_started_ > child_time_max) {
    end_child();
    on_failure({Code::timeout, "[app] measuring this machine took longer than three minutes and was ended"});
  }
  if (again_at_ && now >= *again_at_) {
    again_at_.reset();
    stale_ = true;
  }
  if (!child_ && now - worked_at_ >= quiet_time && now >= not_before_ && (options_.unasked || !askers_.empty())) {
    if (!measured_ || stale_) {
      auto types = missing_types();
      start(std::move(types), true);
    } else if (auto missing = missing_types(); !missing.empty()) {
      start(std::move(missing), false);
    }
  }
}

// A measurement under way is waited for: it ends soon enough.
void MeasureDesk::give_up_waiting() {
  if (child_) return;
  std::vector<Asker> late;
  for (Asker& asker : askers_)
    if (now_() - asker.since >= wait_max) late.push_back(asker);
  std::erase_if(askers_, [&](const Asker& asker) { return now_() - asker.since >= wait_max; });
  for (const Asker& asker : late)
    asker.on_done(fail(Code::timeout,
                       "[app] expected a moment within {} minutes in which nothing is computed here but there was "
                       "none; ask again when this machine has less to do",
                       wait_max / 1min));
}

// A quota is known the moment it is set, before a stage has shown what it does to it.
void MeasureDesk::watch_share() {
  const double share = processor_share();
  if (std::abs(share - share_) <= share_change_min * share_) return;
  const double before = granted();
  share_ = share;
  if (before == granted()) return;
  watch_ = {};  // what stages will show is known already
  log(LogLevel::warning, "app", "this process now gets {:.2f} cores' time and got {:.2f}", granted(), before);
  context_.changed();
}

// Those wanted that are not in measured_; all of them where it does not hold.
std::vector<std::string> MeasureDesk::missing_types() {
  std::set<std::string> wanted(common_types().begin(), common_types().end());
  for (const StoredModel& model : context_.store.list()) {
    const auto [known, is_new] = types_by_model_.try_emplace(model.info.fingerprint);
    if (is_new) known->second = types_of(*model.gguf);
    wanted.insert(known->second.begin(), known->second.end());
  }
  if (measured_ && !stale_)
    for (const KernelRate& kernel : measured_->kernels) wanted.erase(kernel.type);
  for (const std::string& type : untimeable_) wanted.erase(type);
  return {wanted.begin(), wanted.end()};
}

void MeasureDesk::start(std::vector<std::string> types, bool everything) {
  RunnerSpawnOptions options{.verb = "gauge", .words = {}, .threads = options_.threads};
  options.words = {
      "--cores", std::to_string(options_.threads), "--types", joined(types, ","), "--scratch", options_.home.string()};
  if (!everything) options.words.insert(options.words.end(), {"--shards", std::to_string(measured_->shards)});
  options.log_level = context_.runner.log_level;
  auto child = RunnerProcess::spawn(
      context_.loop, options, [this](const Frame& frame) { on_child_frame(frame); },
      [this](const std::string& how) {
        child_.reset();
        on_failure({Code::unavailable, std::format("[app] the process that measures this machine {}", how)});
      });
  if (!child) return on_failure(child.error());
  child_ = *std::move(child);
  child_started_ = now_();
  everything_ = everything;
  asked_ = std::move(types);
}

void MeasureDesk::on_child_frame(const Frame& frame) {
  if (frame.header.kind == FrameKind::load_progress) {
    if (const auto progress = decode_load_progress(frame.body))
      tell({progress->text, static_cast<std::uint32_t>(progress->done_bytes),
            static_cast<std::uint32_t>(progress->total_bytes)});
  } else if (frame.header.kind == FrameKind::node_info) {
    auto info = decode_node_info(frame.body);
    end_child();
    if (info) return on_measured(std::move(info->rates));
    on_failure(info.error());
  } else if (frame.header.kind == FrameKind::stage_failed) {
    const auto failed = decode_stage_failed(frame.body);
    end_child();
    on_failure(failed ? Error{code_from_string(failed->code), failed->message} : failed.error());
  }
}

void MeasureDesk::on_measured(MachineRates rates) {
  // What cannot be timed (a type nobody can make at random) is not asked for each second.
  for (const std::string& type : asked_)
    if (!std::ranges::contains(rates.kernels, type, &KernelRate::type)) untimeable_.insert(type);
  if (everything_ || !measured_) {
    measured_ = std::move(rates);
    stale_ = false;
    slower_ = 1;
    watch_ = {};
    look_again_later();
  } else {
    measured_->kernels.insert(measured_->kernels.end(), rates.kernels.begin(), rates.kernels.end());
  }
  pause_ = {};
  if (const auto written = write_rates(options_.home / "rates.json", circumstances(), *measured_); !written)
    log(LogLevel::warning, "app", "what was measured is not kept: {}", written.error().message);
  context_.changed();
  tell({});
  answer_all(this->rates());
}

void MeasureDesk::look_again_later() {
  again_at_.reset();
  if (!usual_seconds_) return;
  if (measured_->kernels.empty() || yardstick(*measured_) <= recovered_max * *usual_seconds_) {
    usual_seconds_.reset();
    again_pause_ = {};
    return;
  }
  again_pause_ = std::clamp<std::chrono::seconds>(again_pause_ * 2, pause_first, pause_max);
  again_at_ = now_() + again_pause_;
}

void MeasureDesk::on_failure(const Error& cause) {
  pause_ = std::clamp<std::chrono::seconds>(pause_ * 2, pause_first, pause_max);
  not_before_ = now_() + pause_;
  log(LogLevel::warning, "app", "this machine could not be measured: {}", cause.message);
  tell({});
  answer_all(fail(cause));
}

void MeasureDesk::end_child() {
  if (child_) child_->stop();
  child_.reset();
}

void MeasureDesk::tell(const Progress& progress) {
  if (observer_) observer_(progress);
  if (progress.text.empty()) return;
  for (const Asker& asker : std::vector(askers_)) asker.on_progress(progress);  // some may leave at that
}

}  // namespace flotilla
